"""Expected heart rate of real wearers without an own day, learnt from three others alone: what helps so few.

    OMP_NUM_THREADS=1 python benchmarks/cold_heart_rate.py [--source FOLDER]

Leave one person out over the four Fitabase wearers, as `real_people.py --only real --expected`; nobody simulated takes
part. A prediction is a level and what the moment adds to it (the lift). The level is the mean of the three, as it
is served, or one published of 92,457 other wearers; the lift comes from boosted trees as served, a ridge regression on
the same columns and the roots of steps and intensity, or the mean of both. Prints RMSE on 5-minute means of every pair,
and of the pair that leaving one of the three out in turn picks for each wearer; with it the same without the wearer
who is judged, so that a reader sees what the choice rests on. Intervals as in `real_people.py`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

import real_people
from vitalwatch import features, learning
from vitalwatch.baseline import CONTEXTS
from vitalwatch.features import INTENSITY_WINDOWS, STEP_WINDOWS
from vitalwatch.learning import Person
from vitalwatch.settings import Settings, load_settings
from vitalwatch.tables import Doubles, Floats

PUBLISHED = 65.5  # bpm, mean resting heart rate: Quer 2020, 10.1371/journal.pone.0227709
PULL = 0.01  # of the ridge, in variances of a column
BRISK = 50.0  # steps a minute that count as one

Lift = Callable[[Person], Doubles]


@dataclass(frozen=True)
class Fitted:
    """What some wearers teach: lifts by name, and levels by name of each lift, bpm (3,) by context."""

    lifts: Mapping[str, Lift]
    levels: Mapping[tuple[str, str], Doubles]


def fitted(people: Sequence[Person], settings: Settings) -> Fitted:
    """Learn every lift and level from people."""
    params, step = settings.params, settings.schema.step_minutes
    model = learning.learn(people, params.regressor, params.baseline, step, params.seed, settings.config.jobs)[1]

    def trees(person: Person) -> Doubles:
        about = features.person_row(person.profile, model.usual_person)
        return learning.lift(model.expectation, learning.moments_of(person.grid, step)[0], about).astype(np.float64)

    line = ridge(people, step)
    lifts = {"trees": trees, "ridge": line, "both": lambda person: (trees(person) + line(person)) / 2}
    levels = dict[tuple[str, str], Doubles]()
    for name, lift in lifts.items():
        levels["of_three", name] = np.mean([level(person, lift(person), step) for person in people], axis=0)
        levels["published", name] = np.full(len(CONTEXTS), PUBLISHED)
    return Fitted(lifts, levels)


def level(person: Person, lift: Doubles, step: int) -> Doubles:
    """Return the median heart rate of each context without its lift, bpm (3,)."""
    rate, context = features.signals(person.grid)[:, 0], learning.moments_of(person.grid, step)[1]
    return np.asarray([np.nanmedian((rate - lift)[context == code]) for code in range(len(CONTEXTS))])


def ridge(people: Sequence[Person], step: int) -> Lift:
    """Return ridge regression of heart rate above the own resting level; each person weighs the same."""
    moments = [learning.moments_of(person.grid, step) for person in people]
    designs = [design(moment) for moment, _ in moments]
    mean = np.mean([x.mean(axis=0) for x in designs], axis=0)
    scale = np.sqrt(np.mean([x.var(axis=0) for x in designs], axis=0))
    mean, scale = np.where(scale > 0, mean, 0.0), np.where(scale > 0, scale, 1.0)
    gram, target = np.zeros((len(mean), len(mean))), np.zeros(len(mean))
    for person, x, (_, context) in zip(people, designs, moments, strict=True):
        rate = features.signals(person.grid)[:, 0]
        known = np.isfinite(rate)
        standard = ((x - mean) / scale)[known]
        above = rate[known] - learning.resting_level(rate.astype(np.float32), context)
        gram += standard.T @ standard / known.sum() / len(people)
        target += standard.T @ above / known.sum() / len(people)
    pull = PULL * np.eye(len(mean))
    pull[0, 0] = 0.0  # of the constant
    slope = np.linalg.solve(gram + pull, target)
    return lambda person: (design(learning.moments_of(person.grid, step)[0]) - mean) / scale @ slope


def design(moment: Floats) -> Doubles:
    """Return a constant, the MOMENT columns and the roots of steps and intensity, (n, 1 + m + 13)."""
    x = moment.astype(np.float64)
    x[:, : len(STEP_WINDOWS)] /= BRISK
    efforts = x[:, : len(STEP_WINDOWS) + len(INTENSITY_WINDOWS)]
    return np.concatenate((np.ones((len(x), 1)), x, np.sqrt(np.maximum(efforts, 0.0))), axis=1)


def squares(person: Person, learnt: Fitted, pair: tuple[str, str], step: int) -> Doubles:
    """Return squared errors and rows of each day, (days, 2)."""
    rate, context = features.signals(person.grid)[:, 0], learning.moments_of(person.grid, step)[1]
    error = rate - learnt.lifts[pair[1]](person) - learnt.levels[pair][context]
    return real_people.summed(error**2, person.grid.date)


def rmse(person: Person, learnt: Fitted, pair: tuple[str, str], step: int) -> float:
    """Return the root of the mean square over all rows, bpm."""
    return float(np.sqrt(real_people.ratio(squares(person, learnt, pair, step).sum(axis=0))))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--source", type=Path, default=real_people.DATA)
    given = asked.parse_args()
    settings = load_settings(real_people.ROOT, environment="base")
    step, real = settings.schema.step_minutes, real_people.wearers(given.source, settings)
    pairs, days = list(product(("of_three", "published"), ("trees", "ridge", "both"))), []
    within: dict[str, list[float]] = {" ".join(pair): [] for pair in pairs}
    for left_out, person in enumerate(real):
        three = [one for i, one in enumerate(real) if i != left_out]
        inside = dict.fromkeys(pairs, 0.0)
        for other in three:
            learnt = fitted([one for one in three if one is not other], settings)
            for pair in pairs:
                inside[pair] += rmse(other, learnt, pair, step) / len(three)
        learnt = fitted(three, settings)
        told = {f"cold_{'_'.join(pair)}": squares(person, learnt, pair, step) for pair in pairs}
        days.append(told | {"cold_chosen": squares(person, learnt, min(inside, key=inside.__getitem__), step)})
        for pair in pairs:
            within[" ".join(pair)].append(round(inside[pair], 2))
    print(json.dumps({"inside_the_three": within, **real_people.figures(days)}), flush=True)


if __name__ == "__main__":
    main()
