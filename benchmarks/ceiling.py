"""How much anybody could find who knew when to look: the two kinds that are found least, beside what channel B finds.

    OMP_NUM_THREADS=1 python benchmarks/ceiling.py [--learn 112] [--calibrate 60] [--judge 100]

Prints JSON lines. People are made in memory under another seed (the run's + 9). An oracle is told every walk and every
exercise of a person, or the very span of each episode and spans as long of everybody else, and learns from the means
of all vitals over them (boosted trees; residuals as channel B has them) which of them are ill; channel B has to find
them in an endless row of minutes. Recall with 95 % intervals over people, at false alarms a worn person-day, **of that
kind's head alone**; both thresholds are chosen on the people judged, so that only what is known differs. Nine kinds
share a budget of .10: each has about .01.
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
from vitalwatch.synthetic.noise import streams
from vitalwatch.tables import DAY, MINUTE, Doubles

SEED = 9  # added to the run's
KINDS = ("bradycardia", "chronotropic_incompetence")
RATES = (0.005, 0.01, 0.02, 0.05)  # false alarms a worn person-day
LEAST = 15  # minutes of a bout that anybody looks at
AFTER = 6  # minutes after a bout in which the heart is still up
APART = 60 * MINUTE  # from other episodes
LONGEST = 6.0  # hours of a bradycardia; spans of others are as long: 1 h to that
ROUNDS = 100
TREES = {"objective": "binary", "learning_rate": 0.05, "num_leaves": 5, "min_data_in_leaf": 30, "lambda_l2": 10.0}
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
    for kind in KINDS:
        learnt = looked_at(roles, "learn", 0, kind, seed)
        new = looked_at(roles, "judge", given.learn + given.calibrate, kind, seed)
        for line in judged(roles, level[:, roles.kinds.index(kind)], kind, learnt, new):
            show({"kind": kind, **line})
    show({"cpu_s": round(time.process_time() - began, 1)})


def looked_at(roles: Roles, role: str, first: int, kind: str, seed: int) -> tuple[Doubles, NDArray[np.intp]]:
    """Return what the oracle sees of each span, (n, f), and whose it is and whether it is ill, (n, 2)."""
    rng, seen, told = np.random.default_rng(seed), [], []
    for number, (person, rows) in enumerate(zip(roles.people[role], roles.rows(role), strict=True)):
        for begin, end, ill in spans(first + number, person, kind, roles.settings, rng):
            within = slice(*np.searchsorted(person.grid.time, (begin, end)))
            if np.isfinite(rows.z[within, 0]).sum() >= 2:
                seen.append([*means(rows, within), (end - begin) / MINUTE])
                told.append((number, ill))
    return np.asarray(seen), np.asarray(told, np.intp)


def spans(index: int, person: Person, kind: str, settings: Settings, rng: np.random.Generator) -> Iterator[Span]:
    """Yield the spans of a person that the oracle looks at: those of the kind, and others away from every episode."""
    enrolled = settings.params.baseline.enrolment_days * DAY
    from_on, until = int(person.grid.time[0]) + enrolled, int(person.grid.time[-1])
    own = [(event.start, event.end) for event in person.events if event.kind == kind]
    others = [(event.start - APART, event.end + APART) for event in person.events if event.kind != kind]
    every = bouts(index, settings) if kind == KINDS[1] else stretches(from_on, until, rng)
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


def stretches(begin: int, until: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield stretches of one hour to LONGEST, end to end."""
    while begin < until:
        end = begin + int(60 * LONGEST ** rng.random()) * MINUTE
        yield begin, end
        begin = end


def means(rows: Rows, within: slice) -> list[float]:
    """Return the mean of the heart rate beside what is expected, of its middle, of every signal and of the effort."""
    own = rows.z[within, 0] + rows.pace[within, 0]
    fifth = len(own) // 5
    columns = [own, own[fifth : len(own) - fifth], *rows.z[within].T, rows.pace[within, 1], rows.spread[within, 0]]
    return [float(one[known].mean()) if (known := np.isfinite(one)).any() else float("nan") for one in columns]


def judged(
    roles: Roles,
    level: Doubles,
    kind: str,
    learnt: tuple[Doubles, NDArray[np.intp]],
    new: tuple[Doubles, NDArray[np.intp]],
) -> Iterator[dict[str, Any]]:
    """Yield recall of the oracle and of the head alone, at each rate of false alarms."""
    settings, cohort = roles.settings, roles.cohort("judge")
    options = {**TREES, **steady(settings.params.seed, settings.config.jobs)}
    trees = lightgbm.train(options, lightgbm.Dataset(learnt[0], learnt[1][:, 1]), ROUNDS)
    score, (who, ill) = np.asarray(trees.predict(new[0])), new[1].T
    people, days = len(cohort.tracks), float(cohort.person_days.sum())
    draws = bootstrap.weights(people, settings.params.evaluation.draws, np.random.default_rng(settings.params.seed))
    levels = cohort.levels(np.split(level, np.cumsum([len(track.time) for track in cohort.tracks])[:-1]))
    others = np.sort(score[ill == 0])[::-1]
    for rate in RATES:
        threshold = others[min(int(rate * days), len(others) - 1)]
        found = np.stack(
            [np.bincount(who[ill == 1], one, people) for one in (score[ill == 1] > threshold, None)], axis=1
        )
        alone = cohort.score(levels > cohort.thresholds_for_budgets(levels, [rate])[0])
        of_kind = alone.kinds == kind
        head = np.stack(
            [np.bincount(alone.episode_person[of_kind], one, people) for one in (alone.found[of_kind], None)], axis=1
        )
        told = {
            name: bootstrap.estimate(
                recall, counts.astype(np.float64), draws, settings.params.evaluation.confidence
            ).table()
            for name, counts in (("oracle", found), ("head", head))
        }
        yield {
            "false_alarms_per_day": rate,
            "episodes": int(of_kind.sum()),
            "looked_at": int(found[:, 1].sum()),
            **told,
        }


def recall(total: Doubles) -> Doubles:
    return bootstrap.ratio(total[..., 0], total[..., 1])


if __name__ == "__main__":
    main()
