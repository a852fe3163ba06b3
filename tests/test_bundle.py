"""A bundle is loaded when every byte is what was signed, and in no other case."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwatch import bundle, store
from vitalwatch.bundle import SigningKey
from vitalwatch.errors import BundleRefused, StoreError

CARD = {"name": "unusual", "features": ["heart_rate_mean_1h", "steps_sum_1h"]}
PROBE = {"readings": [[60.0, None]], "scores": [0.25]}
FILES = {"unusual.onnx": bytes(range(8, 200)), "heart_rate.onnx": b"\x08\x09" * 50}


@pytest.fixture
def key(tmp_path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "keys" / "signing.key", {})


@pytest.fixture
def trusted(tmp_path, key) -> list[Path]:
    return [tmp_path / "keys" / "signing.pub"]


@pytest.fixture
def folder(tmp_path, key) -> Path:
    bundle.write(tmp_path / "bundle", FILES, CARD, PROBE, key)
    return tmp_path / "bundle"


def test_what_was_written_comes_back(folder, trusted, key):
    loaded = bundle.load(folder, trusted)

    assert loaded.files == FILES
    assert loaded.card == CARD
    assert loaded.probe == PROBE
    assert loaded.key_id == key.key_id
    assert loaded.manifest["libraries"]["numpy"] == np.__version__


def test_none_of_1000_mutations_is_loaded(folder, trusted, tmp_path, key):
    rng = np.random.default_rng(7)
    other = tmp_path / "other"
    bundle.write(other, {**FILES, "unusual.onnx": b"\x08older"}, CARD, PROBE, key)
    loaded = []
    for n in range(1000):
        broken = tmp_path / "broken"
        shutil.copytree(folder, broken)
        kind = mutate(broken, other, rng)
        try:
            bundle.load(broken, trusted)
            loaded.append((n, kind))
        except BundleRefused:
            pass
        shutil.rmtree(broken)

    assert loaded == []


def mutate(folder: Path, other: Path, rng: np.random.Generator) -> str:
    """Change one thing in the folder and say what."""
    paths = sorted(folder.iterdir())
    path, second = (paths[i] for i in rng.choice(len(paths), 2, replace=False))
    kind = ["flip", "cut", "grow", "swap", "extra", "remove", "rename", "foreign", "link"][rng.integers(9)]
    data = bytearray(path.read_bytes())
    if kind == "flip":
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
    elif kind == "cut":
        path.write_bytes(data[: rng.integers(len(data))])
    elif kind == "grow":
        path.write_bytes(data + rng.bytes(rng.integers(1, 9)))
    elif kind == "swap":
        path.write_bytes(second.read_bytes())
        second.write_bytes(data)
    elif kind == "extra":
        (folder / f"extra{rng.integers(99)}.{['onnx', 'json', 'txt', 'pkl'][rng.integers(4)]}").write_bytes(b"x")
    elif kind == "remove":
        path.unlink()
    elif kind == "rename":
        path.rename(path.with_name(f"renamed-{path.name}"))
    elif kind == "foreign":  # of another bundle, validly signed by the same key
        name = ["unusual.onnx", "manifest.json", "manifest.sig"][rng.integers(3)]
        (folder / name).write_bytes((other / name).read_bytes())
    elif kind == "link":
        path.rename(folder.parent / "aside")
        path.symlink_to(folder.parent / "aside")
    return f"{kind} {path.name}"


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.h5", "model.keras", "unusual.onnx"])
def test_a_pickle_is_refused_and_never_executed(name, folder, trusted, tmp_path):
    canary = tmp_path / "canary"
    (folder / name).write_bytes(pickle.dumps(Payload(canary)))

    with pytest.raises(BundleRefused):
        bundle.load(folder, trusted)
    assert not canary.exists()


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.canary}",)


def test_the_canary_sings_when_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))

    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["model.pkl", "model.H5", "../up.onnx", ".hidden.json", "a b.onnx", "", "card.json"])
def test_a_name_that_load_would_refuse_is_not_written(name, tmp_path, key):
    with pytest.raises(ValueError):
        bundle.write(tmp_path / "bundle", {name: b"\x08"}, CARD, PROBE, key)
    assert not (tmp_path / "bundle").exists()


def test_a_pickle_under_an_innocent_name_is_not_written(tmp_path, key):
    with pytest.raises(ValueError, match="can run code"):
        bundle.write(tmp_path / "bundle", {"model.onnx": pickle.dumps([1])}, CARD, PROBE, key)


def test_without_a_signature_it_is_refused(folder, trusted):
    (folder / "manifest.sig").unlink()

    with pytest.raises(BundleRefused, match=r"manifest\.sig is missing"):
        bundle.load(folder, trusted)


def test_signed_by_a_stranger_it_is_refused(tmp_path, trusted):
    stranger = SigningKey.load_or_create(tmp_path / "stranger" / "signing.key", {})
    bundle.write(tmp_path / "bundle", FILES, CARD, PROBE, stranger)

    with pytest.raises(BundleRefused, match="by none of the trusted keys"):
        bundle.load(tmp_path / "bundle", trusted)


@pytest.mark.parametrize("what", [None, b"no key", b"of another kind"])
def test_where_trusted_keys_lie_is_not_told(what, folder, tmp_path):
    there = tmp_path / "house" / "signing.pub"
    there.parent.mkdir()
    if what == b"of another kind":
        public = serialization.PublicFormat.SubjectPublicKeyInfo
        what = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.PEM, public)
    if what is not None:
        there.write_bytes(what)

    with pytest.raises(BundleRefused) as error:
        bundle.load(folder, [there])
    assert "signing.pub" in error.value.check
    assert "/" not in error.value.check + error.value.hint


def test_while_keys_are_rotated_both_are_trusted(folder, tmp_path, trusted, key):
    new = SigningKey.load_or_create(tmp_path / "new" / "signing.key", {})
    bundle.write(tmp_path / "newer", FILES, CARD, PROBE, new)
    both = [*trusted, tmp_path / "new" / "signing.pub"]

    assert [bundle.load(path, both).key_id for path in (folder, tmp_path / "newer")] == [key.key_id, new.key_id]


def test_an_older_bundle_in_the_place_of_a_newer_is_refused_by_its_seal(folder, tmp_path, trusted, key):
    bundle.write(tmp_path / "newer", FILES, {**CARD, "name": "newer"}, PROBE, key)
    seal = store.sha256(tmp_path / "newer" / "manifest.json")

    assert bundle.load(tmp_path / "newer", trusted, seal=seal).manifest_sha256 == seal
    with pytest.raises(BundleRefused, match="not the bundle that this run was built with"):
        bundle.load(folder, trusted, seal=seal)


def test_more_bytes_than_the_limit_are_refused(folder, trusted):
    with pytest.raises(BundleRefused, match="larger than 100 bytes"):
        bundle.load(folder, trusted, limit=100)


def test_a_pipe_does_not_hang_the_loader(folder, trusted):
    (folder / "unusual.onnx").unlink()
    os.mkfifo(folder / "unusual.onnx")

    with pytest.raises(BundleRefused, match="not a regular file"):
        bundle.load(folder, trusted)


@pytest.mark.parametrize("case", ["missing", "file", "link", "empty"])
def test_what_is_no_bundle_is_refused(case, folder, trusted, tmp_path):
    place = tmp_path / "place"
    if case == "file":
        place.write_text("x")
    elif case == "link":
        place.symlink_to(folder)
    elif case == "empty":
        place.mkdir()

    with pytest.raises(BundleRefused):
        bundle.load(place, trusted)


@pytest.mark.parametrize("content", [None, "not a key", "private"])
def test_without_a_usable_trusted_key_nothing_is_loaded(content, folder, tmp_path, key):
    path = tmp_path / "trusted.pub"
    if content:
        path.write_text((tmp_path / "keys" / "signing.key").read_text() if content == "private" else content)

    with pytest.raises(BundleRefused, match="public key"):
        bundle.load(folder, [path])


def test_a_folder_that_is_there_is_not_written_over(folder, key):
    with pytest.raises(StoreError, match="is there already"):
        bundle.write(folder, FILES, CARD, PROBE, key)


def test_a_card_with_nan_is_not_written(tmp_path, key):
    with pytest.raises(ValueError):
        bundle.write(tmp_path / "bundle", FILES, {"threshold": float("nan")}, PROBE, key)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "keys" / "signing.key"
    made, again = SigningKey.load_or_create(path, {}), SigningKey.load_or_create(path, {})

    assert path.stat().st_mode & 0o777 == 0o600
    assert again.key_id == made.key_id
    assert path.with_suffix(".pub").read_bytes() == made.public_pem
    assert sorted(one.name for one in path.parent.iterdir()) == ["signing.key", "signing.pub"]
    assert "PRIVATE" not in repr(made)


def test_a_draft_of_a_key_that_a_killed_process_left_is_removed(tmp_path, key):
    draft = tmp_path / "keys" / f".tmp-new-signing.key-{os.getpid()}-1"
    draft.write_text("half a key")
    SigningKey.load_or_create(tmp_path / "keys" / "signing.key", {})

    assert not draft.exists()


def test_a_key_that_others_can_read_is_refused(tmp_path, key):
    path = tmp_path / "keys" / "signing.key"
    path.chmod(0o644)

    with pytest.raises(StoreError, match="chmod 600"):
        SigningKey.load_or_create(path, {})


def test_a_key_in_the_environment_wins(tmp_path, key):
    other = tmp_path / "other" / "signing.key"
    SigningKey.load_or_create(other, {})
    environ = {"VITALWATCH_SIGNING_KEY": (tmp_path / "keys" / "signing.key").read_text()}

    assert SigningKey.load_or_create(other, environ).key_id == key.key_id


@pytest.mark.parametrize("text", ["nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_refused_without_showing_it(text, tmp_path):
    with pytest.raises(StoreError, match="not an unencrypted Ed25519 key") as error:
        SigningKey.load_or_create(tmp_path / "key", {"VITALWATCH_SIGNING_KEY": text})
    assert text not in str(error.value)


def test_eight_processes_that_make_the_key_at_once_agree(tmp_path):
    code = (
        "import sys, pathlib; from vitalwatch.bundle import SigningKey;"
        "print(SigningKey.load_or_create(pathlib.Path(sys.argv[1]), {}).key_id)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "keys" / "signing.key")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    ids = [process.communicate()[0].strip() for process in running]

    assert len(set(ids)) == 1
    assert len(ids[0]) == 16


def test_the_signature_can_be_checked_without_us(folder, key):
    key.private.public_key().verify((folder / "manifest.sig").read_bytes(), (folder / "manifest.json").read_bytes())

    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert set(manifest["files"]) == {*FILES, "card.json", "probe.json"}


def test_loading_needs_no_training_library():
    code = (
        "import sys, vitalwatch.bundle as b; assert 'cryptography' not in sys.modules;"
        "print([m for m in ('pandas', 'sklearn', 'keras', 'onnx', 'pickle', 'yaml') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"
