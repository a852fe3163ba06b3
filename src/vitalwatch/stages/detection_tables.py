"""Detection judged: our channels beside the lines to beat, by kind, by group of people, by cause of false alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import features, promises
from vitalwatch.alarms import Intervals, pieces, runs
from vitalwatch.lines.detection import Line, Watched, detection_lines
from vitalwatch.metrics import ranking
from vitalwatch.metrics.bootstrap import Estimate, estimate, interval, mean_over_people, plain, ratio
from vitalwatch.metrics.budget import Cohort, Track
from vitalwatch.metrics.events import DAYS, DETECTED, FALSE, EventScore, f1, f1_difference, natural_precision, recall
from vitalwatch.schema import minutes
from vitalwatch.stages import equal_terms, probabilities
from vitalwatch.stages.judging import Case, PersonResult, Thresholds, World, case_of, not_assessable, stressed
from vitalwatch.tables import DAY, Bools, Doubles, Floats, Profile

BUDGETS = (0.05, 0.1, 0.2)  # false alarms per worn person-day
CURVE = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
DAY_BANDS = ((0, 7), (7, 14), (14, None))  # days since judging began
UNION_CHANNELS = ("unusual", "known")
MOVES = 20  # how often labels are moved, and alarms are scattered, to see what chance reaches
LEAST_MET, MOST_MET = 0.7, 1.3  # of what is promised: fewer false alarms than promised is recall that was not bought
CALIBRATION_ROOM = 1.25  # thresholds rest on a sample of calibration people: the rate promised is itself uncertain
FEW_ALARMS = 3  # where days are few, so many false alarms more than promised say nothing


@dataclass(frozen=True)
class Detector:
    """One detector's rows over all judged people.

    Attributes:
        scores: Per person over judged rows; for ranking.
        over: Rows that alarm, after persistence, over the whole cohort.
        threshold: In words of the score, NaN for a union.
        threshold_from: Where it came from.
    """

    scores: list[Floats]
    levels: Doubles
    over: Bools
    threshold: float
    threshold_from: str


def detection(
    world: World, thresholds: Thresholds, learners: Sequence[PersonResult], rng: np.random.Generator
) -> dict[str, Any]:
    """Return all tables of detection, ready for JSON.

    Args:
        world: Labelled test people.
        thresholds: Of our channels.
        learners: Calibration people: the simple lines set their thresholds and fit on them.
        rng: For chance, the raw forest, permuted labels.
    """
    if not world.cases:
        return not_assessable("no labelled test people: give recordings with an `events` table")
    if not len(world.cohort.episodes):
        return not_assessable("none of the labelled episodes begins after enrolment while the device was worn")
    surfaces = surfaces_of(world)
    ours = channels(world, thresholds)
    scores = {name: world.cohort.score(found.over) for name, found in ours.items()}
    curves = {name: points(world, found.levels, CURVE) for name, found in ours.items()}
    tables: dict[str, Any] = {
        "people": len(world.cases),
        "person_days": plain(float(world.cohort.person_days.sum()), 2),
        "episodes": len(world.cohort.episodes),
        "episodes_left_out": len(world.cohort.excused),
        "rows_in_episodes": plain(float(world.cohort.labels[world.rank_rows].mean())),
        "notes": notes(world),
        "channels": {name: row(world, ours[name], scores[name], curves[name], surfaces) for name in ours},
    }
    if "known" not in ours:
        tables["channels"]["known"] = not_assessable("no supervised model: nothing was labelled to train it on")
    budgets = promised(world, thresholds)
    tables["lines"] = lines(world, learners, surfaces, {name: (budgets[name], scores[name]) for name in scores}, rng)
    tables["served"] = served(world)
    tables["by_kind"] = {name: by_kind(score, world) for name, score in scores.items()}
    tables["by_group"] = {name: by_group(score, world) for name, score in scores.items()}
    tables["false_alarms_by_cause"] = {name: by_cause(score, world) for name, score in scores.items()}
    tables["nominal"] = nominal(budgets, world, scores)
    tables["curve"] = {name: drawn(curve) for name, curve in curves.items()}
    nothing = not_assessable("no supervised model")
    tables["known_probability"] = probabilities.probability(world, thresholds.odds) if "known" in ours else nothing
    tables["kind_named"] = probabilities.kind_named(world) if "known" in ours else nothing
    tables["no_skill"] = no_skill(world, ours, surfaces, rng)
    return tables


def notes(world: World) -> list[str]:
    """Return what a reader must know before quoting a figure."""
    chosen = world.settings.params
    return [
        "Events, never adjusted points: an alarm needs "
        f"{chosen.alarms.need} of {chosen.alarms.of} rows, gaps up to {chosen.alarms.merge} are merged, alarms are cut "
        f"at {chosen.alarms.cut}, {chosen.alarms.grace} of grace.",
        f"Intervals: {chosen.evaluation.draws} draws of people, {chosen.evaluation.confidence:.0%}.",
        f"VUS-PR: mean over people, every buffer up to {chosen.evaluation.vus_buffer}, stepwise between thresholds.",
        *(
            [f"Natural prevalence is an estimate: episodes x {chosen.synthetic.natural_share}, false alarms unchanged."]
            if stressed(world)
            else []
        ),
    ]


def channels(world: World, thresholds: Thresholds) -> dict[str, Detector]:
    """Return our channels that exist: unusual, known and, where both do, both (either alarms)."""
    told = {"unusual": thresholds.unusual, "known": thresholds.known}
    found: dict[str, Detector] = {}
    for name, threshold in told.items():
        scores = [np.asarray(getattr(case.result.answers, name)[case.judged]) for case in world.cases]
        if threshold is None or not any(np.isfinite(score).any() for score in scores):
            continue
        levels = world.cohort.levels(scores)
        found[name] = Detector(scores, levels, levels > threshold, threshold, "bundle")
    if len(found) == len(UNION_CHANNELS):
        scores = [np.asarray(case.result.answers.score[case.judged]) for case in world.cases]
        over = np.logical_or.reduce([found[name].over for name in UNION_CHANNELS])
        found["both"] = Detector(scores, world.cohort.levels(scores), over, float("nan"), "either channel's")
    return found


def surfaces_of(world: World) -> list[ranking.Surface | None]:
    """Return each person's soft labels, None for people without an episode row."""
    longest = minutes(world.settings.params.evaluation.vus_buffer) // world.settings.schema.step_minutes
    buffers = range(longest + 1)
    found = [world.cohort.labels[world.cohort.row_person == i] for i in range(len(world.cases))]
    return [ranking.Surface(rows, buffers) if rows.any() else None for rows in found]


