"""Three YAML files and the environment -> one frozen `Settings`.

schema.yaml says what the data is, params.yaml what we chose, config/<environment>.yaml where it runs. python-box
loads and merges; pydantic closes the types, so that an unknown key is an error with its nearest known neighbour.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from box import Box
from box.exceptions import BoxError
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from vitalwatch.errors import SettingsError
from vitalwatch.params import Params
from vitalwatch.schema import Closed, Schema

M = TypeVar("M", bound=BaseModel)
DATABASE_URL, DATABASE_KEY = "VITALWATCH_DATABASE_URL", "VITALWATCH_DATABASE_KEY"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where it is built in, is ten times as fast


class Signing(Closed):
    """Where the signing key and the trusted public keys lie."""

    key: Path
    trusted: tuple[Path, ...]


class Retention(Closed):
    """Days that things are kept; `database retain` lets go of what is older."""

    readings: int = Field(ge=14)  # what the monitor remembers can be made anew from the last 12 days
    scores: int = Field(ge=1)
    alarms: int = Field(ge=1)
    events: int = Field(ge=1)
    quarantine: int = Field(ge=1)


class Database(Closed):
    """Where serving keeps what it knows."""

    url: str | None
    key: Path
    anchor: Path
    people_at_hand: int = Field(ge=1)
    late_within: str
    retention: Retention

    def place(self, artifacts: Path, environ: Mapping[str, str] = os.environ) -> str:
        """Return the URL of VITALWATCH_DATABASE_URL, of the file, or of an SQLite file in `artifacts`."""
        return environ.get(DATABASE_URL, "") or self.url or f"sqlite:///{artifacts / 'vitalwatch.db'}"


class WatchdogLimits(Closed):
    """When the scorer's silence is an alarm; durations like 10s."""

    stalled: str
    lagging: str


class WebhookConfig(Closed):
    """A receiver of alarms by HTTP; the file of its secret, or VITALWATCH_WEBHOOK_SECRET."""

    name: str
    url: str
    secret: Path | None = None


class MailConfig(Closed):
    """A receiver of alarms by e-mail; the file of its password, or VITALWATCH_SMTP_PASSWORD."""

    name: str
    host: str
    port: int = Field(ge=1, le=65535)
    sender: str
    to: tuple[str, ...] = Field(min_length=1)
    starttls: bool = True
    user: str = ""
    password: Path | None = None


class AlarmConfig(Closed):
    """Who is told of alarms, and who watches the watcher; `undelivered` is a duration like 5min."""

    rules: Path
    watchdog: WatchdogLimits | None
    undelivered: str
    log: bool
    webhooks: tuple[WebhookConfig, ...]
    mails: tuple[MailConfig, ...]
    external_url: str

    @model_validator(mode="after")
    def _names(self) -> AlarmConfig:
        names = ["log", *(one.name for one in self.webhooks), *(one.name for one in self.mails)]
        if len(names) != len(set(names)):
            raise ValueError("receivers need names of their own")
        return self


class Provider(Closed):
    """An OpenID Connect provider whose tokens are accepted beside keys."""

    issuer: str
    audience: str
    jwks: str  # https address or file of its public keys
    algorithms: Annotated[tuple[Literal["RS256", "PS256", "ES256", "EdDSA"], ...], Field(min_length=1)] = ("RS256",)
    scopes_claim: str = "scope"
    wards_claim: str = "wards"

    @field_validator("jwks")
    @classmethod
    def _no_plain_http(cls, value: str) -> str:
        if value.startswith("http://"):
            raise ValueError("keys are fetched by https, or read from a file")
        return value


class Api(Closed):
    """What the REST server takes at once, and from whom."""

    hosts: tuple[str, ...]
    docs: bool
    max_body: int = Field(ge=65_536)
    max_batch_body: int = Field(ge=65_536)
    max_lines_body: int = Field(ge=65_536)
    part_lines: int = Field(ge=1, le=10_000)
    head_seconds: float = Field(gt=0)
    body_seconds: float = Field(gt=0)
    requests_a_second: float = Field(gt=0)
    burst: int = Field(ge=1)
    public_a_second: float = Field(gt=0)
    public_burst: int = Field(ge=1)
    waiting: int = Field(ge=1)
    streams: int = Field(ge=1)
    streams_a_key: int = Field(ge=1)
    connections: int = Field(ge=1)
    remember_keys_seconds: float = Field(ge=0)
    oidc: Provider | None


