"""What it takes: processor time of training, and of one row asked alone or among many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from vitalwatch.runtime import Model
from vitalwatch.tables import Floats

ALONE, AT_ONCE, ROUNDS = 200, 1024, 3

Ask = Callable[[slice], Any]


@dataclass(frozen=True)
class Cost:
    """What an alternative costs; None where it cannot be told.

    Attributes:
        train_cpu_seconds: Processor time of training, on all cores together.
        bytes: Of the model as it would be shipped.
        us_alone: Processor microseconds of one row asked alone.
        us_bulk: The same a row, of 1,024 rows at once.
    """

    train_cpu_seconds: float | None = None
    bytes: int | None = None
    us_alone: float | None = None
    us_bulk: float | None = None


@dataclass
class Clock:
    """Processor seconds, once its `with` block is left."""

    seconds: float = 0.0


@contextmanager
def processor_time() -> Iterator[Clock]:
    """Yield a clock that holds the processor time of the block: what other work does beside it hardly counts."""
    clock, start = Clock(), time.process_time()
    yield clock
    clock.seconds = time.process_time() - start


def cost_of(made: bytes, train_seconds: float | None, x: Floats) -> Cost:
    """Return what an ONNX model of one input `x` takes, asked for rows of `x`."""
    model = Model(made)
    return timed(made, train_seconds, lambda rows: model.run(x=x[rows]), len(x))


def timed(made: bytes, train_seconds: float | None, ask: Ask, rows: int) -> Cost:
    """Return what a model takes that answers as `microseconds` asks."""
    alone, bulk = microseconds(ask, rows)
    seconds = None if train_seconds is None else round(train_seconds, 2)
    return Cost(seconds, len(made), round(alone, 1), round(bulk, 2))


def total(*costs: Cost) -> Cost:
    """Return what several models take together; what is not known of one is not known of all."""
    told = [[getattr(cost, field.name) for cost in costs] for field in fields(Cost)]
    return Cost(*(None if None in values else round(sum(values), 2) for values in told))


def microseconds(ask: Ask, rows: int) -> tuple[float, float]:
    """Return processor microseconds of a row alone and of one among 1,024, the best of three rounds each.

    Args:
        ask: Answers the rows of a slice.
        rows: How many there are; a different one is asked alone each time (one row over and over flatters trees).
    """
    ask(slice(0, 1)), ask(slice(0, min(AT_ONCE, rows)))
    alone = min(_alone(ask, min(ALONE, rows)) for _ in range(ROUNDS))
    bulk = min(_took(ask, slice(0, min(AT_ONCE, rows))) / min(AT_ONCE, rows) for _ in range(ROUNDS))
    return alone, bulk


def _alone(ask: Ask, rows: int) -> float:
    start = time.process_time()
    for row in range(rows):
        ask(slice(row, row + 1))
    return (time.process_time() - start) / rows * 1e6


def _took(ask: Ask, rows: slice) -> float:
    start = time.process_time()
    ask(rows)
    return (time.process_time() - start) * 1e6