def row(
    world: World,
    detector: Detector,
    score: EventScore,
    curve: Mapping[float, EventScore],
    surfaces: Sequence[ranking.Surface | None],
) -> dict[str, Any]:
    """Return one line of the detection table: events at the operating point, then ranking over all thresholds."""
    draws, confidence = world.draws, world.confidence
    table: dict[str, Any] = {name: found.table() for name, found in score.estimates(draws, confidence).items()}
    table |= {
        "threshold": plain(detector.threshold),
        "threshold_from": detector.threshold_from,
        "detected": score.detected,
        "false_alarms": score.false_alarms,
        "delay_median_min": plain(score.delay(0.5), 1),
        "delay_p90_min": plain(score.delay(0.9), 1),
        "macro_recall": score.macro_recall(draws, confidence).table(),
        "recall_at": _recall_at(world, curve),
    }
    if stressed(world):
        table |= _in_life(world, score)
    return table | ranking_figures(world, detector.scores, surfaces)


def _in_life(world: World, score: EventScore) -> dict[str, Any]:
    """Return what precision and alarms would be at the natural share of episodes."""
    share = world.settings.params.synthetic.natural_share
    precision = estimate(lambda total: natural_precision(share, total), score.counts, world.draws, world.confidence)
    burden = _burden(share, score.counts.sum(axis=0))
    return {"precision_natural": precision.table(), "alarms_per_day_natural": plain(burden)}


