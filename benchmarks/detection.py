"""How well episodes are found by detectors trained here, on people made here: no run is needed, none is touched.

    OMP_NUM_THREADS=1 python benchmarks/detection.py [--learn 240 60] [--only known unusual hidden shifted natural]

Prints JSON lines: for each number of training people what each channel finds, with 95 % intervals. Training,
calibration and judged people come from seeds of their own (the run's + 31, + 32, + 33), so neither the people of a run
nor those that settings were chosen on (the run's + 11 to + 13) are among those judged. The thresholds are those that
calibration people allow; nothing is chosen on those judged.

- `known`, `unusual`: a channel alone, at shares of the most false alarms allowed (0.12 a worn person-day), with
  the false alarms met beside those promised, and recall by kind.
- `hidden`: recall of a kind that channel B never had, both channels together, at 0.12 and 0.20. A head knows its
  kind and normal rows only, so leaving out its head leaves out its kind. Channel A never sees labels; of the rows
  that it learns from, those in episodes of a kind are a few in a hundred.
- `shifted`: the same thresholds on people of the same seed in another world (`quality.SHIFTED`).
- `natural`: precision of channel B among people with the natural share of episodes, at the threshold that finds 0.65
  of the calibration people's episodes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from quality import MOST_FALSE_ALARMS, ROOT, SHIFTED, rounded, show
from vitalwatch import cleaning, learning, own_level, synthetic
from vitalwatch.metrics import bootstrap
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import EventScore, Rule
from vitalwatch.models import anomaly
from vitalwatch.own_level import Usual
from vitalwatch.residuals import Learnt
from vitalwatch.runtime import Model
from vitalwatch.scoring import Calibration, Detector
from vitalwatch.settings import Settings, load_settings
from vitalwatch.splits import CALIBRATION, TRAIN
from vitalwatch.stages import train
from vitalwatch.stages.people import Member
from vitalwatch.stages.train import Seen
from vitalwatch.tables import Bools, Doubles

LEARN, CALIBRATE, JUDGE = 31, 32, 33  # added to the run's seed
BUDGETS = (0.03, 0.045, 0.065, 0.1)  # promised for a channel alone
HIDDEN_AT = (0.12, 0.20)
SHARE_OF_UNUSUAL = 0.6  # of those, for channel A
RECALL_AT_HOME = 0.65
PARTS = ("known", "unusual", "hidden", "shifted", "natural")

Table = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """Rows of people as the channels see them, one person after the other.

    Attributes:
        cohort: What they are judged on.
        unusual: Persisted surprise (n,).
        known: Persisted level of each kind (n, kinds).
    """

    cohort: Cohort
    unusual: Doubles
    known: Doubles

    def levels(self, without: int | None = None) -> dict[str, Doubles]:
        """Return each channel's persisted score, (n,); channel B's without one head."""
        heads = [k for k in range(self.known.shape[1]) if k != without]
        return {"unusual": self.unusual, "known": self.known[:, heads].max(axis=1)}


@dataclass(frozen=True)
class Trained:
    """What was learnt from some people."""

    learnt: Learnt
    kinds: tuple[str, ...]
    forest: Model
    heads: Model
    detector: Detector
    settings: Settings

    def _own_level(self, seen: Seen, scores: Doubles, blocks: Usual) -> Doubles:
        """Return what each row's score is divided by, (n,), as when served."""
        params = self.settings.params
        plan = own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)
        judged = np.where(seen.sure, scores, np.nan)
        return own_level.factors_of(judged, [track.time for track in seen.tracks], blocks, plan)

    def scored(self, members: Sequence[Member]) -> Scored:
        """Return people as this detector sees them."""
        seen, _ = train.see(members, CALIBRATION, self.learnt, self.settings, self.kinds, 0)
        rule = Rule.of_params(self.settings.params.alarms, self.settings.schema.step_ms)
        cohort = Cohort(seen.tracks, rule)
        by_group = self.forest.run(x=seen.x)["score"]
        unusual = self.detector.surprise(by_group, seen.x).max(axis=1)
        level = self.detector.level(self.heads.run(x=seen.x)["margin"])
        limits = self.detector.calibration
        own = [
            self._own_level(seen, unusual, limits.unusual_blocks),
            self._own_level(seen, level.max(axis=1), limits.known_blocks),
        ]
        columns = [persisted(cohort, seen, column) for column in (unusual / own[0], *(level / own[1][:, None]).T)]
        return Scored(cohort, columns[0], np.stack(columns[1:], axis=1))


