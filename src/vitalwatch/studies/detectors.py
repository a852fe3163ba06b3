"""Detectors beside each other: forests on everything or by organ group, richer features, ensembles, simple lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features, promises
from vitalwatch.lines import detection as lines
from vitalwatch.models import anomaly, episodes
from vitalwatch.models.anomaly import Groups
from vitalwatch.runtime import Model
from vitalwatch.scoring import ALONE
from vitalwatch.splits import TRAIN
from vitalwatch.stages import train
from vitalwatch.stages.calibrating import Seen
from vitalwatch.studies import judging
from vitalwatch.studies.costs import Cost, cost_of, processor_time, total
from vitalwatch.studies.judging import HELD
from vitalwatch.studies.people import Roles, members
from vitalwatch.studies.table import Alternative
from vitalwatch.tables import MINUTE, Bools, Doubles, Floats

UNLABELLED, LABELLED = "Detector, labels unseen", "Detector, labelled episodes"
CHANGES = (60, 360)  # minutes back that extended features also tell the change over
SEEDS = 3  # members of an ensemble of equals
MORE_TREES = {"twice": 2, "many": SEEDS}
Scores = dict[str, Doubles]  # role -> score of its rows


class Detectors:
    """The alternatives of both tables; what several of them share is made once."""

    def __init__(self, roles: Roles) -> None:
        self._roles, self._kept = roles, dict[str, Any]()

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the tables; the first of a group is what params.yaml has."""
        unlabelled: dict[str, Callable[[], tuple[Scores, Cost]]] = {
            "forests by organ group (default)": lambda: strongest(self.surprise("groups")),
            "one forest on all features": lambda: strongest(self.surprise("single")),
            "forests by group, extended features": lambda: strongest(self.surprise("wide")),
            "forests by group, twice the trees": lambda: strongest(self.surprise("twice")),
            f"ensemble: {SEEDS} times the trees": lambda: strongest(self.surprise("many")),
            "ensemble: groups and one forest, mean": self._groups_and_single,
            "one forest on raw vitals": self._raw,
            "largest |z| of any vital": self._max_z,
        }
        labelled: dict[str, Callable[[], tuple[Scores, Cost]]] = {
            "boosted head a kind (default)": lambda: strongest(self.level("heads")),
            "one boosted head for all kinds": lambda: strongest(self.level("one head")),
            "head a kind, extended features": lambda: strongest(self.level("wide heads")),
            f"ensemble: {SEEDS} seeds of heads, mean": self._many_heads,
            "ensemble: mean of both channels' scores": self._mean_of_both,
        }
        found = [
            Alternative(group, name, "event_f1", partial(self._judged, make))
            for group, table in ((UNLABELLED, unlabelled), (LABELLED, labelled))
            for name, make in table.items()
        ]
        each: dict[tuple[str, str], Callable[[], tuple[Scores, Cost]]] = {
            (UNLABELLED, "forests by organ group, a threshold a group"): lambda: self.surprise("groups"),
            (LABELLED, "boosted head a kind, a threshold a kind, equal shares"): lambda: self.level("heads"),
        }
        found += [Alternative(*name, "event_f1", partial(self._judged_each, make)) for name, make in each.items()]
        return [*found, Alternative(LABELLED, "both channels, budget split as served", "event_f1", self._both)]

    def _judged(self, make: Callable[[], tuple[Scores, Cost]]) -> tuple[Doubles, Cost]:
        score, cost = make()
        return judging.counts(self._roles, score), cost

    def _judged_each(self, make: Callable[[], tuple[Scores, Cost]]) -> tuple[Doubles, Cost]:
        score, cost = make()
        return self._roles.cohort("judge").score(judging.over_each(self._roles, score)).counts, cost

    def _groups_and_single(self) -> tuple[Scores, Cost]:
        (groups, a), (single, b) = self.surprise("groups"), self.surprise("single")
        return {role: (groups[role].max(axis=1) + single[role][:, 0]) / 2 for role in groups}, total(a, b)

    def _raw(self) -> tuple[Scores, Cost]:
        rng = np.random.default_rng(self._roles.settings.params.seed)
        watched = self._roles.watched("learn")
        with processor_time() as clock:
            score = lines.fit_raw_forest(watched, rng)
        return judging.rarity(self._roles, self._of_watched(score)), Cost(round(clock.seconds, 2))

    def _max_z(self) -> tuple[Scores, Cost]:
        rows = judging.averaged_rows(self._roles)
        told = self._of_watched(lambda watched: lines.largest_deviation(watched, rows))
        return judging.rarity(self._roles, told, averages=False), Cost(0.0, 0)

    def _of_watched(self, score: Callable[[lines.Watched], Floats]) -> Scores:
        roles = self._roles
        return {role: roles.judged_rows(role, [score(one) for one in roles.watched(role)]) for role in HELD}

    def _many_heads(self) -> tuple[Scores, Cost]:
        every = [self.level(name) for name in ("heads", *(f"seed {i}" for i in range(1, SEEDS)))]
        mean = {role: np.mean([level[role] for level, _ in every], axis=0).max(axis=1) for role in HELD}
        return mean, total(*(cost for _, cost in every))

    def _mean_of_both(self) -> tuple[Scores, Cost]:
        (surprise, a), (level, b) = strongest(self.surprise("groups")), strongest(self.level("heads"))
        return {role: (surprise[role] + level[role]) / 2 for role in HELD}, total(a, b)

    def _both(self) -> tuple[Doubles, Cost]:
        roles = self._roles
        promised = promises.promised(roles.settings.params.detector, known=True)
        (surprise, a), (level, b) = strongest(self.surprise("groups")), strongest(self.level("heads"))
        over = judging.over(roles, surprise, promised["unusual"]) | judging.over(roles, level, promised["known"])
        return roles.cohort("judge").score(over).counts, total(a, b)

    def surprise(self, name: str) -> tuple[Scores, Cost]:
        """Return forests' surprise by group, (n, g) of each held role: `groups`, `single`, `wide`, `twice`, `many`."""
        groups = {"single": {"all": range(len(features.NAMES))}, "wide": _wide(features.GROUPS)}
        return self._once(f"forests {name}", lambda: self._forests(name, groups.get(name, features.GROUPS)))

    def _forests(self, name: str, groups: Groups) -> tuple[Scores, Cost]:
        params, wide = self._roles.settings.params, name == "wide"
        chosen = params.detector
        if name in MORE_TREES:
            chosen = chosen.model_copy(update={"trees": MORE_TREES[name] * chosen.trees})
        rows = self._columns("learn", wide)[self._even()]
        with processor_time() as clock:
            made = anomaly.fit(rows, chosen, params.seed, groups)
        scores = {role: Model(made).run(x=self._columns(role, wide))["score"] for role in HELD}
        several = len(groups) > 1
        told = judging.surprise(self._roles, scores, of_groups=several, alone=ALONE if several else ())
        return told, cost_of(made, clock.seconds, self._columns("judge", wide))

    def _even(self) -> Bools:
        """Return the rows that the pipeline's forests learn from, whatever is in them, (n,)."""
        learners = members(self._roles.people["learn"], TRAIN)
        stride = train.stride_of(learners, self._roles.settings)
        return train.even_rows(self._roles.seen("learn").time, stride, self._roles.settings)

    def level(self, name: str) -> tuple[Scores, Cost]:
        """Return heads' scores by kind, (n, kinds) of each held role: `heads`, `one head`, `wide heads`, `seed N`."""
        return self._once(name, lambda: self._fit_heads(name))

    def _fit_heads(self, name: str) -> tuple[Scores, Cost]:
        params, jobs, seen = self._roles.settings.params, self._roles.settings.config.jobs, self._roles.seen("learn")
        wide, kinds, kind = name == "wide heads", len(self._roles.kinds), seen.kind
        if name == "one head":
            kinds, kind = 1, np.where(seen.episode >= 0, 0, -1)
        seed = params.seed + (int(name.split()[1]) if name.startswith("seed") else 0)
        rows = self._columns("learn", wide)
        with processor_time() as clock:
            made = episodes.fit(rows, seen.episode, kind, kinds, params.supervised, seed, jobs)
        margins = {role: Model(made).run(x=self._columns(role, wide))["margin"] for role in HELD}
        return judging.on_levels(self._roles, margins), cost_of(made, clock.seconds, self._columns("judge", wide))

    def _columns(self, role: str, wide: bool) -> Floats:
        seen = self._roles.seen(role)
        return self._once(f"columns of {role}", lambda: extended(seen)) if wide else seen.x

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]