class PageConfig(Closed):
    """How visitors of the page are known to an API that needs keys."""

    token_header: str | None = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")


class Config(Closed):
    """config/*.yaml: where it runs."""

    artifacts: Path
    work: Path
    signing: Signing
    jobs: int = Field(ge=1)
    tracking: str | None
    columns: dict[str, str]
    database: Database
    alarms: AlarmConfig
    api: Api
    page: PageConfig


@dataclass(frozen=True)
class Layer:
    """What one file or `--set` brought: the tree of keys that `place` holds, from the top for a file."""

    name: str
    tree: Any
    place: tuple[str, ...] = ()

    def brought(self, key: Sequence[str]) -> bool:
        """Return whether the key, or what stands in its place, is of this layer; a `--set` brings all below it."""
        if self.place:
            shorter = min(len(self.place), len(key))
            return self.place[:shorter] == tuple(key[:shorter])
        tree = self.tree
        for part in key:
            if isinstance(tree, Mapping) and part not in tree:
                return False
            tree = tree[part] if isinstance(tree, Mapping) else None
        return True


@dataclass(frozen=True)
class Settings:
    """All that steers a run. `root` is the folder that relative paths of `config` start from."""

    schema: Schema
    params: Params
    config: Config
    root: Path

    def path(self, relative: Path) -> Path:
        """Return a path of the config, made absolute from the project's root."""
        return relative if relative.is_absolute() else self.root / relative

    @property
    def artifacts(self) -> Path:
        """The folder of runs, cache and pointer."""
        return self.path(self.config.artifacts)