def _burden(share: float, total: Doubles) -> float:
    return float(ratio(total[FALSE] + share * total[DETECTED], total[DAYS]))


def points(world: World, levels: Doubles, budgets: Sequence[float]) -> dict[float, EventScore]:
    """Return events judged with the thresholds that meet budgets on the test people themselves: a curve."""
    found = world.cohort.thresholds_for_budgets(levels, budgets)
    return {budget: world.cohort.score(levels > threshold) for budget, threshold in zip(budgets, found, strict=True)}


def _recall_at(world: World, curve: Mapping[float, EventScore]) -> dict[str, Any]:
    return {
        str(budget): estimate(recall, curve[budget].counts, world.draws, world.confidence).table() for budget in BUDGETS
    }


def ranking_figures(
    world: World, scores: Sequence[Floats], surfaces: Sequence[ranking.Surface | None]
) -> dict[str, dict[str, float | None]]:
    """Return average precision (rows) and VUS-PR (mean over people) of a detector's scores."""
    keep, cohort = world.rank_rows, world.cohort
    flat = np.concatenate(list(scores))[keep]
    rows = ranking.average_precision_estimate(
        cohort.labels[keep], flat, cohort.row_person[keep], world.draws, world.confidence
    )
    each = [s.vus_pr(score) if s is not None else np.nan for s, score in zip(surfaces, scores, strict=True)]
    return {
        "average_precision": rows.table(),
        "vus_pr": mean_over_people(np.asarray(each), world.draws, world.confidence).table(),
    }


