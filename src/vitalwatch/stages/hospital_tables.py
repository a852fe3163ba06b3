"""Early warning judged: figures on patients nobody learnt from, beside the lines to beat, and the gates of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.early_warning import QUESTIONS, VARIANTS, EarlyWarning, columns_of
from vitalwatch.metrics.bootstrap import Estimate, estimate, interval, plain, ratio, weights
from vitalwatch.metrics.probability import Told
from vitalwatch.metrics.ranking import (
    auroc,
    auroc_draws,
    auroc_estimate,
    average_precision_estimate,
)
from vitalwatch.params import Gates
from vitalwatch.settings import Settings
from vitalwatch.stages.detection_tables import GROUPS
from vitalwatch.stages.hospital import LEAST_HELD, Course, Records, both, courses
from vitalwatch.stages.hospital_hours import headline, last_hours, moments
from vitalwatch.tables import Bools, Doubles, Floats, Profile

NOBODY = "nobody's sepsis or death in hospital is known in these data"
SERVED = ("vitals", "care")  # variants that answer: for people without laboratory and the like, and for the others
HIGHEST = 2  # tenths of rising risk
LEAST_BY_HOURS = (
    20  # patients with and without it at a moment of a stay; of fewer, chance alone is 2 in the highest fifth
)
BY = ("sex", "age")  # subgroups, of `detection_tables.GROUPS`
NONE_IN_HIGHEST = "nobody of the fifth whose risk was told highest had it"
TOO_FEW = f"fewer than {LEAST_HELD} test patients with or without it"
ALL = ""  # what the figures of a question as a whole are of, among its moments
DEALS = 50  # how often outcomes are dealt anew, to see what chance reaches


def tables(
    records: Records, models: EarlyWarning, settings: Settings, people: Collection[str] | None
) -> dict[str, Any]:
    """Return the figures of each question on patients nobody learnt from, beside the lines to beat.

    Args:
        records: Tables.
        models: Of the bundle.
        settings: Schema (the bundle's), params.
        people: Who is judged; None is everybody.
    """
    found: dict[str, dict[str, _Judged]] = {}
    news = columns_of(models.names)[0].index("news2_last")
    for course in courses(records, settings, people):
        ends = last_hours(len(course.time))
        for question in models.questions:
            if question in course.happens:
                parts = {ALL: headline(question, ends), **moments(question, course.lasted, ends)}
                rows = np.flatnonzero(np.any(list(parts.values()), axis=0))
                told = {
                    variant: models.told(question, variant, course.x[rows], course.lasted[rows]) for variant in VARIANTS
                }
                for name, part in parts.items():
                    if part.any():
                        judged = found.setdefault(question, {}).setdefault(name, _Judged())
                        judged.add(course, question, rows, part[rows], told, news)
    if not found:
        return {"not_assessable": NOBODY}
    rng = np.random.default_rng(settings.params.seed)
    return {question: _question(question, judged, settings, rng) for question, judged in found.items()}


def _question(
    question: str, judged: Mapping[str, _Judged], settings: Settings, rng: np.random.Generator
) -> dict[str, Any]:
    found = judged[ALL].table(question, settings, rng)
    if "variants" in found:
        found["by_hours"] = {name: one.served(settings, rng) for name, one in judged.items() if name != ALL}
    return found


@dataclass
class _Judged:
    """What is known and told of each patient, one array a patient."""

    happens: list[Bools] = field(default_factory=list)
    news: list[Floats] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    told: dict[str, list[Floats]] = field(default_factory=dict)

    def add(
        self,
        course: Course,
        question: str,
        rows: NDArray[np.intp],
        part: Bools,
        told: Mapping[str, Floats],
        news: int,
    ) -> None:
        """Take a patient in: of the told rows the part that is judged."""
        self.happens.append(course.happens[question][rows[part]])
        self.news.append(course.x[rows[part], news])
        self.profiles.append(course.profile)
        for variant, values in told.items():
            self.told.setdefault(variant, []).append(values[part])

    def served(self, settings: Settings, rng: np.random.Generator) -> dict[str, Any]:
        """Return the figures of what answers, and on how many patients they stand."""
        size = {"patients": len(self.happens), "patients_with": _having(self.happens)}
        if not both(self.happens):
            return {**size, "not_assessable": TOO_FEW}
        happens, person, chosen = np.concatenate(self.happens), self._person(), settings.params.evaluation
        draws = weights(len(self.happens), chosen.draws, rng)
        return {
            **size,
            "rows": len(happens),
            "rate": plain(float(happens.mean())),
            "variants": {
                name: figures(
                    happens, np.concatenate(self.told[name]), person, draws, chosen.confidence, probability=True
                )
                for name in SERVED
            },
        }

    def _person(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(len(self.happens)), [len(one) for one in self.happens])

    def table(self, question: str, settings: Settings, rng: np.random.Generator) -> dict[str, Any]:
        if not both(self.happens):
            return {"not_assessable": TOO_FEW}
        happens, person, chosen = np.concatenate(self.happens), self._person(), settings.params.evaluation
        draws = weights(len(self.happens), chosen.draws, rng)
        told = {variant: np.concatenate(some) for variant, some in self.told.items()}
        lines = {"news2": np.concatenate(self.news), "stay": told["stay"]}
        variants = {
            variant: figures(happens, score, person, draws, chosen.confidence, probability=True, beside=lines)
            for variant, score in told.items()
        }
        for variant in SERVED:
            variants[variant]["auroc_of_dealt_outcomes"] = plain(_dealt(self.happens, told[variant], rng))
            variants[variant]["by_group"] = self._by_group(told[variant], person, draws, chosen.confidence)
        return {
            "question": QUESTIONS[question],
            "patients": len(self.happens),
            "patients_with": _having(self.happens),
            "rows": len(happens),
            "rate": plain(float(happens.mean())),
            "lines": {"news2": figures(happens, lines["news2"], person, draws, chosen.confidence)},
            "variants": variants,
        }

    def _by_group(
        self, told: Floats, person: NDArray[np.intp], draws: Doubles, confidence: float
    ) -> dict[str, dict[str, Any]]:
        """Return group -> value -> figures of its patients, or why they cannot be judged."""
        found: dict[str, dict[str, Any]] = {}
        happens = np.concatenate(self.happens)
        for name in BY:
            of = np.asarray([GROUPS[name](profile) for profile in self.profiles])
            found[name] = {}
            for value in np.unique(of).tolist():
                some = [one for one, group in zip(self.happens, of, strict=True) if group == value]
                row: dict[str, Any] = {"patients": len(some), "patients_with": _having(some)}
                if both(some):
                    rows = (of == value)[person]
                    row |= figures(happens[rows], told[rows], person[rows], draws, confidence, probability=True)
                else:
                    row["not_assessable"] = f"fewer than {LEAST_HELD} patients with or without it"
                found[name][value] = row
        return found


def _having(happens: Sequence[Bools]) -> int:
    return sum(bool(one.any()) for one in happens)


def _dealt(happens: Sequence[Bools], told: Floats, rng: np.random.Generator) -> float:
    """Return the mean AUROC against outcomes that belong to other patients.

    Each takes another's hours, repeated or cut to the own number and turned around, so that neither the patient nor
    the hour of the stay tells anything.
    """
    lengths = [len(one) for one in happens]
    found = []
    for _ in range(DEALS):
        order = rng.permutation(len(happens)).tolist()
        labels = [
            np.roll(np.resize(happens[other], n), int(rng.integers(n))) for other, n in zip(order, lengths, strict=True)
        ]
        found.append(auroc(np.concatenate(labels), told))
    known = np.asarray(found)
    return float(known[np.isfinite(known)].mean()) if np.isfinite(known).any() else float("nan")


def gates(told: Mapping[str, Any], chosen: Gates) -> list[dict[str, Any]]:
    """Return the verdicts on the figures that `tables` returns; nobody else judges outcomes in hospital.

    What answers for people without laboratory must beat NEWS2, what sees everything must beat hours in hospital alone:
    whole intervals count, not values. What has no skill must score chance, and what is told must come true as often.
    """
    return [
        verdict
        for question, table in told.items()
        if isinstance(table, Mapping)
        for verdict in _gates_of(question, table, chosen)
    ]


def _gates_of(question: str, table: Mapping[str, Any], chosen: Gates) -> list[dict[str, Any]]:
    variants = table.get("variants")
    if not variants:
        why = f"not assessable: {table.get('not_assessable', 'it was not judged')}"
        return [_verdict(f"{question}_gain_over_news2", None, chosen.min_warning_gain_over_news2, "at least", why)]
    served = [variants[name] for name in SERVED]
    return [
        _verdict(
            f"{question}_gain_over_news2",
            variants["vitals"]["auroc_gain_over_news2"]["low"],
            chosen.min_warning_gain_over_news2,
            "at least",
        ),
        _verdict(
            f"{question}_gain_over_stay",
            variants["care"]["auroc_gain_over_stay"]["low"],
            chosen.min_warning_gain_over_stay,
            "at least",
        ),
        _verdict(
            f"{question}_dealt_outcomes_at_chance",
            max(one["auroc_of_dealt_outcomes"] for one in served),
            chosen.max_warning_auroc_of_dealt_outcomes,
            "at most",
        ),
        _verdict(
            f"{question}_brier_skill",
            min(one["brier_skill"] for one in served),
            chosen.min_warning_brier_skill,
            "at least",
        ),
        _verdict(
            f"{question}_told_beside_true",
            plain(max(_apart(one["told_over_true"]) for one in served)),
            chosen.max_warning_told_beside_true,
            "at most",
        ),
        _by_hours(question, table["by_hours"], chosen),
    ]


def _by_hours(question: str, found: Mapping[str, Any], chosen: Gates) -> dict[str, Any]:
    """Return the verdict on the moment at which what is told is furthest from what came true.

    Both of all patients and of those whose risk is highest: scores that are believed too much are right in the mean.
    Where nobody in the highest fifth had it there is no such share, and the gate fails: something was told of them.
    """
    apart = [
        (_apart(one["variants"][name][share]), hours)
        for hours, one in found.items()
        if min(one["patients_with"], one["patients"] - one["patients_with"]) >= LEAST_BY_HOURS
        for name in SERVED
        for share in ("told_over_true", "highest_told_over_true")
    ]
    why = "" if apart else f"not assessable: at no hour of a stay {LEAST_BY_HOURS} test patients with and without it"
    verdict = _verdict(
        f"{question}_told_beside_true_by_hours",
        plain(max((share for share, _ in apart), default=None)),
        chosen.max_warning_told_beside_true_by_hours,
        "at most",
        why,
    )
    unbounded = dict.fromkeys(hours for share, hours in apart if not np.isfinite(share))
    return verdict | ({"why": f"{NONE_IN_HIGHEST}: {', '.join(unbounded)}"} if unbounded else {})


def _apart(told_over_true: Mapping[str, float | None]) -> float:
    """Return by which share more (or less) is told than comes true, at the end of the interval that lies nearest 1."""
    low, high = told_over_true["low"], told_over_true["high"]
    if low is None or high is None:
        return float("inf")
    return low - 1 if low > 1 else 1 / max(high, 1e-9) - 1 if high < 1 else 0.0


def _verdict(name: str, value: float | None, limit: float, side: str, why: str = "") -> dict[str, Any]:
    passed = None if why else value is not None and (value >= limit if side == "at least" else value <= limit)
    found = {"name": name, "value": value, "limit": limit, "passed": passed, "side": side}
    return found | {"why": why} if why else found


def figures(
    happens: Bools,
    score: Floats,
    person: NDArray[np.intp],
    draws: Doubles,
    confidence: float,
    *,
    probability: bool = False,
    beside: Mapping[str, Floats] | None = None,
) -> dict[str, Any]:
    """Return AUROC and average precision with intervals by patient, and for probabilities how true they are.

    Args:
        happens: Of each row (n,).
        score: Higher is worse (n,).
        person: Number of each row's patient (n,).
        draws: From `bootstrap.weights`.
        confidence: Share of draws inside the intervals.
        probability: Whether the score is one.
        beside: Lines to beat by name: the gain in AUROC over each is told, paired.
    """
    found: dict[str, Any] = {
        "auroc": auroc_estimate(happens, score, person, draws, confidence).table(),
        "average_precision": average_precision_estimate(happens, score, person, draws, confidence).table(),
    }
    for name, line in (beside or {}).items():
        gain = auroc_draws(happens, score, person, draws) - auroc_draws(happens, line, person, draws)
        value = auroc(happens, score) - auroc(happens, line)
        found[f"auroc_gain_over_{name}"] = Estimate(value, *interval(gain, confidence)).table()
    if probability:
        rate = float(happens.mean())
        brier = Told.of(happens, score, person).brier(draws, confidence)
        found["brier"] = brier.table()
        found["brier_skill"] = plain(1 - brier.value / (rate * (1 - rate)))
        found["told_over_true"] = _told_over_true(happens, score, person, draws, confidence).table()
        found["highest_told_over_true"] = _told_over_true(*_highest(happens, score, person), draws, confidence).table()
        found["reliability"] = by_tenths(happens, score, person, draws, confidence)
    return found


def _highest(happens: Bools, score: Floats, person: NDArray[np.intp]) -> tuple[Bools, Floats, NDArray[np.intp]]:
    """Return the rows of the highest tenths: the people whom a warning is about."""
    order = np.argsort(score, kind="stable")
    rows = np.concatenate(np.array_split(order, 10)[-HIGHEST:])
    return happens[rows], score[rows], person[rows]


def _told_over_true(
    happens: Bools, score: Floats, person: NDArray[np.intp], draws: Doubles, confidence: float
) -> Estimate:
    people = draws.shape[1]
    sums = np.stack([np.bincount(person, values, people) for values in (score, happens)], axis=1).astype(np.float64)
    return estimate(lambda total: ratio(total[..., 0], total[..., 1]), sums, draws, confidence)


def by_tenths(
    happens: Bools, probability: Floats, person: NDArray[np.intp], draws: Doubles, confidence: float
) -> list[dict[str, Any]]:
    """Return, for tenths of the rows by rising probability, rows, mean told, and what came true with its interval."""
    order = np.argsort(probability, kind="stable")
    return [
        {
            "rows": len(some),
            "told": float(probability[some].mean()),
            "true": Told.of(happens[some], probability[some], person[some])
            .mean(happens[some], draws, confidence)
            .table(),
        }
        for some in np.array_split(order, 10)
        if len(some)
    ]
