"""How much anybody could find who knew when to look: every kind, beside what channel B finds.

    OMP_NUM_THREADS=1 python benchmarks/ceiling.py [--learn 112] [--calibrate 60] [--judge 100]

Prints JSON lines. People are made in memory under another seed (the run's + 9). An oracle is told every walk and every
exercise of a person, or the very span of each episode and spans as long of everybody else, and learns from what all
vitals did over them (boosted trees; residuals as channel B has them) which of them are ill; channel B has to find
them in an endless row of minutes. Recall with 95 % intervals over people, at false alarms a worn person-day, **of that
kind's head alone**; both thresholds are chosen on the people judged, so that only what is known differs. Nine kinds
share a budget of .10: each has about .01. The last lines say what event F1 nine oracles, and nine heads, would have
together if no two of them alarmed falsely at once.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from quality import show
from vitalwatch.learning import Person
from vitalwatch.metrics import bootstrap
from vitalwatch.models.boosting import steady
from vitalwatch.residuals import Rows
from vitalwatch.settings import Settings, load_settings
from vitalwatch.studies.detectors import Detectors
from vitalwatch.studies.people import Roles, Size
from vitalwatch.synthetic import habits
from vitalwatch.synthetic import people as traits
from vitalwatch.synthetic.events import KINDS
from vitalwatch.synthetic.noise import streams
from vitalwatch.tables import DAY, MINUTE, Doubles

SEED = 9  # added to the run's
RATES = (0.005, 0.01, 0.02, 0.05)  # false alarms a worn person-day
LEAST = 15  # minutes of a bout that anybody looks at
AFTER = 6  # minutes after a bout in which the heart is still up
APART = 60 * MINUTE  # from other episodes
FLAT = 0.05  # own spreads of effort under which no share of it is taken
ROUNDS = 100
TREES = {"objective": "binary", "learning_rate": 0.05, "num_leaves": 5, "min_data_in_leaf": 30, "lambda_l2": 10.0}
Found = dict[str, Doubles]  # "oracle" and "head" -> episodes found and looked at, (people, 2)
Span = tuple[int, int, bool]  # begin and end, UTC ms; whether it is an episode of the kind


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--learn", type=int, default=112, help="people who models and oracle learn from")
    asked.add_argument("--calibrate", type=int, default=60, help="people who set channel B's scale")
    asked.add_argument("--judge", type=int, default=100, help="people who are judged")
    given = asked.parse_args()
    settings = load_settings(Path(__file__).resolve().parent.parent)
    began, seed = time.process_time(), settings.params.seed + SEED
    roles = Roles.made(Size(given.learn, given.calibrate, given.judge), settings, seed)
    level = Detectors(roles).level("heads")[0]["judge"]
    together: dict[float, list[Found]] = {rate: [] for rate in RATES}
    for number, kind in enumerate(roles.kinds):
        learnt = looked_at(roles, "learn", 0, kind, seed)
        new = looked_at(roles, "judge", given.learn + given.calibrate, kind, seed)
        for rate, found in judged(roles, level[:, number], kind, learnt, new):
            show({"kind": kind, "false_alarms_per_day": rate, **told(found, settings)})
            together[rate].append(found)
    for rate, kinds in together.items():
        show(
            {
                "kinds": "all",
                "false_alarms_per_day_each": rate,
                **f1s(kinds, rate, roles.cohort("judge").person_days, settings),
            }
        )
    show({"cpu_s": round(time.process_time() - began, 1)})


def looked_at(roles: Roles, role: str, first: int, kind: str, seed: int) -> tuple[Doubles, NDArray[np.intp]]:
    """Return what the oracle sees of each span, (n, f), and whose it is and whether it is ill, (n, 2)."""
    rng, seen, told = np.random.default_rng(seed), [], []
    for number, (person, rows) in enumerate(zip(roles.people[role], roles.rows(role), strict=True)):
        for begin, end, ill in spans(first + number, person, kind, roles.settings, rng):
            within = slice(*np.searchsorted(person.grid.time, (begin, end)))
            if np.isfinite(rows.z[within, 0]).sum() >= 2:
                seen.append([*shape(rows, within), (end - begin) / MINUTE])
                told.append((number, ill))
    return np.asarray(seen), np.asarray(told, np.intp)


def spans(index: int, person: Person, kind: str, settings: Settings, rng: np.random.Generator) -> Iterator[Span]:
    """Yield the spans of a person that the oracle looks at: those of the kind, and others away from every episode."""
    enrolled = settings.params.baseline.enrolment_days * DAY
    from_on, until = int(person.grid.time[0]) + enrolled, int(person.grid.time[-1])
    own = [(event.start, event.end) for event in person.events if event.kind == kind]
    others = [(event.start - APART, event.end + APART) for event in person.events if event.kind != kind]
    hours = KINDS[kind].hours
    every = stretches(from_on, until, hours, rng) if any(hours) else bouts(index, settings)
    for begin, end in sorted({*own, *every}):
        ill = (begin, end) in own
        busy = others if ill else [*others, *own]
        if begin >= from_on and not any(begin < stop and start < end for start, stop in busy):
            yield begin, end, ill


def bouts(index: int, settings: Settings) -> Iterator[tuple[int, int]]:
    """Yield every walk and exercise of a person, as the simulation planned them."""
    params = settings.params.synthetic
    rng = streams(settings.params.seed + SEED, index)
    who = traits.draw(rng["traits"], traits.pseudonym(index, settings.params.seed + SEED))
    planned = habits.draw(rng["habits"], who, params.days, params.start.weekday()).bouts
    midnight = (params.start - dt.date(1970, 1, 1)).days * DAY - who.offset * MINUTE
    for start, length, sort in zip(planned.start.tolist(), planned.length.tolist(), planned.kind, strict=True):
        if sort != habits.MICRO and length >= LEAST:
            yield midnight + start * MINUTE, midnight + (start + length + AFTER) * MINUTE


def stretches(
    begin: int, until: int, hours: tuple[float, float], rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Yield stretches as long as a kind's episodes, end to end."""
    shortest, longest = hours
    while begin < until:
        end = begin + int(60 * shortest * (longest / shortest) ** rng.random()) * MINUTE
        yield begin, end
        begin = end