def persisted(cohort: Cohort, seen: Seen, score: Doubles) -> Doubles:
    stops = np.cumsum([len(track.time) for track in seen.tracks])[:-1]
    return cohort.levels(np.split(np.where(seen.sure, score, np.nan), stops))


def people(
    count: int, part: int, seed: int, settings: Settings, moved: Mapping[str, float | str] | None = None
) -> list[Member]:
    """Return people made anew, every row of one part.

    Args:
        count: How many.
        part: Index into `splits.PARTS`.
        seed: Added to the run's.
        settings: Of the repository.
        moved: Settings of the simulator that differ.
    """
    world = settings.params.synthetic.model_copy(update=dict(moved or {}))

    def one(index: int) -> Member:
        made = synthetic.person(index, settings.schema, world, settings.params.seed + seed)
        grid = cleaning.to_grid(made.readings, settings.schema, settings.params.cleaning)
        return Member(grid, made.profile, made.events, np.full(len(grid), part, np.int8), False)

    found: list[Member] = Parallel(settings.config.jobs, prefer="threads")(delayed(one)(i) for i in range(count))
    return found


def trained(learners: Sequence[Member], calibrators: Sequence[Member], settings: Settings) -> Trained:
    """Train both channels as the pipeline does."""
    params, step = settings.params, settings.schema.step_minutes
    crowd = [member.until(TRAIN) for member in learners]
    learnt = learning.learn(crowd, params.regressor, params.baseline, step, params.seed, settings.config.jobs)[1]
    kinds = tuple(sorted({event.kind for member in learners for event in member.events or ()}))
    seen, _ = train.see(learners, TRAIN, learnt, settings, kinds, 0)
    even = train._even(seen.time, train.stride_of(learners, settings), settings)
    forest = anomaly.fit(seen.x[even], params.detector, params.seed)
    heads = train._heads(seen, kinds, settings)
    if heads is None:
        raise SystemExit("Too few labelled episodes among so few people: give --learn more.")
    held, _ = train.see(calibrators, CALIBRATION, learnt, settings, kinds, 0)
    found: Calibration = train._calibrate(held, forest, heads, kinds, settings)
    return Trained(learnt, kinds, Model(forest), Model(heads), Detector(Model(forest), Model(heads), found), settings)


