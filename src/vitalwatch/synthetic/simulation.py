"""One person from one seed: traits, habits, episodes, latent signals, sensors, in this order."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from vitalwatch.params import Synthetic
from vitalwatch.schema import Schema
from vitalwatch.synthetic import events, habits, people, physiology, sensors
from vitalwatch.synthetic.noise import streams
from vitalwatch.tables import MINUTE, Event, Profile, Readings

CONTEXTS = tuple(f"context:{kind}" for kind in habits.KINDS)
EVERYDAY = np.array([kind in ("meal", "caffeine") for kind in habits.KINDS])
ZONES = (-720, 840)  # minutes from UTC that clocks somewhere show; a journey goes no further


@dataclass(frozen=True)
class SyntheticPerson:
    """One simulated person.

    Attributes:
        readings: One row a worn grid step, all columns of the schema.
        profile: What models may know.
        events: Labelled episodes.
        bookkeeping: Sensor faults (`fault:<name>`) and harmless contexts (`context:<name>`); never for training.
    """

    readings: Readings
    profile: Profile
    events: tuple[Event, ...]
    bookkeeping: tuple[Event, ...]


def person(
    index: int,
    schema: Schema,
    params: Synthetic,
    seed: int,
    *,
    days: int | None = None,
    medicated_from: int | None = None,
) -> SyntheticPerson:
    """Return the person with this index: the same for any number of people, processes or machines.

    Args:
        index: Number of the person, from 0.
        schema: Columns and grid step.
        params: First day, prevalence, noise, time constants, faults; `days` unless given.
        seed: Of the population.
        days: Local days.
        medicated_from: Local day, from 0, from which the person takes a beta-blocker, if any; the rest stays as it is.
    """
    days = params.days if days is None else days
    step = schema.step_minutes
    rng = streams(seed, index)
    traits = people.draw(rng["traits"], people.pseudonym(index, seed))
    calendar = habits.draw(rng["habits"], traits, days, params.start.weekday())
    if medicated_from is not None:
        calendar = habits.medicated(calendar, medicated_from)
    planned = events.plan(rng["events"], traits, calendar, params)
    gone = events.removed(calendar, planned)
    latent = physiology.simulate(rng["latent"], rng["events"], traits, calendar, planned, gone, params, step)
    broken = sensors.faults(rng["faults"], calendar, params.faults)
    rows, values = sensors.measure(rng["sensors"], rng["faults"], traits, calendar, latent, broken, params.noise, step)
    midnight = _midnight(params.start, traits.offset)
    offset = np.full(len(rows), traits.offset, np.int16)
    if calendar.shift.any():
        offset += (60 * calendar.shift[rows * step // habits.DAYTIME]).astype(np.int16)
    name = traits.profile.person
    readings = Readings(
        person=name,
        time=midnight + rows * np.int64(schema.step_ms),
        offset=np.clip(offset, *ZONES),
        values={column: values[column] if column in values else _absent(len(rows)) for column in schema.names},
    )
    labels = tuple(
        Event(
            name,
            e.kind,
            midnight + e.start * MINUTE,
            midnight + e.end * MINUTE,
            round(e.size, 3),
            events.KINDS[e.kind].channels,
        )
        for e in planned
    )
    return SyntheticPerson(readings, traits.profile, labels, _bookkeeping(name, midnight, calendar, broken))


def _absent(n: int) -> np.ndarray:
    return np.full(n, np.nan, np.float32)


def _midnight(first: dt.date, offset: int) -> int:
    """Return the local midnight that begins the first day, UTC milliseconds."""
    return (first - dt.date(1970, 1, 1)).days * habits.DAYTIME * MINUTE - offset * MINUTE


def _bookkeeping(
    name: str, midnight: int, calendar: habits.Habits, broken: tuple[sensors.Fault, ...]
) -> tuple[Event, ...]:
    rows = calendar.contexts
    end = np.minimum(rows.end, calendar.days * habits.DAYTIME)
    shown = np.flatnonzero(
        (~EVERYDAY.take(rows.kind) | (rows.size > habits.EVERYDAY)) & (rows.start >= 0) & (end > rows.start)
    )
    columns = (rows.start[shown], rows.kind[shown], end[shown], np.round(rows.size[shown], 3))
    found = [
        (start, CONTEXTS[kind], stop, size)
        for start, kind, stop, size in zip(*(column.tolist() for column in columns), strict=True)
    ]
    found += [(f.start, f"fault:{f.name}", f.end, round(f.size, 3)) for f in broken]
    found.sort(key=itemgetter(0))
    return tuple(
        [
            Event(name, kind, midnight + start * MINUTE, midnight + stop * MINUTE, size)
            for start, kind, stop, size in found
        ]
    )
