"""A model on disk: ONNX files, card.json and probe.json under a signed manifest; nothing unverified is handed on.

`load` reads every file once, into memory, and checks those bytes: signature first, then names, sizes and hashes.
What a caller gets is what was checked; no loader ever sees a path. There is no pickle here, and none is accepted.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalwatch import keyfile
from vitalwatch.errors import BundleRefused, StoreError
from vitalwatch.store import building, sweep, write_atomic

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = 8
MANIFEST, SIGNATURE, CARD, PROBE = "manifest.json", "manifest.sig", "card.json", "probe.json"
SUFFIXES = (".onnx", ".json")
RUNS_CODE = (".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".keras", ".npy", ".npz", ".pt", ".pth", ".skops")
MAGIC = (b"\x80", b"\x89HDF", b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY")  # pickle 2+, HDF5, zip, gzip, numpy
MAX_BYTES = 256 * 2**20  # of all files together
MAX_FILES = 64
SIGNATURE_BYTES = 64  # RFC 8032
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "lightgbm", "keras", "jax")
RETRAIN = "Retrain with `python main.py`, or go back with `python main.py rollback`."


@dataclass(frozen=True)
class Bundle:
    """What was in the folder, verified.

    Attributes:
        files: Name -> bytes of the model files.
        card: card.json.
        probe: probe.json, readings and the answers that training saw for them.
        key_id: Whose signature it bears.
        manifest: Format, versions of the libraries that trained, hash of the feature names.
        manifest_sha256: Of the exact manifest; `Store.seal` gives the one that the run was built with.
    """

    files: Mapping[str, bytes]
    card: dict[str, Any]
    probe: dict[str, Any]
    key_id: str
    manifest: dict[str, Any]
    manifest_sha256: str


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key; it is never printed."""

    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @classmethod
    def load_or_create(cls, path: Path, environ: Mapping[str, str] = os.environ) -> SigningKey:
        """Return the key of VITALWATCH_SIGNING_KEY (PEM), else of `path` (PKCS8 PEM, mode 0600), made at first use.

        Its public half is written beside `path` as .pub when there is none; an existing one is left alone, because
        whose signature is trusted is not for a signer to change.

        Raises:
            StoreError: The key can be read by others, is no Ed25519 key, or cannot be written.
        """
        if text := environ.get("VITALWATCH_SIGNING_KEY", ""):
            key = cls(_private(text.encode(), "VITALWATCH_SIGNING_KEY"))
        else:
            sweep(path.parent)
            if not path.exists():
                keyfile.make(path, _pem)
            key = cls(_private(keyfile.secret(path, "signing key", "VITALWATCH_SIGNING_KEY"), path))
        public = path.with_suffix(".pub")
        if not public.exists():
            with contextlib.suppress(StoreError):  # a key on a read-only mount: its public half was put elsewhere
                write_atomic(public, key.public_pem)
        return key

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self.private.sign(data)

    @property
    def public_pem(self) -> bytes:
        """The public half, PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the public key's 32 bytes."""
        return _key_id(self.private.public_key())


def write(
    folder: Path, files: Mapping[str, bytes], card: Mapping[str, Any], probe: Mapping[str, Any], key: SigningKey
) -> None:
    """Write and sign a bundle: the whole folder appears at once, or nothing does.

    Args:
        folder: Must not exist yet.
        files: Plain name ending in .onnx or .json -> bytes.
        card: What the model is; `features` are the names it was trained on, in order. NaN must be given as None.
        probe: Readings and expected answers for the self-test on loading. NaN must be given as None.
        key: Signs the exact bytes of the manifest.

    Raises:
        ValueError: A file's name or content is of a kind that `load` refuses, or card or probe hold NaN.
        StoreError: The folder is there already, or the disk refuses.
    """
    content = {**files, CARD: _json(card), PROBE: _json(probe)}
    for name, data in content.items():
        if (wrong := _bad_name(name) or _bad_content(name, data)) or (name in files and name in _OWN):
            raise ValueError(wrong or f"{name} is written by the bundle itself")
    manifest = {
        "format": FORMAT,
        "key": key.key_id,
        "features_sha256": features_hash(card.get("features", ())),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "files": {name: {"sha256": _sha256(data), "size": len(data)} for name, data in sorted(content.items())},
    }
    signed = _json(manifest)
    with building(folder, "bundle") as temp:
        for name, data in {**content, MANIFEST: signed, SIGNATURE: key.sign(signed)}.items():
            (temp / name).write_bytes(data)


def load(folder: Path, trusted: Sequence[Path], *, seal: str = "", limit: int = MAX_BYTES) -> Bundle:
    """Return a bundle whose every byte was verified.

    Args:
        folder: Made by `write`.
        trusted: Public keys (PEM); several while keys are rotated.
        seal: SHA-256 that its manifest must have, so that an older bundle, validly signed, cannot take its place.
        limit: Bytes of all files together.

    Raises:
        BundleRefused: Any check failed: which one, and what to do.
    """
    refuse = _Refusal(folder)
    keys = _trusted(refuse, trusted)
    with _opened(refuse, folder) as handle:
        names = _names(refuse, handle)
        manifest = _read(refuse, handle, MANIFEST, 2**20)
        signature = _read(refuse, handle, SIGNATURE, SIGNATURE_BYTES)
        key_id = _signer(refuse, keys, manifest, signature)
        told = _parsed(refuse, MANIFEST, manifest)
        if told.get("format") != FORMAT:
            raise refuse(f"its format is {told.get('format')}, this version reads {FORMAT}", RETRAIN)
        if seal and not hmac.compare_digest(_sha256(manifest), seal):
            raise refuse("it is signed, but not the bundle that this run was built with", RETRAIN)
        content = _content(refuse, handle, names, told["files"], limit)
    card, probe = _parsed(refuse, CARD, content.pop(CARD)), _parsed(refuse, PROBE, content.pop(PROBE))
    if not hmac.compare_digest(features_hash(card.get("features", ())), told["features_sha256"]):
        raise refuse("the feature names of its card are not those it was trained on", RETRAIN)
    return Bundle(content, card, probe, key_id, told, _sha256(manifest))