def shape(rows: Rows, within: slice) -> list[float]:
    """Return what the oracle sees of a span.

    Means of the heart rate beside what is expected: of all of it, its middle, its thirds, and of each unit of effort
    and of the rise that effort lets expect; its spread; means of every signal, of effort and of the heart's own spread.
    """
    own, effort = rows.z[within, 0] + rows.pace[within, 0], rows.pace[within, 1]
    fifth, thirds = len(own) // 5, np.array_split(own, 3)
    columns = [own, own[fifth : len(own) - fifth], *thirds, *rows.z[within].T, effort, rows.spread[within, 0]]
    found = [float(one[known].mean()) if (known := np.isfinite(one)).any() else float("nan") for one in columns]
    found.append(float(np.nanstd(own)))
    found.append(found[0] / found[-3] if abs(found[-3]) > FLAT else float("nan"))
    return found


def judged(
    roles: Roles,
    level: Doubles,
    kind: str,
    learnt: tuple[Doubles, NDArray[np.intp]],
    new: tuple[Doubles, NDArray[np.intp]],
) -> Iterator[tuple[float, Found]]:
    """Yield each rate of false alarms, and what the oracle and the head alone find at it."""
    settings, cohort = roles.settings, roles.cohort("judge")
    options = {**TREES, **steady(settings.params.seed, settings.config.jobs)}
    trees = lightgbm.train(options, lightgbm.Dataset(learnt[0], learnt[1][:, 1]), ROUNDS)
    score, (who, ill) = np.asarray(trees.predict(new[0])), new[1].T
    people, days = len(cohort.tracks), float(cohort.person_days.sum())
    levels = cohort.levels(np.split(level, np.cumsum([len(track.time) for track in cohort.tracks])[:-1]))
    others = np.sort(score[ill == 0])[::-1]
    for rate in RATES:
        threshold = others[min(int(rate * days), len(others) - 1)]
        oracle = _of_people(who[ill == 1], score[ill == 1] > threshold, people)
        alone = cohort.score(levels > cohort.thresholds_for_budgets(levels, [rate])[0])
        of_kind = alone.kinds == kind
        yield rate, {"oracle": oracle, "head": _of_people(alone.episode_person[of_kind], alone.found[of_kind], people)}


def _of_people(whose: NDArray[np.intp], found: NDArray[np.bool_], people: int) -> Doubles:
    """Return episodes found and episodes of each person, (people, 2)."""
    return np.stack([np.bincount(whose, found, people), np.bincount(whose, None, people)], axis=1).astype(np.float64)


def told(found: Found, settings: Settings) -> dict[str, Any]:
    """Return how many episodes each looked at, and recall with its interval over people."""
    chosen = settings.params.evaluation
    lines: dict[str, Any] = {}
    for name, counts in found.items():
        draws = bootstrap.weights(len(counts), chosen.draws, np.random.default_rng(settings.params.seed))
        lines[name] = {"episodes": int(counts[:, 1].sum())}
        lines[name] |= bootstrap.estimate(recall, counts, draws, chosen.confidence).table()
    return lines


def f1s(kinds: list[Found], rate: float, days: Doubles, settings: Settings) -> dict[str, Any]:
    """Return event F1 of every kind's oracle together, and of every head, each kind with so many false alarms.

    What an oracle could not look at (episodes beside others) counts as found as often as the rest of its kind.
    """
    chosen, episodes = settings.params.evaluation, np.stack([one["head"][:, 1] for one in kinds], axis=1)
    draws = bootstrap.weights(len(days), chosen.draws, np.random.default_rng(settings.params.seed))
    lines: dict[str, Any] = {}
    for name in kinds[0]:
        found, looked = (np.stack([one[name][:, column] for one in kinds], axis=1) for column in (0, 1))
        sums = np.concatenate((found, looked, episodes, days[:, None]), axis=1)

        def f1(total: Doubles, each: int = len(kinds)) -> Doubles:
            hit, seen, there = (total[..., n * each : (n + 1) * each] for n in range(3))
            detected = (bootstrap.ratio(hit, seen) * there).sum(axis=-1)
            false = rate * each * total[..., -1]
            return bootstrap.ratio(2 * detected, there.sum(axis=-1) + detected + false)

        lines[name] = bootstrap.estimate(f1, sums, draws, chosen.confidence).table()
    return lines


def recall(total: Doubles) -> Doubles:
    return bootstrap.ratio(total[..., 0], total[..., 1])


if __name__ == "__main__":
    main()
