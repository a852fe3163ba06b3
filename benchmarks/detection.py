"""How well episodes are found by detectors trained here, on people made here: no run is needed, none is touched.

    OMP_NUM_THREADS=1 python benchmarks/detection.py [--learn 240 60] [--only known unusual hidden ...]

Prints JSON lines: for each number of training people what each channel finds, with 95 % intervals. Training,
calibration and judged people come from seeds of their own (the run's + 31, + 32, + 33), so neither the people of a run
nor those that settings were chosen on (the run's + 11 to + 13) are among those judged. The thresholds are those that
calibration people allow; nothing is chosen on those judged.

- `known`, `unusual`: a channel alone, at shares of the most false alarms allowed (0.12 a worn person-day), with
  the false alarms met beside those promised, and recall by kind. Beside each: chance, an alarm that is always on, and
  max |z| of the residuals, averaged and with a threshold for the same budget from the same people as the channel; and
  `served`, on the channel's scale by state and on people's own levels, too (`stages.equal_terms`).
- `hidden`: recall of a kind that training never saw, both channels together, at 0.12 and 0.20, by the share of the
  budget that channel A has. A head knows its kind and normal rows only, so leaving out its head leaves out its kind.
  Channel A never sees labels; of the rows that it learns from, those in episodes of a kind are a few in a hundred.
- `unlabelled`: the same where the kind is there among all people and nobody labelled it: its episodes are normal to
  the other heads, and finding one of calibration people counts as a false alarm. Trains anew for each kind: minutes.
- `shifted`: the same thresholds on people of the same seed in another world (`quality.SHIFTED`), with a reading every
  five minutes, and every two (`quality.OTHER_RATE`); `drop` is of the same people in both worlds, paired.
- `natural`: precision of channel B among people with the natural share of episodes, at the threshold that finds 0.65
  of the calibration people's episodes.

Every interval draws people, 95 %; what is told of the same people twice is paired.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from quality import MOST_FALSE_ALARMS, OTHER_RATE, ROOT, SHIFTED, rounded, show
from vitalwatch import averaging, cleaning, learning, own_level, promises, synthetic, wearing
from vitalwatch.baseline import VITALS
from vitalwatch.lines.detection import Watched, detection_lines
from vitalwatch.metrics import bootstrap, events
from vitalwatch.metrics.bootstrap import Estimate
from vitalwatch.metrics.budget import Cohort
from vitalwatch.metrics.events import EventScore, Rule
from vitalwatch.models import anomaly
from vitalwatch.own_level import Usual
from vitalwatch.residuals import Learnt
from vitalwatch.runtime import Model
from vitalwatch.schema import Schema
from vitalwatch.scoring import ALONE, ASLEEP, Calibration, Detector
from vitalwatch.settings import Settings, load_settings
from vitalwatch.splits import CALIBRATION, TRAIN
from vitalwatch.stages import calibrating, equal_terms, train
from vitalwatch.stages.calibrating import Seen
from vitalwatch.stages.equal_terms import People
from vitalwatch.stages.people import Member
from vitalwatch.tables import Bools, Doubles

LEARN, CALIBRATE, JUDGE = 31, 32, 33  # added to the run's seed
CONFIDENCE = 0.95
BUDGETS = (0.03, 0.045, 0.065, 0.1)  # promised for a channel alone
HIDDEN_AT = (0.12, 0.20)
SHARES = (0.35, 0.6)  # of those for channel A, beside the share that is served
RECALL_AT_HOME = 0.65
LINES = ("chance", "always_on", "max_abs_z", "max_abs_z_served")
PARTS = ("known", "unusual", "hidden", "unlabelled", "shifted", "natural")

Table = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """Rows of people as the channels see them, one person after the other.

    Attributes:
        cohort: What they are judged on.
        seen: The rows.
        unusual: Surprise (n,).
        known: Level of each kind (n, kinds).
        lines: Score of each of LINES, NaN where nothing can be judged (n,).
        trained: Who scored them.
    """

    cohort: Cohort
    seen: Seen
    unusual: Doubles
    known: Doubles
    lines: Mapping[str, Doubles]
    trained: Trained

    def levels(self, without: int | None = None) -> dict[str, Doubles]:
        """Return each channel's persisted score on people's own levels, (n,); channel B's without one head."""
        heads = [k for k in range(self.known.shape[1]) if k != without]
        limits = self.trained.detector.calibration
        channels = {
            "unusual": (self.unusual, limits.unusual_blocks),
            "known": (self.known[:, heads].max(axis=1), limits.known_blocks),
        }
        return {name: self._persisted(score, blocks) for name, (score, blocks) in channels.items()}

    def _persisted(self, score: Doubles, blocks: Usual) -> Doubles:
        params = self.trained.settings.params
        plan = own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)
        judged = np.where(self.seen.sure, score, np.nan)
        return self.persisted(judged / own_level.factors_of(judged, self.people.time, blocks, plan))

    def persisted(self, score: Doubles) -> Doubles:
        """Return every row's persisted score, (n,)."""
        return self.cohort.levels(np.split(score, np.cumsum([len(time) for time in self.people.time])[:-1]))

    @property
    def people(self) -> People:
        """What equal terms need of these people."""
        return People.of(self.cohort, self.seen.x[:, ASLEEP] > 0, self.seen.far, self.trained.settings)


