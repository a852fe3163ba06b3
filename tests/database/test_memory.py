"""What the monitor remembers comes back equal to the bit; what is damaged or of another version is refused."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import numpy as np
import pytest

from tiny import somebody
from vitalwatch import memory
from vitalwatch.memory import ForgottenState, pack, unpack
from vitalwatch.monitor import Monitor, State


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal to the bit, NaN included; lists and tuples are alike."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if dataclasses.is_dataclass(left):
        names = [field.name for field in dataclasses.fields(left)]
        return type(left) is type(right) and all(same(getattr(left, n), getattr(right, n)) for n in names)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right or (left != left and right != right)


@pytest.fixture(scope="module")
def states(tiny_monitor: Monitor) -> list[State]:
    """Of nobody known, after one reading, in the middle of a day, with an alarm open, after days."""
    readings = somebody(0).readings
    found = [tiny_monitor.begin("a")]
    for n in (1, 100, 150, len(readings)):
        found.append(tiny_monitor.advance(tiny_monitor.begin("a"), readings.rows(slice(0, n)), forecast=n < 200)[0])
    return found


def test_a_state_comes_back_equal_to_the_bit(states):
    assert len(states) == sum(same(state, unpack(pack(state))) for state in states)
    assert any(channel.open for state in states for channel in state.body.channels)


def test_a_state_that_came_back_goes_on_as_the_other(states, tiny_monitor):
    more = somebody(0).readings.rows(slice(1701, 2000))
    kept, came_back = (tiny_monitor.advance(s, more)[1] for s in (states[3], unpack(pack(states[3]))))

    for name in ("score", "unusual", "known", "expected_heart_rate", "forecast"):
        assert np.array_equal(getattr(kept, name), getattr(came_back, name), equal_nan=True), name
    assert kept.alarms == came_back.alarms


def test_damaged_bytes_are_refused_and_never_a_wrong_state(states):
    data = pack(states[2])
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(data), 300).tolist():
        with pytest.raises(ForgottenState):
            unpack(data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :])
        refused += 1
    for cut in (0, 3, 8, len(data) // 2, len(data) - 1):
        with pytest.raises(ForgottenState):
            unpack(data[:cut])

    assert 300 == refused


def test_a_state_of_another_version_is_refused(states, monkeypatch):
    data = pack(states[1])
    monkeypatch.setattr(memory, "LAYOUT", "another")

    with pytest.raises(ForgottenState, match="another version"):
        unpack(data)


def test_bytes_that_unpack_to_far_too_much_are_refused():
    bomb = zlib.compress(bytes(memory.MOST + 1))

    with pytest.raises(ForgottenState, match="so large"):
        unpack(memory.MAGIC + zlib.crc32(bomb).to_bytes(4, "little") + bomb)


def test_nothing_but_known_classes_is_made():
    with pytest.raises(ForgottenState):
        unpack(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