def extended(seen: Seen) -> Floats:
    """Return all columns and their change over the last hour and six, float32 (n, 3 f); 0 where nothing was before."""
    parts = [seen.x]
    for minutes in CHANGES:
        before = _rows_before(seen, minutes * MINUTE)
        change = seen.x - seen.x[np.maximum(before, 0)]
        change[before < 0] = 0.0
        parts.append(change)
    return np.concatenate(parts, axis=1)


def _rows_before(seen: Seen, ms: int) -> NDArray[np.intp]:
    """Return the row of the same person that long before each row, -1 where there is none, (n,)."""
    key = seen.person * np.int64(10**13) + seen.time
    place = np.minimum(np.searchsorted(key, key - ms), len(key) - 1)
    return np.where(key[place] == key - ms, place, -1)


def _wide(groups: Groups) -> Groups:
    """Return groups that also see the changes of their columns."""
    width = len(features.NAMES)
    return {
        name: [column + shift * width for shift in range(len(CHANGES) + 1) for column in columns]
        for name, columns in groups.items()
    }


def strongest(told: tuple[Scores, Cost]) -> tuple[Scores, Cost]:
    """Return the largest of each row's scores, (n,) of each role."""
    scores, cost = told
    return {role: score.max(axis=1) for role, score in scores.items()}, cost
