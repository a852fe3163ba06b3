"""How the budget of false alarms is shared: what channel A's share costs on known kinds and finds of hidden ones.

Channel B (heads) finds kinds that somebody labelled better than channel A (forests) does; a kind that nobody labelled
only channel A looks for. More of the budget for one is less for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

import numpy as np

from vitalwatch import promises
from vitalwatch.drawing import Picture
from vitalwatch.studies import judging
from vitalwatch.studies.costs import Cost
from vitalwatch.studies.detectors import Detectors, Scores, strongest
from vitalwatch.studies.people import Roles
from vitalwatch.studies.table import Alternative, Shown
from vitalwatch.tables import Bools, Doubles
from vitalwatch.tradeoffs import by_share

KNOWN_KINDS, HIDDEN_KINDS = "Channel A's share of the budget", "Channel A's share of the budget, kinds hidden"
SHARES = (0.1, 0.175, 0.25, 0.35, 0.45, 0.6, 0.8)  # today's is added
CAPTION = "What channel A's share of the false-alarm budget costs on known kinds and finds of hidden ones."


class Shares:
    """The alternatives of both tables."""

    def __init__(self, roles: Roles, detectors: Detectors) -> None:
        self._roles, self._detectors = roles, detectors

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the tables; the first of each is what params.yaml has."""
        today = promises.share(self._roles.settings.params.detector)
        shares = [today, *(share for share in SHARES if share != today)]
        judges = {KNOWN_KINDS: ("event_f1", self._known), HIDDEN_KINDS: ("recall", self._hidden)}
        return [
            Alternative(group, f"{share:g}{' (default)' if share == today else ''}", figure, partial(judge, share))
            for group, (figure, judge) in judges.items()
            for share in shares
        ]

    def _known(self, share: float) -> tuple[Doubles, Cost]:
        over = self._unusual(share) | self._heads(share, self._level)
        return self._roles.cohort("judge").score(over).counts, Cost()

    def _hidden(self, share: float) -> tuple[Doubles, Cost]:
        """Return sums over kinds, each judged without its head, as if nobody had known it."""
        cohort, unusual, sums = self._roles.cohort("judge"), self._unusual(share), []
        for number, kind in enumerate(self._roles.kinds):
            others = [head for head in range(len(self._roles.kinds)) if head != number]
            without = {role: level[:, others] for role, level in self._level.items()}
            sums.append(cohort.score(unusual | self._heads(share, without)).of_kind(kind).counts)
        return np.sum(sums, axis=0), Cost()

    def _unusual(self, share: float) -> Bools:
        """Return the judged rows over channel A's threshold, (n,)."""
        surprise, _ = strongest(self._detectors.surprise("groups"))
        return judging.over(self._roles, surprise, self._roles.settings.params.detector.budget * share)

    def _heads(self, share: float, level: Scores) -> Bools:
        """Return the judged rows over channel B's threshold, which has the rest of the budget, (n,)."""
        strongest_head = {role: one.max(axis=1) for role, one in level.items()}
        return judging.over(self._roles, strongest_head, self._roles.settings.params.detector.budget * (1 - share))

    @cached_property
    def _level(self) -> Scores:
        return self._detectors.level("heads")[0]


def picture(groups: Mapping[str, Sequence[Shown]]) -> Picture | None:
    """Draw both tables over the share, with intervals; None where they were not asked for."""
    if not {KNOWN_KINDS, HIDDEN_KINDS} <= set(groups):
        return None
    lines = {
        label: [(share_of(one), one.value.value, one.value.low, one.value.high) for one in _rising(groups[group])]
        for label, group in (("known kinds, event F1", KNOWN_KINDS), ("hidden kinds, recall", HIDDEN_KINDS))
    }
    return by_share(lines, share_of(groups[KNOWN_KINDS][0]), "shares", CAPTION)


def _rising(lines: Sequence[Shown]) -> list[Shown]:
    return sorted(lines, key=share_of)


def share_of(one: Shown) -> float:
    """Return the share that a line is about."""
    return float(one.line.name.split()[0])
