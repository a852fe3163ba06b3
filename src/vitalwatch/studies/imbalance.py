"""Rare episodes: class weights, SMOTE and cost-sensitive thresholds on the same heads, people and budget.

Whatever adds, drops or weighs rows sees rows of `learn` people only; the rows that set thresholds and those that are
judged are never resampled (Chawla et al. 2002 for SMOTE; Elkan 2001 for costs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.export import one_against_rest_to_onnx
from vitalwatch.metrics.budget import Cohort
from vitalwatch.models import episodes
from vitalwatch.runtime import Model
from vitalwatch.stages.calibrating import Seen
from vitalwatch.studies import judging
from vitalwatch.studies.costs import Cost, cost_of, processor_time
from vitalwatch.studies.detectors import Detectors, Scores, strongest
from vitalwatch.studies.judging import HELD
from vitalwatch.studies.people import Roles
from vitalwatch.studies.table import Alternative
from vitalwatch.tables import Bools, Doubles, Floats

GROUP = "Imbalance (a boosted head a kind)"
SMOTE_SHARE = 0.2  # of normal rows: as many episode rows SMOTE brings a kind to
NEIGHBOURS = 5  # of Chawla et al. 2002
MISS_COSTS = 3.0  # false alarms that a missed episode is worth
STEPS = 12  # levels of a kind's threshold that are tried


@dataclass(frozen=True)
class Rows:
    """What one head learns from: columns (n, f), whether a row is in an episode of its kind (n,), weights (n,)."""

    x: Floats
    own: Bools
    weight: Doubles


Prepare = Callable[[Floats, NDArray[np.int64], int], Rows]  # x, episode numbers (-1: none), normal rows in all


def as_served(x: Floats, episode: NDArray[np.int64], outside: int) -> Rows:
    """Return rows weighted as the pipeline weighs them."""
    return Rows(x, episode >= 0, episodes.weights(episode, outside))


def unweighted(x: Floats, episode: NDArray[np.int64], outside: int) -> Rows:
    """Return rows that all count the same."""
    return Rows(x, episode >= 0, np.ones(len(x)))


def balanced(x: Floats, episode: NDArray[np.int64], outside: int) -> Rows:
    """Return rows weighted so that episodes count as much as everything else together (`class_weight=balanced`)."""
    own = episode >= 0
    share = max(float(own.mean()), 1e-9)
    return Rows(x, own, np.where(own, 0.5 / share, 0.5 / max(1 - share, 1e-9)))


def undersampled(x: Floats, episode: NDArray[np.int64], outside: int) -> Rows:
    """Return all rows of episodes and as many others, drawn."""
    own = episode >= 0
    others = np.flatnonzero(~own)
    drawn = np.random.default_rng(len(x)).choice(others, min(int(own.sum()), len(others)), replace=False)
    rows = np.sort(np.concatenate((np.flatnonzero(own), drawn)))
    return Rows(x[rows], own[rows], np.ones(len(rows)))


def smoted(x: Floats, episode: NDArray[np.int64], outside: int) -> Rows:
    """Return the rows and new ones between neighbouring rows of episodes, up to SMOTE_SHARE of the normal rows."""
    from imblearn.over_sampling import SMOTE

    own = episode >= 0
    wanted = int(SMOTE_SHARE * (~own).sum())
    if own.sum() <= NEIGHBOURS or own.sum() >= wanted:
        return unweighted(x, episode, outside)
    sampler = SMOTE(sampling_strategy={True: wanted}, k_neighbors=NEIGHBOURS, random_state=len(x))
    more, told = sampler.fit_resample(x, own)
    return Rows(more.astype(np.float32), told.astype(np.bool_), np.ones(len(more)))


def fit_heads(seen: Seen, kinds: int, chosen: params.Supervised, seed: int, threads: int, prepare: Prepare) -> bytes:
    """Train a head a kind on `learn` rows as `prepare` makes them of each head's; return ONNX as `episodes.fit` does.

    Args:
        seen: Rows of people to learn from, nobody else's.
        kinds: How many kinds there are.
        chosen: Hyperparameters.
        seed: For the normal rows drawn and LightGBM.
        threads: Cores to use.
        prepare: Weighs, drops or adds rows.
    """
    import lightgbm

    normal = episodes.normal_rows(seen.episode, chosen.normal_rows, seed)
    outside, heads = int((seen.episode < 0).sum()), []
    for kind in range(kinds):
        used = np.sort(np.concatenate((np.flatnonzero(seen.kind == kind), normal)))
        rows = prepare(seen.x[used], seen.episode[used], outside)
        data = lightgbm.Dataset(rows.x, rows.own.astype(np.float32), weight=rows.weight, free_raw_data=True)
        heads.append(lightgbm.train(episodes.options(chosen, seed, threads), data, chosen.rounds))
    return one_against_rest_to_onnx(heads, seen.x.shape[1])


class Imbalance:
    """The alternatives of the table."""

    def __init__(self, roles: Roles, detectors: Detectors) -> None:
        self._roles, self._detectors = roles, detectors

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the table; the first is what params.yaml has."""
        trained: dict[str, Prepare] = {
            "no weights": unweighted,
            "class weights, balanced": balanced,
            "as many normal rows as episode rows": undersampled,
            f"SMOTE to {SMOTE_SHARE:.0%} of normal rows": smoted,
        }
        table: dict[str, Callable[[], tuple[Doubles, Cost]]] = {
            "normal rows for all, episodes by root of length (default)": self._served,
            **{name: partial(self._trained, prepare) for name, prepare in trained.items()},
            "cost-sensitive: a threshold a kind, budget spent where it finds most": self._by_kind,
            f"cost-sensitive: a miss costs {MISS_COSTS:.0f} false alarms, no budget": self._by_cost,
        }
        return [Alternative(GROUP, name, "event_f1", judge) for name, judge in table.items()]

    def _served(self) -> tuple[Doubles, Cost]:
        level, cost = self._detectors.level("heads")
        return self._counts(level), cost

    def _trained(self, prepare: Prepare) -> tuple[Doubles, Cost]:
        roles, params = self._roles, self._roles.settings.params
        jobs, kinds = roles.settings.config.jobs, len(roles.kinds)
        with processor_time() as clock:
            made = fit_heads(roles.seen("learn"), kinds, params.supervised, params.seed, jobs, prepare)
        margins = {role: Model(made).run(x=roles.seen(role).x)["margin"] for role in HELD}
        return self._counts(judging.on_levels(roles, margins)), cost_of(made, clock.seconds, roles.seen("judge").x)

    def _counts(self, level: Scores) -> Doubles:
        return judging.counts(self._roles, {role: level[role].max(axis=1) for role in HELD})

    def _by_kind(self) -> tuple[Doubles, Cost]:
        level, cost = self._detectors.level("heads")
        roles, served = self._roles, judging.own(self._roles, strongest((level, cost))[0])
        persisted = {
            role: judging.by_column(roles.cohort(role), level[role] / served.factors[role][:, None]) for role in HELD
        }
        limits = spent_where_it_finds_most(
            roles.cohort("calibrate"), persisted["calibrate"], roles.settings.params.detector.budget
        )
        over: Bools = np.asarray((persisted["judge"] > limits).any(axis=1))
        return roles.cohort("judge").score(over).counts, cost

    def _by_cost(self) -> tuple[Doubles, Cost]:
        level, cost = strongest(self._detectors.level("heads"))
        roles, served = self._roles, judging.own(self._roles, level)
        persisted = {role: judging.levels(roles.cohort(role), level[role] / served.factors[role]) for role in HELD}
        limit = least_cost(roles.cohort("calibrate"), persisted["calibrate"], MISS_COSTS)
        return roles.cohort("judge").score(persisted["judge"] > limit).counts, cost


