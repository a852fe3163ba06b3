"""What the monitor remembers of a person, as bytes and back, equal to the bit; nothing in them can run.

Bytes are a magic word, a header in JSON that says how everything is nested, and the arrays as they lie in memory,
compressed. `LAYOUT` names every class and field: bytes of another layout, and damaged ones, are refused, and whoever
keeps the readings makes the state anew from them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from typing import Any

import numpy as np

from vitalwatch import adaptive, baseline, cleaning, habits, own_level, residuals, sequences, watching
from vitalwatch.monitor import Body, State
from vitalwatch.tables import Alarm, Readings

MAGIC = b"VWM1"
KNOWN: tuple[type, ...] = (
    State,
    Body,
    residuals.State,
    baseline.Day,
    baseline.Own,
    habits.Habits,
    sequences.Tail,
    adaptive.Kept,
    cleaning.State,
    cleaning.Carried,
    Readings,
    watching.Channel,
    own_level.Level,
    Alarm,
)
NAMES = {kind: number for number, kind in enumerate(KNOWN)}
FIELDS = {kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in KNOWN}
LAYOUT = hashlib.sha256(
    json.dumps([(f"{kind.__module__}.{kind.__name__}", FIELDS[kind]) for kind in KNOWN]).encode()
).hexdigest()[:16]
DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(f"<{name}" if name != "b1" else "?") for name in ("f8", "f4", "i8", "i4", "i2", "i1", "u1", "b1")
}
FAST = 1  # zlib level: a third of the size in a few milliseconds
MOST = 64 * 2**20  # bytes that a state may unpack to: thousands of times the usual


class ForgottenState(ValueError):
    """Bytes that are no state of this version; make the state anew from the readings."""


def pack(state: State) -> bytes:
    """Return the bytes of a state."""
    arrays: list[np.ndarray] = []
    told = json.dumps({"layout": LAYOUT, "state": _tell(state, arrays)}, separators=(",", ":")).encode()
    body = b"".join((len(told).to_bytes(4, "little"), told, *(array.tobytes() for array in arrays)))
    small = zlib.compress(body, FAST)
    return MAGIC + zlib.crc32(small).to_bytes(4, "little") + small


def unpack(data: bytes) -> State:
    """Return the state of what `pack` returned; raises ForgottenState."""
    if data[:4] != MAGIC or zlib.crc32(data[8:]) != int.from_bytes(data[4:8], "little"):
        raise ForgottenState("not a state, or a damaged one")
    try:
        opened = zlib.decompressobj()
        body = opened.decompress(data[8:], MOST)
        if opened.unconsumed_tail:
            raise ForgottenState("no state is so large")
        end = 4 + int.from_bytes(body[:4], "little")
        told = json.loads(body[4:end])
        if told["layout"] != LAYOUT:
            raise ForgottenState("a state of another version")
        state = _Arrays(body, end).make(told["state"])
    except ForgottenState:
        raise
    except (zlib.error, ValueError, KeyError, IndexError, TypeError) as error:
        raise ForgottenState(f"a damaged state ({type(error).__name__})") from None
    if not isinstance(state, State):
        raise ForgottenState("not a state")
    return state


def _tell(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return how a value is nested; arrays are put aside."""
    if value is None or isinstance(value, (bool, int, str, float)):
        return value  # floats come back equal to the bit (shortest repr), NaN and infinity by name
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"a": f"{value.dtype.kind}{value.dtype.itemsize}", "s": list(value.shape)}
    if isinstance(value, np.generic):
        return _tell(value.item(), arrays)
    if isinstance(value, tuple | list):
        return [_tell(one, arrays) for one in value]
    if type(value) in NAMES:
        kind = type(value)
        return {"k": NAMES[kind], "v": [_tell(getattr(value, name), arrays) for name in FIELDS[kind]]}
    return {"m": {name: _tell(one, arrays) for name, one in value.items()}}


class _Arrays:
    """Hands out the arrays in the order they were put aside."""

    def __init__(self, body: bytes, at: int) -> None:
        self.body, self.at = body, at

    def make(self, told: Any) -> Any:
        if isinstance(told, list):
            return tuple(self.make(one) for one in told)
        if not isinstance(told, dict):
            return told
        if "a" in told:
            return self._array(DTYPES[told["a"]], tuple(told["s"]))
        if "k" in told:
            return KNOWN[told["k"]](*(self.make(one) for one in told["v"]))
        return {name: self.make(one) for name, one in told["m"].items()}

    def _array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape))
        found = np.frombuffer(self.body, dtype, count, self.at).reshape(shape).copy()
        self.at += count * dtype.itemsize
        return found