class Desk:
    """Judges scored people at thresholds of calibration people, and words the figures."""

    def __init__(self, held: Scored, settings: Settings) -> None:
        self._held, self._settings = held, settings

    def threshold(self, level: Doubles, budget: float) -> float:
        """Return the threshold that calibration people allow for a budget."""
        return self._held.cohort.thresholds_for_budgets(level, [budget], for_new_people=True)[0]

    def channel(self, name: str, judged: Scored) -> list[Table]:
        """Return figures of a channel alone at each of BUDGETS."""
        mine, theirs = self._held.levels()[name], judged.levels()[name]
        told = []
        for budget in BUDGETS:
            score = judged.cohort.score(theirs > self.threshold(mine, budget))
            told.append({"promised": budget, **self.figures(score), "recall_by_kind": self.by_kind(score)})
        return told

    def hidden(self, kinds: Sequence[str], judged: Scored) -> list[Table]:
        """Return recall of each kind while its head is left out, both channels together."""
        told = []
        for total in HIDDEN_AT:
            sums, rates, by_kind = [], [], {}
            for number, kind in enumerate(kinds):
                score = judged.cohort.score(self._either(judged, total, number))
                counts = score.of_kind(kind).counts
                by_kind[kind] = round(float(counts[:, 1].sum() / max(counts[:, 0].sum(), 1)), 2)
                sums.append(counts[:, :2])
                rates.append(score.false_alarms_per_day)
            draws = self._draws(len(judged.cohort.tracks))
            pooled = np.stack(sums).sum(axis=0)
            recall = bootstrap.estimate(lambda s: bootstrap.ratio(s[..., 1], s[..., 0]), pooled, draws, 0.95)
            macro = round(float(np.mean(list(by_kind.values()))), 3)
            told.append(
                {
                    "promised": total,
                    "recall": rounded(recall.table()),
                    "mean_over_kinds": macro,
                    "false_alarms_per_day": round(float(np.mean(rates)), 3),
                    "recall_by_kind": by_kind,
                }
            )
        return told

    def _either(self, judged: Scored, total: float, without: int) -> Bools:
        shares = {"unusual": SHARE_OF_UNUSUAL, "known": 1 - SHARE_OF_UNUSUAL}
        mine, theirs = self._held.levels(without), judged.levels(without)
        return np.logical_or.reduce(
            [theirs[name] > self.threshold(mine[name], total * share) for name, share in shares.items()]
        )

    def natural(self, rare: Scored) -> Table:
        """Return precision of channel B among people with few episodes, at RECALL_AT_HOME of calibration people."""
        mine = self._held.levels()["known"]
        levels = np.unique(mine[np.isfinite(mine)])
        low, high = 0, len(levels) - 1
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._held.cohort.score(mine > levels[middle]).recall >= RECALL_AT_HOME
            low, high = (middle, high) if enough else (low, middle)
        score = rare.cohort.score(rare.levels()["known"] > levels[low])
        return {"people": len(rare.cohort.tracks), "episodes": score.episodes, **self.figures(score)}

    def figures(self, score: EventScore) -> Table:
        """Return event F1, precision, recall and false alarms a day with their intervals."""
        draws = self._draws(len(score.person_days))
        return {name: rounded(found.table()) for name, found in score.estimates(draws, 0.95).items()}

    def by_kind(self, score: EventScore) -> dict[str, float]:
        """Return recall of each kind."""
        return {kind: round(score.of_kind(kind).recall, 2) for kind in sorted(set(score.kinds.tolist()))}

    def _draws(self, count: int) -> Doubles:
        params = self._settings.params
        return bootstrap.weights(count, params.evaluation.draws, np.random.default_rng(params.seed))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--learn", type=int, nargs="+", default=[240, 60], help="training people, one study each")
    asked.add_argument("--calibrate", type=int, default=60, help="people who set scales and thresholds")
    asked.add_argument("--judge", type=int, default=60, help="people who are judged")
    asked.add_argument("--natural", type=int, default=100, help="people judged with the natural share of episodes")
    asked.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what is printed")
    given = asked.parse_args()
    settings = load_settings(ROOT, environment="base")
    learners = people(max(given.learn), TRAIN, LEARN, settings)
    calibrators = people(given.calibrate, CALIBRATION, CALIBRATE, settings)
    fresh = people(given.judge, CALIBRATION, JUDGE, settings)
    for count in given.learn:
        clock = time.perf_counter()
        models = trained(learners[:count], calibrators, settings)
        desk = Desk(models.scored(calibrators), settings)
        judged = models.scored(fresh)
        for name in [part for part in ("known", "unusual") if part in given.only]:
            for told in desk.channel(name, judged):
                limit = {"allowed": MOST_FALSE_ALARMS}
                show({"learn": count, "judged": len(fresh), "episodes": len(judged.cohort.episodes), "part": name}
                     | limit | told)  # fmt: skip
        if "hidden" in given.only:
            for told in desk.hidden(models.kinds, judged):
                show({"learn": count, "part": "hidden", **told})
        if "shifted" in given.only:
            moved = models.scored(people(given.judge, CALIBRATION, JUDGE, settings, SHIFTED))
            for name in ("known", "unusual"):
                for told in desk.channel(name, moved):
                    show({"learn": count, "part": "shifted", "channel": name, **told})
        if "natural" in given.only:
            rare = people(given.natural, CALIBRATION, JUDGE, settings, {"prevalence": "natural"})
            show({"learn": count, "part": "natural", **desk.natural(models.scored(rare))})
        show({"learn": count, "seconds": round(time.perf_counter() - clock, 1)})


if __name__ == "__main__":
    main()