def least_cost(cohort: Cohort, level: Doubles, miss_costs: float) -> float:
    """Return the threshold with the least of false alarms + `miss_costs` x missed episodes on these people.

    Args:
        cohort: Calibration people.
        level: Persisted score of each row, (n,).
        miss_costs: False alarms that a missed episode is worth.
    """
    known = level[np.isfinite(level)]
    limits = np.unique(np.quantile(known, 1 - np.geomspace(1e-5, 0.05, 4 * STEPS)))
    costs = []
    for limit in limits:
        verdict = cohort.judged(cohort.alarms(level > limit))
        costs.append(float(verdict.false.sum()) + miss_costs * float((~verdict.detected).sum()))
    return float(limits[int(np.argmin(costs))])


def spent_where_it_finds_most(cohort: Cohort, level: Doubles, budget: float) -> Doubles:
    """Return a threshold a kind: the one is lowered next that finds most episodes for a false alarm, until the budget.

    Args:
        cohort: Calibration people.
        level: Persisted score of each row by kind, (n, kinds).
        budget: False alarms per worn person-day of new people, all kinds together.

    Returns:
        Thresholds (kinds,), infinite where a kind is never worth it.
    """
    ladders = [_ladder(column[np.isfinite(column)]) for column in level.T]
    place = np.full(len(ladders), -1)
    over = np.zeros(len(level), np.bool_)
    found, false = 0, 0
    while True:
        best: tuple[float, int, Bools, int, int] | None = None
        for kind, ladder in enumerate(ladders):
            if place[kind] + 1 >= len(ladder):
                continue
            with_it = over | (level[:, kind] > ladder[place[kind] + 1])
            verdict = cohort.judged(cohort.alarms(with_it))
            hits, alarms = int(verdict.detected.sum()), int(verdict.false.sum())
            worth = (hits - found + 1e-3) / (max(alarms - false, 0) + 0.5)
            if (best is None or worth > best[0]) and judging.rate_of_rows(cohort, with_it) <= budget:
                best = (worth, kind, with_it, hits, alarms)
        if best is None:
            break
        _, kind, over, found, false = best
        place[kind] += 1
    return np.asarray([ladder[at] if at >= 0 else np.inf for ladder, at in zip(ladders, place, strict=True)])


def _ladder(known: Doubles) -> Doubles:
    """Return falling thresholds that ever more rows are above."""
    return np.unique(np.quantile(known, 1 - np.geomspace(1e-5, 0.02, STEPS)))[::-1] if len(known) else np.zeros(0)
