"""Tree models made smaller: the first half or quarter of the trees. onnxruntime has no trees in 8 bits."""

from __future__ import annotations

from functools import partial

from vitalwatch.studies import judging
from vitalwatch.studies.costs import Cost, cost_of
from vitalwatch.studies.detectors import Detectors, strongest
from vitalwatch.studies.expected import expected
from vitalwatch.studies.people import Roles, with_params
from vitalwatch.studies.table import Alternative
from vitalwatch.tables import Doubles

FOREST, HEADS, EXPECTED = "Forests made smaller", "Boosted heads made smaller", "Expected heart rate made smaller"
SHARES = {"all trees (default)": 1.0, "half of the trees": 0.5, "a quarter of the trees": 0.25}
TREES = {FOREST: ("detector", "trees"), HEADS: ("supervised", "rounds"), EXPECTED: ("regressor", "rounds")}


class Compression:
    """The alternatives of the tables; trained with fewer trees, which are the first ones of more."""

    def __init__(self, roles: Roles, detectors: Detectors) -> None:
        self._roles, self._whole = roles, detectors

    def alternatives(self) -> list[Alternative]:
        """Return what stands in the tables; the first of each is what params.yaml has."""
        judges = {FOREST: ("event_f1", self._forest), HEADS: ("event_f1", self._heads), EXPECTED: ("rmse", self._rate)}
        return [
            Alternative(group, name, figure, partial(judge, share))
            for group, (figure, judge) in judges.items()
            for name, share in SHARES.items()
        ]

    def _with_trees(self, group: str, share: float) -> Roles:
        block, key = TREES[group]
        settings = self._roles.settings
        trees: int = getattr(getattr(settings.params, block), key)
        return self._roles.under(with_params(settings, block, {key: max(int(trees * share), 1)}))

    def _detectors(self, group: str, share: float) -> Detectors:
        return self._whole if share == 1.0 else Detectors(self._with_trees(group, share))

    def _forest(self, share: float) -> tuple[Doubles, Cost]:
        surprise, cost = strongest(self._detectors(FOREST, share).surprise("groups"))
        return judging.counts(self._roles, surprise), cost

    def _heads(self, share: float) -> tuple[Doubles, Cost]:
        level, cost = strongest(self._detectors(HEADS, share).level("heads"))
        return judging.counts(self._roles, level), cost

    def _rate(self, share: float) -> tuple[Doubles, Cost]:
        found = expected(self._with_trees(EXPECTED, share))
        return found.sums, cost_of(found.onnx, found.seconds, found.x)
