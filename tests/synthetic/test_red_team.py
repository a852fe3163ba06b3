"""Attacks on the simulator: what an episode leaves untouched, its edges and the bookkeeping must not give it away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vitalwatch.baseline import SPARSE
from vitalwatch.synthetic import SyntheticPerson, person
from vitalwatch.synthetic.events import ENROLMENT, KINDS
from vitalwatch.tables import DAY, Event

pytestmark = pytest.mark.slow
SEED, PEOPLE = 31, 150
CHANCE = 0.5
ROWS_WITH_IT = {"heart_rate_spread", "signal_quality", "oxygen_saturation_min"}  # details of another channel
MOVED_BY_WALKING = {name for name, kind in KINDS.items() if kind.removes or kind.place == "bout"}
# Whose first row is in the effect: a bout's first step, and atrial fibrillation sets in from one beat to the next.
AT_ONCE = {"chronotropic_incompetence", "irregular_rhythm"}
FORGOTTEN = 12  # rows until a heart has forgotten a bout
SLOWLY = 6  # rows beside an edge


@pytest.fixture(scope="module")
def pairs(settings) -> list[tuple[SyntheticPerson, SyntheticPerson]]:
    """The same people with their episodes and without."""
    params = settings.params.synthetic
    well = params.model_copy(update={"prevalence": "natural", "natural_share": 0.0})
    return [
        (person(index, settings.schema, params, SEED), person(index, settings.schema, well, SEED))
        for index in range(PEOPLE)
    ]


def inside(one: SyntheticPerson, event: Event, days: int = 0) -> np.ndarray:
    time = one.readings.time - days * DAY
    return (time >= event.start) & (time < event.end)


def average(one: SyntheticPerson, column: str, rows: np.ndarray) -> float:
    values = one.readings.column(column)[rows]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else np.nan


def quiet(one: SyntheticPerson, event: Event, days: int) -> bool:
    """Whether the same hours some days apart are after enrolment and far from every episode."""
    start, end = event.start + days * DAY, event.end + days * DAY
    free = all(end + DAY / 2 <= other.start or other.end + DAY / 2 <= start for other in one.events)
    return free and start >= one.readings.time[0] + ENROLMENT * DAY and end <= one.readings.time[-1]


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in MOVED_BY_WALKING])
def test_a_channel_that_an_episode_does_not_touch_scores_chance_on_it(pairs, settings, kind):
    """Against the same hours of other days of the same person."""
    for column in set(settings.schema.vitals) - set(KINDS[kind].channels) - ROWS_WITH_IT:
        during, apart = [], []
        for ill, _ in pairs:
            for event in (one for one in ill.events if one.kind == kind):
                usual = [
                    average(ill, column, inside(ill, event, d)) for d in range(-9, 10) if d and quiet(ill, event, d)
                ]
                usual = [value for value in usual if np.isfinite(value)]
                here = average(ill, column, inside(ill, event))
                if len(usual) > 3 and np.isfinite(here):
                    during.append(here - np.mean(usual))
                    apart += [value - (sum(usual) - value) / (len(usual) - 1) for value in usual]

        assert len(during) >= 30
        score = roc_auc_score(np.repeat([1, 0], [len(during), len(apart)]), during + apart)
        assert abs(score - CHANCE) < 3.5 * 0.29 / np.sqrt(len(during)), column  # 0.29: spread of a uniform rank


def walked_alike(ill: SyntheticPerson, well: SyntheticPerson) -> np.ndarray:
    """Return the rows before which as much was walked in both lives for 4 hours, until effort is forgotten."""
    same = ill.readings.column("steps") == well.readings.column("steps")
    alike: np.ndarray = np.convolve(~same, np.ones(48))[: len(same)] == 0
    return alike


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_an_episode_does_not_touch_moves_only_by_the_walks_that_it_takes(pairs, settings, kind):
    """Where as much was walked as in the life without the episode, values differ by a digit of the display at most."""
    untouched = set(settings.schema.vitals) - set(KINDS[kind].channels) - ROWS_WITH_IT
    seen = dict.fromkeys(untouched, 0)
    for ill, well in pairs:
        alike = walked_alike(ill, well)
        for event in (one for one in ill.events if one.kind == kind):
            rows = inside(ill, event) & alike
            for column in untouched:
                a, b = (one.readings.column(column)[rows] for one in (ill, well))
                digit = 1.01 if column.startswith("blood_pressure") else 0.101  # of the display
                np.testing.assert_allclose(a, b, atol=digit)
                seen[column] += int(np.isfinite(a).sum())

    assert all(count >= (10 if column in SPARSE else 200) for column, count in seen.items()), seen


@pytest.mark.parametrize("kind", sorted(set(KINDS) - AT_ONCE))
@pytest.mark.parametrize("edge", ["start", "end"])
def test_the_edge_of_an_episode_carries_no_mark(pairs, settings, kind, edge):
    """The step over the edge is no larger than that of the same person at the same moment without the episode.

    A cuff, hours apart, tells no step over an edge.
    """
    often = set(KINDS[kind].channels) - set(SPARSE)
    jumps: dict[str, list[list[float]]] = {column: [[], []] for column in often}
    for ill, well in pairs:
        for event in (one for one in ill.events if one.kind == kind):
            row = rows_at(ill, event)[edge == "end"]
            if SLOWLY <= row < len(ill.readings) - SLOWLY:
                for column, found in jumps.items():
                    for one, into in zip((well, ill), found, strict=True):
                        before, after = one.readings.column(column)[row - 1 : row + 1].tolist()
                        if np.isfinite(before) and np.isfinite(after):
                            into.append(abs(after - before))

    for column, (usual, marked) in jumps.items():
        assert min(len(usual), len(marked)) >= 30, column
        score = roc_auc_score(np.repeat([0, 1], [len(usual), len(marked)]), usual + marked)
        assert abs(score - CHANCE) < 0.1, column


def rows_at(one: SyntheticPerson, event: Event) -> tuple[int, int]:
    """Return the first row that an episode is in, and the first one after it; a row tells the time that follows it."""
    step = int(np.diff(one.readings.time).min())
    start, end = np.searchsorted(one.readings.time, (event.start - step + 1, event.end))
    return int(start), int(end)


def at_edges(one: SyntheticPerson, event: Event, names: Sequence[str]) -> np.ndarray:
    """Return the rows just outside an episode, two before it and two after (of a bout: when it is forgotten).

    Each value against the day before, its step from the row before, what is missing, and how far away that row is.
    """
    time = one.readings.time
    start, end = rows_at(one, event)
    end += FORGOTTEN * (KINDS[event.kind].place == "bout")
    rows = np.array([start - 2, start - 1, end, end + 1])
    rows = rows[(rows > 0) & (rows < len(time))]
    values = np.stack([one.readings.column(name) for name in names], axis=1)
    usual = (
        np.nanmedian(values[max(start - 288, 0) : start - 2], axis=0) if start > 290 else np.nanmedian(values, axis=0)
    )
    gap = (time[rows] - time[rows - 1]).astype(np.float64)
    steps = values[rows] - values[rows - 1]
    return np.column_stack([values[rows] - usual, steps, np.abs(steps), np.isnan(values[rows]), gap]).astype(np.float32)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_detector_of_the_rows_beside_an_episode_scores_chance(pairs, settings, kind):
    """Against the same rows of the life without it, where there is nothing; by people it has not learnt from."""
    names = (*settings.schema.vitals, "steps", "signal_quality", "heart_rate_spread", "oxygen_saturation_min")
    names = tuple(dict.fromkeys(names))
    x, y, who = [], [], []
    for number, pair in enumerate(pairs):
        for event in (one for one in pair[0].events if one.kind == kind and alone(pair[0], one)):
            for label, one in enumerate(reversed(pair)):
                rows = at_edges(one, event, names)
                x.append(rows)
                y.append(np.full(len(rows), label))
                who.append(np.full(len(rows), number))
    labels = np.concatenate(y)

    assert labels.sum() >= 80
    assert abs(roc_auc_score(labels, told_by_others(np.concatenate(x), labels, np.concatenate(who))) - CHANCE) < 0.08


def alone(one: SyntheticPerson, event: Event) -> bool:
    """Whether no other episode is within half a day, whose after-effects would be told."""
    others = (other for other in one.events if other != event)
    return all(event.end + DAY / 2 <= other.start or other.end + DAY / 2 <= event.start for other in others)


def told_by_others(features: np.ndarray, labels: np.ndarray, people: np.ndarray, least: int = 20) -> np.ndarray:
    """Return what boosted trees of the other two thirds of the people say of each row."""
    import lightgbm

    told = np.zeros(len(labels))
    options = {"objective": "binary", "num_leaves": 8, "min_data_in_leaf": least, "verbose": -1, "num_threads": 1,
               "deterministic": True, "seed": 1}  # fmt: skip
    for fold in range(3):
        asked = people % 3 == fold
        trees = lightgbm.train(options, lightgbm.Dataset(features[~asked], labels[~asked]), 60)
        told[asked] = trees.predict(features[asked])
    return told


def test_walks_are_given_up_gradually(pairs):
    """In the first and the last tenth of a fever more of them are left than in its middle."""
    left = {"edges": [0.0, 0.0], "middle": [0.0, 0.0]}
    for ill, well in pairs:
        for event in (one for one in ill.events if one.kind == "fever"):
            share = (ill.readings.time - event.start) / (event.end - event.start)
            for name, rows in (
                ("edges", ((share >= 0) & (share < 0.08)) | ((share >= 0.92) & (share < 1))),
                ("middle", (share > 0.3) & (share < 0.7)),
            ):
                for k, one in enumerate((ill, well)):
                    left[name][k] += float(np.nansum(one.readings.column("steps")[rows]))

    assert left["middle"][0] < 0.75 * left["middle"][1]
    assert left["edges"][0] / left["edges"][1] > left["middle"][0] / left["middle"][1] + 0.1


def bookkeeping(one: SyntheticPerson, names: Sequence[str]) -> np.ndarray:
    """Return what a generator might let slip beside the vitals, a row a reading."""
    time = one.readings.time
    gap = np.diff(time, prepend=time[0])
    missing = np.stack([np.isnan(one.readings.column(name)) for name in names], axis=1)
    before = np.cumsum(missing, axis=0)
    hour = 12
    recent = before - np.concatenate([np.zeros((hour, len(names))), before])[: len(before)]
    day = (time - time[0]) // DAY
    rows_a_day = np.bincount(day)[day]
    quality = one.readings.column("signal_quality")
    order = np.arange(len(time)) - np.searchsorted(day, day)
    return np.column_stack([quality, gap, missing, recent, rows_a_day, order]).astype(np.float32)


def test_a_detector_of_bookkeeping_alone_scores_chance(pairs, settings):
    """Episodes that take no walks, against the same hours of other days, by people it has not learnt from."""
    x, y, who = [], [], []
    for number, (ill, _) in enumerate(pairs):
        columns = bookkeeping(ill, settings.schema.vitals)
        for event in (one for one in ill.events if one.kind not in MOVED_BY_WALKING):
            for days in range(-9, 10):
                if days == 0 or quiet(ill, event, days):
                    rows = inside(ill, event, days)
                    x.append(columns[rows])
                    y.append(np.full(rows.sum(), days == 0))
                    who.append(np.full(rows.sum(), number))
    features, labels, people = np.concatenate(x), np.concatenate(y), np.concatenate(who)
    told = told_by_others(features, labels, people, least=200)

    assert abs(roc_auc_score(labels, told) - CHANCE) < 0.05


@pytest.mark.parametrize("kind", sorted(MOVED_BY_WALKING))
def test_bookkeeping_of_an_illness_that_takes_walks_scores_chance(pairs, settings, kind):
    """Against the life without it, where as much was walked in both; by people it has not learnt from."""
    x, y, who = [], [], []
    for number, (ill, well) in enumerate(pairs):
        columns = [bookkeeping(one, settings.schema.vitals) for one in (ill, well)]
        alike = walked_alike(ill, well)
        for event in (one for one in ill.events if one.kind == kind):
            rows = inside(ill, event) & alike
            for label, told in zip((1, 0), columns, strict=True):
                x.append(told[rows])
                y.append(np.full(rows.sum(), label))
                who.append(np.full(rows.sum(), number))
    features, labels, people = np.concatenate(x), np.concatenate(y), np.concatenate(who)

    assert labels.sum() >= 100
    assert abs(roc_auc_score(labels, told_by_others(features, labels, people, least=50)) - CHANCE) < 0.06