def features_hash(names: Sequence[str]) -> str:
    """Return the SHA-256 of feature names in order, one a line."""
    return _sha256("\n".join(names).encode())


_OWN = (CARD, PROBE, MANIFEST, SIGNATURE)


@dataclass(frozen=True)
class _Refusal:
    folder: Path

    def __call__(self, check: str, hint: str) -> BundleRefused:
        return BundleRefused(str(self.folder), check, hint)


@contextlib.contextmanager
def _opened(refuse: _Refusal, folder: Path) -> Iterator[int]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise refuse(f"it cannot be opened ({error.strerror})", RETRAIN) from None
    try:
        yield handle
    finally:
        os.close(handle)


def _names(refuse: _Refusal, handle: int) -> set[str]:
    names = set(os.listdir(handle))
    if len(names) > MAX_FILES:
        raise refuse(f"it holds more than {MAX_FILES} files", RETRAIN)
    for name in sorted(names - {SIGNATURE}):
        if wrong := _bad_name(name):
            raise refuse(wrong, "Remove that file if you put it there. " + RETRAIN)
    return names


def _read(refuse: _Refusal, handle: int, name: str, limit: int) -> bytes:
    """Return the bytes of a regular file of the folder; links, pipes and devices are refused unread."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
    except FileNotFoundError:
        raise refuse(f"{name} is missing", RETRAIN) from None
    except OSError as error:
        raise refuse(f"{name!r} cannot be opened ({error.strerror})", RETRAIN) from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise refuse(f"{name!r} is not a regular file", RETRAIN)
        with open(file, "rb", closefd=False) as stream:
            data = stream.read(limit + 1)
    finally:
        os.close(file)
    if len(data) > limit:
        raise refuse(f"{name!r} is larger than {limit} bytes", RETRAIN)
    return data


def _content(
    refuse: _Refusal, handle: int, names: set[str], told: Mapping[str, Mapping[str, Any]], limit: int
) -> dict[str, bytes]:
    expected = {*told, MANIFEST, SIGNATURE}
    if extra := sorted(names - expected):
        raise refuse(f"{extra[0]!r} is not in its manifest", "Remove that file if you put it there, and try again.")
    if missing := sorted(expected - names) or sorted({CARD, PROBE} - set(told)):
        raise refuse(f"{missing[0]} is missing", RETRAIN)
    if sum(file["size"] for file in told.values()) > limit:
        raise refuse(f"it is larger than {limit} bytes", RETRAIN)
    content = {}
    for name, file in told.items():
        data = _read(refuse, handle, name, file["size"])
        if len(data) != file["size"] or not hmac.compare_digest(_sha256(data), file["sha256"]):
            raise refuse(f"{name} is not what was signed", RETRAIN)
        if wrong := _bad_content(name, data):
            raise refuse(wrong, RETRAIN)
        content[name] = data
    return content


def _bad_name(name: str) -> str:
    """Return what is wrong with a file's name; empty when it may be in a bundle."""
    if name.lower().endswith(RUNS_CODE):
        return f"{name!r} is of a kind that can run code when loaded"
    if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-":
        return f"{name!r} is not a plain file name"
    return "" if name.endswith(SUFFIXES) else f"{name!r} is neither .onnx nor .json"


def _bad_content(name: str, data: bytes) -> str:
    return f"{name} holds a format that can run code when loaded" if data.startswith(MAGIC) else ""


def _signer(refuse: _Refusal, keys: Mapping[str, Ed25519PublicKey], data: bytes, signature: bytes) -> str:
    from cryptography.exceptions import InvalidSignature

    for key_id, key in keys.items():
        with contextlib.suppress(InvalidSignature):
            key.verify(signature, data)
            return key_id
    raise refuse(
        f"its signature is by none of the trusted keys ({', '.join(keys)})",
        "If a key was rotated, add its public half to config.signing.trusted. " + RETRAIN,
    )


def _trusted(refuse: _Refusal, paths: Sequence[Path]) -> dict[str, Ed25519PublicKey]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError):
            raise refuse(f"{path.name} cannot be read as a public key", "Mend config.signing.trusted.") from None
        if not isinstance(key, Ed25519PublicKey):
            raise refuse(f"{path.name} is not an Ed25519 key", "Mend config.signing.trusted.")
        keys[_key_id(key)] = key
    if not keys:
        shown = ", ".join(path.name for path in paths) or "none is named"  # where they lie is nobody's business
        raise refuse(
            f"no trusted public key is there ({shown})", "Put the signer's .pub where config.signing.trusted says."
        )
    return keys


def _parsed(refuse: _Refusal, name: str, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_not_finite)
    except (ValueError, RecursionError):
        raise refuse(f"{name} is not valid JSON", RETRAIN) from None
    if not isinstance(value, dict):
        raise refuse(f"{name} is not a JSON object", RETRAIN)
    return value


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _pem() -> bytes:
    """Return a new private key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private(pem: bytes, where: Path | str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(
            where, "is not an unencrypted Ed25519 key in PEM", "Restore it, or remove it to make a new one"
        )
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    return _sha256(key.public_bytes_raw())[:16]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
