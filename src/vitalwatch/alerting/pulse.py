"""The scorer's sign of life, in a file: it counts up, and whose readings came. The watchdog reads it from outside.

A counter instead of a time: the watchdog measures by its own monotonic clock how long nothing changed, so no clock that
is set, slow or stopped can make a dead scorer look alive.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Pulse:
    """What the scorer says of itself.

    Attributes:
        count: Higher at each beat.
        behind: Seconds that the oldest reading that is not scored yet has waited, 0 for none.
        people: Those watched (not who was discharged), each with a number that changes with every reading scored.
        wearing: Own times of silence and of not worn in seconds (0: never), for those who have them.
        heard: When each person's newest reading came, UTC ms.
        refused: Code of the newest refused reading of those of whom some came lately.
    """

    count: int
    behind: float = 0.0
    people: Mapping[str, int] = field(default_factory=dict)
    wearing: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    heard: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def beat(path: Path, pulse: Pulse) -> None:
    """Write a pulse, whole or not at all; it need not survive the machine, so it is not forced to the disk."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    wearing = {person: list(times) for person, times in pulse.wearing.items()}
    told = {
        "count": pulse.count,
        "behind": pulse.behind,
        "people": dict(pulse.people),
        "wearing": wearing,
        "heard": dict(pulse.heard),
        "refused": dict(pulse.refused),
    }
    part.write_text(json.dumps(told), encoding="utf-8")
    part.replace(path)


def read_pulse(path: Path) -> Pulse | None:
    """Return the pulse, None where there is none or it cannot be read: both are no sign of life."""
    try:
        told = json.loads(path.read_bytes())
        wearing = {person: (float(a), float(b)) for person, (a, b) in told["wearing"].items()}
        people, heard, refused = (dict(told[name]) for name in ("people", "heard", "refused"))
        return Pulse(int(told["count"]), float(told["behind"]), people, wearing, heard, refused)
    except (OSError, ValueError, KeyError, TypeError):
        return None