@dataclass(frozen=True)
class Trained:
    """What was learnt from some people."""

    learnt: Learnt
    kinds: tuple[str, ...]
    detector: Detector
    settings: Settings

    def scored(self, members: Sequence[Member]) -> Scored:
        """Return people as this detector sees them."""
        seen, _ = train.see(members, CALIBRATION, self.learnt, self.settings, self.kinds, 0)
        cohort = Cohort(seen.tracks, Rule.of_params(self.settings.params.alarms, self.settings.schema.step_ms))
        lengths, detector = [len(track.time) for track in seen.tracks], self.detector
        said = (detector.by_group(seen.x), detector.by_kind(seen.x))
        by_group, by_kind = (
            averaging.of_people(part, seen.sure, lengths, detector.calibration.rows, alone)
            for part, alone in zip(said, (ALONE, ()), strict=True)
        )
        unusual, known = detector.surprise(by_group, seen.x).max(axis=1), detector.level(by_kind, seen.x)
        return Scored(cohort, seen, unusual, known, self._lines(members, cohort), self)

    def _lines(self, members: Sequence[Member], cohort: Cohort) -> dict[str, Doubles]:
        """Return the score of each of LINES on judged rows of people, (n,)."""
        params, schema = self.settings.params, self.settings.schema
        rng, rows = np.random.default_rng(params.seed), self.detector.calibration.rows
        chosen = [line for line in detection_lines((), rng, rows) if line.name in LINES]
        found: dict[str, list[Doubles]] = {line.name: [] for line in chosen}
        for member, track in zip(members, cohort.tracks, strict=True):
            told = learning.rows_of(member.until(CALIBRATION), self.learnt, params.baseline, schema.step_minutes)
            watched = Watched(member.grid, told.z[:, : len(VITALS)].astype(np.float32), schema)
            kept = np.isin(member.grid.time, track.time)
            for line in chosen:
                score = line.score(watched)
                found[line.name].append(np.where(told.assessable, score, np.nan)[kept].astype(np.float64))
        return {name: np.concatenate(scores) for name, scores in found.items()}


def people(
    count: int,
    part: int,
    seed: int,
    settings: Settings,
    moved: Mapping[str, float | str] | None = None,
    every: str | None = None,
) -> list[Member]:
    """Return people made anew, every row of one part.

    Args:
        count: How many.
        part: Index into `splits.PARTS`.
        seed: Added to the run's.
        settings: Of the repository.
        moved: Settings of the simulator that differ.
        every: Time between readings, where it is not the grid's.
    """
    world = settings.params.synthetic.model_copy(update=dict(moved or {}))
    sensors = Schema.model_validate(settings.schema.model_dump() | ({"step": every} if every else {}))

    def one(index: int) -> Member:
        made = synthetic.person(index, sensors, world, settings.params.seed + seed)
        grid = cleaning.to_grid(made.readings, settings.schema, settings.params.cleaning)
        return Member(grid, made.profile, made.events, np.full(len(grid), part, np.int8), False)

    found: list[Member] = Parallel(settings.config.jobs, prefer="threads")(delayed(one)(i) for i in range(count))
    return found


def trained(
    learners: Sequence[Member], calibrators: Sequence[Member], settings: Settings, learnt: Learnt | None = None
) -> Trained:
    """Train both channels as the pipeline does; `learnt` of the same people, whatever their labels, if it is known."""
    params, step = settings.params, settings.schema.step_minutes
    if learnt is None:
        crowd = [member.until(TRAIN) for member in learners]
        learnt = learning.learn(crowd, params.regressor, params.baseline, step, params.seed, settings.config.jobs)[1]
    kinds = tuple(sorted({event.kind for member in learners for event in member.events or ()}))
    seen, _ = train.see(learners, TRAIN, learnt, settings, kinds, 0)
    even = train.even_rows(seen.time, train.stride_of(learners, settings), settings)
    forest = anomaly.fit(seen.x[even], params.detector, params.seed)
    heads = wearing.heads(train._heads(seen, kinds, settings))
    if heads is None:
        raise SystemExit("Too few labelled episodes among so few people: give --learn more.")
    held, _ = train.see(calibrators, CALIBRATION, learnt, settings, kinds, 0)
    found: Calibration = calibrating.calibrate(held, forest, heads, kinds, settings)
    return Trained(learnt, kinds, Detector(Model(forest), heads, found), settings)


