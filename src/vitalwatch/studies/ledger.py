"""Results of a study, kept one by one under what they depend on, so that an interrupted study goes on.

A result's place is the hash of schema, params, code, people and its own name: after any change it is made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import vitalwatch
from vitalwatch.pipeline import code_hashes
from vitalwatch.settings import Settings
from vitalwatch.store import sha256, write_atomic

Json = dict[str, Any]


def identity(settings: Settings, facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of schema, params, code (that of studies too) and what else a study depends on."""
    package = Path(vitalwatch.__file__).parent
    studies = {path.name: sha256(path) for path in sorted((package / "studies").glob("*.py"))}
    told = {
        "schema": settings.schema.model_dump(mode="json"),
        "params": settings.params.model_dump(mode="json"),
        "code": code_hashes(package) | studies,
        "facts": dict(facts),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Ledger:
    """A folder of results by name.

    Args:
        folder: Made when the first result is kept.
        study: From `identity`.
    """

    def __init__(self, folder: Path, study: str) -> None:
        self._folder = folder / study[:12]

    def place(self, name: str) -> Path:
        """Return where a result lies, or would."""
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"

    def known(self, name: str) -> Json | None:
        """Return a result, None where it was not made yet or its file is damaged."""
        try:
            found: Json = json.loads(self.place(name).read_bytes())
        except (OSError, ValueError):
            return None
        return found if found.get("name") == name else None

    def result(self, name: str, make: Callable[[], Json]) -> Json:
        """Return a result, made now unless it is known.

        Raises:
            StoreError: The folder cannot be written.
        """
        found = self.known(name)
        if found is None:
            found = {"name": name, "result": make()}
            write_atomic(self.place(name), json.dumps(found).encode())
        result: Json = found["result"]
        return result