def lines(
    world: World,
    learners: Sequence[PersonResult],
    surfaces: Sequence[ranking.Surface | None],
    ours: Mapping[str, tuple[float, EventScore]],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return one row for every line to beat, and what each of our channels has more, at that channel's own budget.

    Lines without a rule of their own get their thresholds as our channels do: from calibration people, for new people;
    those that are `served` as ours are go through `equal_terms`.

    Args:
        world: Labelled test people.
        learners: Calibration people.
        surfaces: Of the test people.
        ours: Channel -> the false alarms promised, and its events.
        rng: For chance and the raw forest.
    """
    schema, chosen = world.settings.schema, world.settings.params.detector
    labelled = [case_of(result, schema.step_ms) for result in learners if result.events is not None]
    calibrators = labelled or list(world.cases)
    told = "calibration people" if labelled else "the test people themselves, which flatters this line"
    cohort = Cohort([case.track for case in calibrators], world.cohort.rule)
    held, judged = (
        equal_terms.People.of_cases(cases, of, world.settings)
        for cases, of in ((calibrators, cohort), (world.cases, world.cohort))
    )
    budgets = {chosen.budget, *(budget for budget, _ in ours.values())}
    averaged = features.rows_of(minutes(chosen.average), schema.step_minutes)
    tables = {}
    for line in detection_lines([_watched(case, world) for case in calibrators], rng, averaged):
        theirs = np.concatenate(_line_scores(line, world.cases, world))
        mine = np.concatenate(_line_scores(line, calibrators, world)) if line.threshold is None else theirs
        found = {}
        for budget in budgets:
            if line.threshold is not None:
                rows, limit = theirs, line.threshold
            elif line.served:
                rows, limit = equal_terms.served(held, judged, (mine, theirs), budget, world.settings)
            else:
                rows, limit = theirs, equal_terms.limit(cohort, mine, budget, for_new_people=bool(labelled))
            source = f"the budget, on {told}" if line.threshold is None else "its own rule"
            found[budget] = _detector(world, rows, limit, source)
        first = found[chosen.budget]
        table = row(world, first, world.cohort.score(first.over), points(world, first.levels, BUDGETS), surfaces)
        table |= {"mean_of": chosen.average if line.averaged else None, "ours_beside": {}}
        for name, (budget, score) in ours.items():
            table["ours_beside"][name] = _beside(world, budget, score, world.cohort.score(found[budget].over))
        tables[line.name] = table
    return tables


def _detector(world: World, score: Doubles, threshold: float, source: str) -> Detector:
    """Return a detector of test people's judged rows, one after the other, (n,)."""
    scores = np.split(score, np.cumsum([len(case.track.time) for case in world.cases])[:-1])
    levels = world.cohort.levels(scores)
    return Detector([one.astype(np.float32) for one in scores], levels, levels > threshold, threshold, source)


def _beside(world: World, budget: float, ours: EventScore, line: EventScore) -> dict[str, Any]:
    """Return how a line does at a channel's budget, and what the channel has more, paired."""
    found = line.estimates(world.draws, world.confidence)
    return {
        "budget": plain(budget),
        **{name: found[name].table() for name in ("event_f1", "false_alarms_per_day")},
        "ours_minus_this": f1_difference(ours, line, world.draws, world.confidence).table(),
    }


def _watched(case: Case, world: World) -> Watched:
    return Watched(case.result.answers.grid, case.result.answers.residual, world.settings.schema)


def _line_scores(line: Line, cases: Sequence[Case], world: World) -> list[Doubles]:
    """Return a line's scores over judged rows; an averaged one says nothing where our channels cannot, either."""

    def score(case: Case) -> Doubles:
        found = line.score(_watched(case, world)).astype(np.float64)
        return np.where(case.result.answers.assessable, found, np.nan) if line.averaged else found

    return [score(case)[case.judged] for case in cases]


def served(world: World) -> dict[str, Any]:
    """Return figures of the alarms that the monitor itself raised in channels unusual and known."""
    return {name: found.table() for name, found in raised(world).estimates(world.draws, world.confidence).items()}


def raised(world: World) -> EventScore:
    """Return events judged from the alarms that the monitor itself raised in channels unusual and known."""
    spans = []
    for case in world.cases:
        alarms = [(a.start, a.end) for a in case.result.answers.alarms if a.channel in UNION_CHANNELS]
        found = np.asarray(alarms, np.int64).reshape(-1, 2)
        found = found[found[:, 1] > case.result.enrolled_until]
        spans.append(np.maximum(found, case.result.enrolled_until))
    return world.cohort.score_intervals(spans)


def by_kind(score: EventScore, world: World) -> dict[str, Any]:
    """Return episodes, recall and delay of each kind."""
    tables = {}
    for kind in sorted(set(score.kinds.tolist())):
        some = score.of_kind(kind)
        tables[kind] = {
            "episodes": some.episodes,
            "detected": some.detected,
            "recall": some.estimates(world.draws, world.confidence)["recall"].table(),
            "delay_median_min": plain(some.delay(0.5), 1),
            "delay_p90_min": plain(some.delay(0.9), 1),
        }
    return tables


def _age_band(profile: Profile) -> str:
    if not np.isfinite(profile.age):
        return "unknown"
    return "under 40" if profile.age < 40 else "40 to 59" if profile.age < 60 else "60 and over"


GROUPS: Mapping[str, Callable[[Profile], str]] = {
    "sex": lambda profile: profile.sex,
    "age": _age_band,
    "beta_blocker": lambda profile: _takes(profile, "beta_blocker"),
}


def _takes(profile: Profile, medication: str) -> str:
    """Return `yes` or `no`, and `not told` where the source says nothing of medication (`none` says something)."""
    return "not told" if not profile.medication else "yes" if medication in profile.medication else "no"


def by_group(score: EventScore, world: World) -> dict[str, Any]:
    """Return event figures by sex, age, beta-blocker and days since judging began."""
    tables: dict[str, Any] = {}
    for name, group in GROUPS.items():
        of = np.asarray([group(case.result.profile) for case in world.cases])
        tables[name] = {str(value): _group_row(score.of_people(of == value), world) for value in np.unique(of)}
    tables["days_since_enrolment"] = {
        f"{low} and later" if high is None else f"{low} to {high - 1}": _group_row(
            _of_days(score, world, low, high), world
        )
        for low, high in DAY_BANDS
    }
    return tables


def _of_days(score: EventScore, world: World, low: int, high: int | None) -> EventScore:
    begin = np.asarray([case.track.time[0] if len(case.track.time) else 0 for case in world.cases], np.int64)
    end = np.inf if high is None else high

    def inside(time: NDArray[np.int64], person: NDArray[np.intp]) -> Bools:
        day = (time - begin[person]) // DAY
        return np.asarray((day >= low) & (day < end), np.bool_)

    worn = [
        inside(case.result.answers.time[case.worn], np.full(case.worn.sum(), i)) for i, case in enumerate(world.cases)
    ]
    days = np.asarray([rows.sum() for rows in worn], np.float64) * world.settings.schema.step_ms / DAY
    return score.keep(
        inside(score.starts, score.episode_person), inside(score.false_spans[:, 0], score.alarm_person), days
    )


def _group_row(score: EventScore, world: World) -> dict[str, Any]:
    figures = {name: found.table() for name, found in score.estimates(world.draws, world.confidence).items()}
    people = int((score.counts[:, DAYS] > 0).sum())
    return {"people": people, "episodes": score.episodes, "person_days": plain(score.person_days.sum(), 2)} | figures


def by_cause(score: EventScore, world: World) -> dict[str, Any]:
    """Return false alarms by the sensor fault or harmless context met; an alarm counts for the one it meets longest."""
    if any(case.result.bookkeeping is None for case in world.cases):
        return not_assessable("nobody wrote down sensor faults and harmless contexts of these people")
    grace, counts = world.cohort.rule.grace_ms, dict[str, int]()
    for person, (start, end) in zip(score.alarm_person, score.false_spans, strict=True):
        met = [
            (min(end, entry.end + grace) - max(start, entry.start), entry.kind)
            for entry in world.cases[person].result.bookkeeping or ()
            if entry.start < end and start < entry.end + grace
        ]
        cause = max(met)[1] if met else "nothing written down"
        counts[cause] = counts.get(cause, 0) + 1
    days = float(score.person_days.sum())
    return {
        cause: {"false_alarms": number, "per_day": plain(number / days if days else None)}
        for cause, number in sorted(counts.items(), key=lambda item: -item[1])
    }


def promised(world: World, thresholds: Thresholds) -> dict[str, float]:
    """Return the false alarms per worn person-day that each channel promises.

    Without a supervised model the unusual channel has the whole budget.
    """
    detector = world.settings.params.detector
    return promises.promised(detector, known=thresholds.known is not None) | dict(thresholds.nominal)


def nominal(promises: Mapping[str, float], world: World, scores: Mapping[str, EventScore]) -> dict[str, Any]:
    """Return promised and realised false alarms per worn person-day; `kept`: the interval does not lie above.

    `met` is realised over promised, and `met_both_sides` whether that is near 1; told, not gated: too few harm nobody.

    `allowed` is the promise with room: a quarter more for calibration people being a sample, and a few alarms more
    where person-days are few.
    """
    tables = {}
    for name, score in scores.items():
        found = score.estimates(world.draws, world.confidence)["false_alarms_per_day"]
        tables[name] = {
            "nominal": plain(promises[name]),
            "allowed": plain(CALIBRATION_ROOM * promises[name] + float(ratio(FEW_ALARMS, score.person_days.sum()))),
            "realised": found.table(),
            "met": plain(found.value / promises[name]),
            "met_both_sides": bool(LEAST_MET <= found.value / promises[name] <= MOST_MET),
            "within": bool(found.low <= promises[name] <= found.high),
            "kept": bool(found.low <= promises[name]),
        }
    return tables


def drawn(curve: Mapping[float, EventScore]) -> list[dict[str, float | None]]:
    """Return recall and precision at several budgets, for drawing only: thresholds are the test people's own."""
    return [
        {"budget": budget, "recall": plain(score.recall), "precision": plain(score.precision)}
        for budget, score in curve.items()
    ]


def no_skill(
    world: World, ours: Mapping[str, Detector], surfaces: Sequence[ranking.Surface | None], rng: np.random.Generator
) -> dict[str, Any]:
    """Return what detectors without skill score here, and ours against labels moved in time (permuted).

    `chance_alarms` is what the latter may reach: as many alarms, as long as ours, anywhere.
    """
    rows = [len(case.track.time) for case in world.cases]
    empty = {
        "random": [rng.random(n, dtype=np.float32) for n in rows],
        "constant": [np.full(n, 0.5, np.float32) for n in rows],
    }
    tables: dict[str, Any] = {name: ranking_figures(world, scores, surfaces) for name, scores in empty.items()}
    for name, scores in empty.items():
        tables[name]["recall_at"] = _recall_at(world, points(world, world.cohort.levels(scores), BUDGETS))
    best = ours.get("both", next(iter(ours.values()), None))
    if best is not None:
        moved = [_moved(world, rng).score(best.over) for _ in range(MOVES)]
        tables["permuted_labels"] = {"event_f1": plain(float(np.mean([score.f1 for score in moved])))}
        tables["chance_alarms"] = {"event_f1": _chance_f1(world, best.over, rng).table()}
    return tables


def _chance_f1(world: World, over: Bools, rng: np.random.Generator) -> Estimate:
    """Return event F1 of as many alarms, as long as ours, that begin at any worn row of the same person.

    The interval holds both what another draw of people and what other places of the alarms would have given.
    """
    scores = [world.cohort.score_intervals(_scattered(world, over, rng)).counts for _ in range(MOVES)]
    if not scores[0].size:
        return Estimate(float("nan"))
    figures = [f1(world.draws[i::MOVES] @ counts) for i, counts in enumerate(scores)]
    value = float(np.mean([f1(counts.sum(axis=0)) for counts in scores]))
    return Estimate(value, *interval(np.concatenate(figures), world.confidence))


def _scattered(world: World, over: Bools, rng: np.random.Generator) -> list[Intervals]:
    """Return one array of alarms a person, in UTC ms, sorted: ours, each moved to begin at a worn row by chance."""
    rule, spans = world.cohort.rule, []
    for i, case in enumerate(world.cases):
        rows, worn = over[world.cohort.row_person == i], case.result.answers.time[case.worn]
        ours = pieces(runs(rows, case.track.time, rule.step_ms), rule.merge_ms, rule.cut_ms)
        if not len(worn):
            ours = ours[:0]
        start = np.sort(rng.choice(worn, len(ours))) if len(ours) else ours[:, 0]
        spans.append(np.stack((start, start + rng.permutation(ours[:, 1] - ours[:, 0])), axis=1))
    return spans


def _moved(world: World, rng: np.random.Generator) -> Cohort:
    """Return the cohort with every person's episodes turned around within the judged time by one random length."""
    tracks = []
    for track in world.cohort.tracks:
        if not len(track.time):
            tracks.append(track)
            continue
        first, span = int(track.time[0]), int(track.time[-1] - track.time[0]) + world.cohort.rule.step_ms
        start = first + (track.episodes[:, 0] - first + int(rng.uniform(0.2, 0.8) * span)) % span
        length = track.episodes[:, 1] - track.episodes[:, 0]
        spans = np.stack((start, np.minimum(start + length, first + span)), axis=1)
        tracks.append(Track(track.time, track.person_days, spans, track.kinds, track.excused))
    return Cohort(tracks, world.cohort.rule)