def unlabelled(members: Sequence[Member], kind: str) -> list[Member]:
    """Return people among whom nobody labelled a kind."""
    return [replace(one, events=tuple(e for e in one.events or () if e.kind != kind)) for one in members]


class Desk:
    """Judges scored people at thresholds of calibration people, and words the figures."""

    def __init__(self, held: Scored, settings: Settings) -> None:
        self._held, self._settings = held, settings

    def threshold(self, level: Doubles, budget: float) -> float:
        """Return the threshold that calibration people allow for a budget."""
        return self._held.cohort.thresholds_for_budgets(level, [budget], for_new_people=True)[0]

    def channel(self, name: str, judged: Scored) -> list[Table]:
        """Return figures of a channel alone at each of BUDGETS, beside the lines at the same budget."""
        told = []
        for budget, score in self.scores(name, judged).items():
            told.append(
                {
                    "promised": budget,
                    **self.figures(score),
                    "met_over_promised": self.met(score, budget),
                    "recall_by_kind": self.by_kind(score),
                    "lines": {line: self.line(line, judged, budget, score) for line in LINES},
                }
            )
        return told

    def scores(self, name: str, judged: Scored) -> dict[float, EventScore]:
        """Return what a channel alone finds of people at each of BUDGETS."""
        mine, theirs = self._held.levels()[name], judged.levels()[name]
        return {budget: judged.cohort.score(theirs > self.threshold(mine, budget)) for budget in BUDGETS}

    def line(self, name: str, judged: Scored, budget: float, ours: EventScore) -> Table:
        """Return figures of a line at a budget, and what a channel has more than it."""
        score = self.of_line(name, judged, budget)
        gain = events.f1_difference(ours, score, self._draws(len(score.person_days)), CONFIDENCE)
        return {**self.figures(score), "channel_minus_this": rounded(gain.table())}

    def of_line(self, name: str, judged: Scored, budget: float) -> EventScore:
        """Return what a line finds of people at a budget; one that is always on has no threshold."""
        if name == "always_on":
            return judged.cohort.score(judged.persisted(judged.lines[name]) > 0.0)
        if name != "max_abs_z_served":
            limit = self.threshold(self._held.persisted(self._held.lines[name]), budget)
            return judged.cohort.score(judged.persisted(judged.lines[name]) > limit)
        both = self._held.lines[name], judged.lines[name]
        score, limit = equal_terms.served(self._held.people, judged.people, both, budget, self._settings)
        return judged.cohort.score(judged.persisted(score) > limit)

    def drop(self, home: EventScore, away: EventScore) -> Table:
        """Return how much event F1 the same people lose in another world."""
        return rounded(events.f1_difference(home, away, self._draws(len(home.person_days)), CONFIDENCE).table())

    def met(self, score: EventScore, promised: float) -> Table:
        """Return false alarms met over those promised."""
        found = score.estimates(self._draws(len(score.person_days)), CONFIDENCE)["false_alarms_per_day"]
        return rounded(Estimate(found.value / promised, found.low / promised, found.high / promised).table())

    def either(self, judged: Scored, without: int | None = None) -> dict[tuple[float, float], EventScore]:
        """Return how both channels together do, without one of the heads, by false alarms promised and A's share."""
        return {key: judged.cohort.score(over) for key, over in self.over(judged, without).items()}

    def over(self, judged: Scored, without: int | None = None) -> dict[tuple[float, float], Bools]:
        """Return the rows over either channel's threshold, (n,), as `either`."""
        mine, theirs = self._held.levels(without), judged.levels(without)
        told = dict[tuple[float, float], Bools]()
        for total in HIDDEN_AT:
            for share in sorted({*SHARES, self._served(total)}):
                shares = {"unusual": share, "known": 1 - share}
                limits = {name: self.threshold(mine[name], total * part) for name, part in shares.items()}
                over: Bools = np.logical_or.reduce([theirs[name] > limit for name, limit in limits.items()])
                told[total, share] = over
        return told

    def together(self, found: Mapping[str, Mapping[tuple[float, float], EventScore]], judged: Scored) -> list[Table]:
        """Return recall of kinds, each by those who did not have it: kind -> what `either` told."""
        told = []
        for key in next(iter(found.values())):
            scores = [of[key] for of in found.values()]
            counts = {kind: of[key].of_kind(kind).counts for kind, of in found.items()}
            served = key[1] == self._served(key[0])
            told.append(
                {
                    "promised": key[0],
                    "share_of_a": key[1],
                    "as_served": served,
                    **self._hidden(scores, counts, judged, key[0]),
                }
            )
        return told

    def _served(self, budget: float) -> float:
        """Return channel A's share of a budget, as params.yaml has it."""
        return round(promises.share(self._settings.params.detector.model_copy(update={"budget": budget})), 3)

    def _hidden(
        self, scores: Sequence[EventScore], counts: Mapping[str, Doubles], judged: Scored, budget: float
    ) -> Table:
        """Return recall over kinds, each by those who did not have it, and what max |z| finds of all at the budget."""
        pooled = np.stack(list(counts.values())).sum(axis=0)
        every = np.stack([score.counts for score in scores]).mean(axis=0)
        draws = self._draws(len(pooled))
        each = [self._recall(one, draws) for one in counts.values()]
        low, high = bootstrap.interval(np.nanmean([drawn for _, drawn in each], axis=0), CONFIDENCE)
        mean = Estimate(float(np.mean([recall.value for recall, _ in each])), low, high)
        rate = bootstrap.estimate(events.false_alarm_rate, every, draws, CONFIDENCE)
        line = self.of_line("max_abs_z", judged, budget)
        gain = bootstrap.difference(events.recall, pooled, line.counts, draws, CONFIDENCE)
        return {
            "recall": rounded(self._recall(pooled, draws)[0].table()),
            "mean_over_kinds": rounded(mean.table()),
            "false_alarms_per_day": rounded(rate.table()),
            "met_over_promised": round(rate.value / budget, 3),
            "recall_by_kind": {kind: self._kind(one, draws) for kind, one in counts.items()},
            "max_abs_z": {**self.figures(line), "recall_ours_minus_this": rounded(gain.table())},
        }

    def _kind(self, counts: Doubles, draws: Doubles) -> Table:
        episodes = int(counts[:, events.EPISODES].sum())
        return {"episodes": episodes, **rounded(self._recall(counts, draws)[0].table())}

    def _recall(self, counts: Doubles, draws: Doubles) -> tuple[Estimate, Doubles]:
        """Return recall with its interval, and of each draw."""
        return bootstrap.estimate(events.recall, counts, draws, CONFIDENCE), events.recall(draws @ counts)

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
        return {name: rounded(found.table()) for name, found in score.estimates(draws, CONFIDENCE).items()}

    def by_kind(self, score: EventScore) -> Table:
        """Return episodes and recall of each kind."""
        draws = self._draws(len(score.person_days))
        return {kind: self._kind(score.of_kind(kind).counts, draws) for kind in sorted(set(score.kinds.tolist()))}

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
            found = {kind: desk.either(judged, number) for number, kind in enumerate(models.kinds)}
            for told in desk.together(found, judged):
                show({"learn": count, "part": "hidden", **told})
        if "unlabelled" in given.only:
            found = {}
            for kind in models.kinds:
                without = unlabelled(calibrators, kind)
                blind = trained(unlabelled(learners[:count], kind), without, settings, models.learnt)
                found[kind] = Desk(blind.scored(without), settings).either(blind.scored(fresh))
            for told in desk.together(found, judged):
                show({"learn": count, "part": "unlabelled", **told})
        if "shifted" in given.only:
            for every in (None, OTHER_RATE):
                moved = models.scored(people(given.judge, CALIBRATION, JUDGE, settings, SHIFTED, every))
                for name in ("known", "unusual"):
                    home, away = desk.scores(name, judged), desk.scores(name, moved)
                    for told in desk.channel(name, moved):
                        drop = desk.drop(home[told["promised"]], away[told["promised"]])
                        show({"learn": count, "part": "shifted", "every": every, "channel": name, "drop": drop, **told})
        if "natural" in given.only:
            rare = people(given.natural, CALIBRATION, JUDGE, settings, {"prevalence": "natural"})
            show({"learn": count, "part": "natural", **desk.natural(models.scored(rare))})
        show({"learn": count, "seconds": round(time.perf_counter() - clock, 1)})


if __name__ == "__main__":
    main()
