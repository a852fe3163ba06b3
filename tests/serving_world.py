"""A ward to serve: settings of its own below a temporary folder, a small real model in production, and messages."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_world import Place
from tiny import ROOT, small_settings
from vitalwatch import bundle
from vitalwatch.engine import Engine
from vitalwatch.settings import Settings, load_settings
from vitalwatch.tables import Readings
from vitalwatch.timestamps import rfc3339

RUN = "000000000001"
OTHER = "000000000002"


@dataclass
class Clock:
    """A clock that a test sets; UTC ms."""

    ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


class Ward:
    """A folder with a database, a key, a run in production, and an engine."""

    def __init__(self, folder: Path, bundle: tuple[Path, Path] | None, url: str | None = None) -> None:
        self.place, self.clock = Place(folder), Clock()
        self.url = url
        if bundle is not None:
            self.place.add_run(RUN, bundle)
        self.engine = self.open()

    @property
    def settings(self) -> Settings:
        sets = [f"config.database.url={self.url}"] if self.url else []
        settings = load_settings(ROOT, environment="base", config=self.place.config, overrides=sets)
        small = small_settings()
        return Settings(small.schema, small.params, settings.config, self.place.folder)

    def open(self) -> Engine:
        return Engine.open(self.settings, now=self.clock)

    def again(self) -> Engine:
        """Close and open: what a process that starts anew finds."""
        self.engine.close()
        self.engine = self.open()
        return self.engine

    def send(self, messages: Sequence[Any], **more: Any) -> Any:
        return self.engine.accept(messages, "test", "nurse", **more)


def messages(readings: Readings, person: str = "anna", prefix: str | None = None) -> list[dict[str, Any]]:
    """Return readings as the JSON objects that a device sends, with event ids where a prefix is given."""
    told = []
    for i, (time, offset) in enumerate(zip(readings.time.tolist(), readings.offset.tolist(), strict=True)):
        values = {name: float(column[i]) for name, column in readings.values.items() if column[i] == column[i]}
        one = {"person": person, "time": rfc3339(time, offset), **values}
        told.append(one if prefix is None else {**one, "event_id": f"{prefix}{i}"})
    return told


REFUSED = {  # how a whole run can be refused, and what is said of it
    "format": f"its format is {bundle.FORMAT - 1}, this version reads {bundle.FORMAT}",
    "signature": "its signature is by none of the trusted keys",
    "self-test": "its self-test gives other",
}


def refused_bundle(folder: Path, tiny: tuple[Path, Path], how: str) -> tuple[Path, Path]:
    """Write a whole bundle that this version refuses in one of the ways of REFUSED; return it and the key to trust."""
    owner = tiny[0].parent if how != "signature" else folder / "stranger"
    key = bundle.SigningKey.load_or_create(owner / "signing.key")
    models = folder / "models"
    shutil.copytree(tiny[0], models)
    manifest = json.loads((models / bundle.MANIFEST).read_bytes())
    if how == "format":
        manifest["format"] = bundle.FORMAT - 1
    elif how == "self-test":
        probe = json.loads((models / bundle.PROBE).read_bytes())
        probe["answers"] |= {"expected_heart_rate": [0.0 for _ in probe["answers"]["expected_heart_rate"]]}
        raw = json.dumps(probe).encode()
        (models / bundle.PROBE).write_bytes(raw)
        manifest["files"][bundle.PROBE] = {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)}
    (models / bundle.MANIFEST).write_bytes(json.dumps(manifest).encode())
    (models / bundle.SIGNATURE).write_bytes(key.sign((models / bundle.MANIFEST).read_bytes()))
    return models, tiny[1]