def load_settings(
    root: Path,
    *,
    environment: str | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Read the three files below `root` and return checked settings.

    Args:
        root: Folder with schema.yaml, params.yaml and config/.
        environment: Name of config/<environment>.yaml laid over base.yaml; default `VITALWATCH_ENV`.
        config: A config file laid over all others.
        overrides: `key=value` with the value in YAML; the key starts with `schema.`, `config.` or `params.`
            (`params.` may be left out).

    Raises:
        SettingsError: A file cannot be read, or a key or value is wrong: file, key and nearest known key.
    """
    environment = environment if environment is not None else os.environ.get("VITALWATCH_ENV", "")
    parts = {"schema": _load(root / "schema.yaml"), "params": _load(root / "params.yaml")}
    parts["config"] = _load(root / "config" / "base.yaml")
    layers = {
        "schema": [Layer("schema.yaml", parts["schema"].to_dict())],
        "params": [Layer("params.yaml", parts["params"].to_dict())],
        "config": [Layer("config/base.yaml", parts["config"].to_dict())],
    }
    more = [_environment(root, environment)] if environment and environment != "base" else []
    for path in (*more, *([config] if config is not None else [])):
        found = _load(path)
        layers["config"].append(Layer(f"config/{path.name}" if path in more else str(path), found.to_dict()))
        parts["config"].merge_update(found)
    for text in overrides:
        part, keys, value = _override(text)
        where = f"--set {text.partition('=')[0]}"
        _set(parts[part], keys, value, where)
        layers[part].append(Layer(where, value, tuple(keys)))
    return Settings(
        schema=_close(Schema, parts["schema"], layers["schema"]),
        params=_close(Params, parts["params"], layers["params"]),
        config=_close(Config, parts["config"], layers["config"]),
        root=root,
    )


def read_closed(model: type[M], path: Path) -> M:
    """Read another YAML file as a closed type, with the same words for what is wrong.

    Raises:
        SettingsError: The file cannot be read, or a key or value is wrong: file, key and nearest known key.
    """
    return _close(model, _load(path), [Layer(path.name, {})])


def closed(model: type[M], told: object, what: str) -> M:
    """Return plain values as a closed type; raises SettingsError that begins with `what`."""
    if not isinstance(told, Mapping):
        raise SettingsError(what, "", "must hold a mapping of keys to values")
    return _close(model, Box(told, box_dots=False), [Layer(what, {})])


def forget_database(environ: MutableMapping[str, str] = os.environ) -> None:
    """Take the database of the environment away: this process and what it starts use that of their config alone.

    For a demonstration, tests and benchmarks, whose people must never get among real ones.
    """
    for name in (DATABASE_URL, DATABASE_KEY):
        environ.pop(name, None)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of all three files, for editors and `main.py show --schema`."""
    return {
        name: model.model_json_schema() for name, model in (("schema", Schema), ("params", Params), ("config", Config))
    }


def _environment(root: Path, name: str) -> Path:
    known = sorted(path.stem for path in (root / "config").glob("*.yaml"))
    if name not in known:
        raise SettingsError("VITALWATCH_ENV", name, "no such environment", f"Known: {', '.join(known)}.")
    return root / "config" / f"{name}.yaml"


def _load(path: Path) -> Box:
    try:
        box = Box.from_yaml(filename=str(path), Loader=Loader, box_dots=False)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise SettingsError(
            str(path), "", f"cannot be read ({error.strerror})", "Restore it or name another."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise SettingsError(str(path), "", f"is not valid YAML{line}", "Mend the line and try again.") from None
    except BoxError:
        # Box raises this for a missing file, and for a file whose top level is not a mapping
        if not path.is_file():
            raise SettingsError(str(path), "", "is missing", "Restore it or name another.") from None
        raise SettingsError(str(path), "", "must hold a mapping of keys to values", "See the shipped file.") from None
    return box


def _override(text: str) -> tuple[str, list[str], Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {text}", "", "is not key=value", "Write it like --set detector.budget=0.1")
    keys = key.strip().split(".")
    part = keys.pop(0) if keys[0] in ("schema", "params", "config") and len(keys) > 1 else "params"
    try:
        return part, keys, yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {key}", "", "the value is not valid YAML", "Quote it.") from None


def _set(box: Box, keys: list[str], value: Any, where: str) -> None:
    for key in keys[:-1]:
        if not isinstance(box.get(key), Mapping):
            raise SettingsError(where, key, "unknown key", _nearest(key, box))
        box = box[key]
    if not isinstance(box, Mapping) or (keys[-1] not in box and keys[-1] not in ("columns",)):
        raise SettingsError(where, keys[-1], "unknown key", _nearest(keys[-1], box))
    box[keys[-1]] = value


def _close(model: type[M], box: Box, layers: Sequence[Layer]) -> M:
    """Return the closed type; an error names the last layer that brought the key, the first for a missing one."""
    try:
        return model.model_validate(box.to_dict())
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        # a misspelt key is also a missing one: what stands in the file is told first
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        place = [str(part) for part in first["loc"]]
        file = next((layer.name for layer in reversed(layers) if layer.brought(place)), layers[0].name)
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                file, ".".join(place), "unknown key", _nearest(place[-1], _known(model, place))
            ) from None
        raise SettingsError(file, ".".join(place), first["msg"].removeprefix("Value error, ")) from None


def _known(model: type[BaseModel], place: list[str]) -> list[str]:
    """Return the fields that stand where the unknown key stood."""
    current: Any = model
    for part in place[:-1]:  # names that a user chose and places in a list are not fields: they stay where they are
        fields = next((one.model_fields for one in _models(current) if part in one.model_fields), {})
        current = fields[part].annotation if part in fields else current
    return [name for one in _models(current)[:1] for name in one.model_fields]


@lru_cache(maxsize=1)
def _places() -> tuple[str, ...]:
    """Return every key of the three files as `--set` takes it."""

    def below(model: type[BaseModel], before: str) -> Iterator[str]:
        for name, field in model.model_fields.items():
            yield f"{before}{name}"
            for block in _models(field.annotation)[:1]:
                if block is field.annotation:  # a block of its own, not one in a list or under names that a user chose
                    yield from below(block, f"{before}{name}.")

    parts: tuple[tuple[type[BaseModel], str], ...] = ((Params, ""), (Config, "config."), (Schema, "schema."))
    return tuple(place for model, before in parts for place in below(model, before))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the closed types that an annotation is made of."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _nearest(key: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return a question for the key meant: nearly so called here, so called elsewhere, or like it; else all of here."""
    names = [str(name) for name in known]
    elsewhere = [place for place in _places() if place.rpartition(".")[2] == key]
    if elsewhere and not difflib.get_close_matches(key, names, n=1, cutoff=0.8):
        return f"Did you mean {' or '.join(elsewhere)}?"
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names)}."
