"""Evaluation: everything that is said about a run's models, on people they have not seen, beside the lines to beat."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vitalwatch import params
from vitalwatch.metrics.bootstrap import plain
from vitalwatch.settings import Settings
from vitalwatch.stages import detection_tables, number_tables
from vitalwatch.stages.detection_tables import BUDGETS
from vitalwatch.stages.judging import (
    PersonResult,
    Thresholds,
    case_of,
    judged_rows,
    world_of,
)
from vitalwatch.stages.number_tables import estimates
from vitalwatch.wording import best_line

__all__ = ["PersonResult", "Thresholds", "gates_of", "tables_of"]

NO_SKILL_ROOM = 1.25  # a detector without skill may reach this times what a constant one does
LEAST_TARGETS = 1000  # measured values that a forecast of another vital is judged on

Gate = dict[str, Any]


def tables_of(
    results: Sequence[PersonResult],
    settings: Settings,
    *,
    thresholds: Thresholds,
    trained_on: Collection[str],
    rng: np.random.Generator,
    split_note: str = "",
    by_time: bool = False,
    champion: Mapping[str, Any] | None = None,
    more_gates: Sequence[Gate] = (),
) -> dict[str, Any]:
    """Judge answers and return every table and gate, ready for JSON; a part that cannot be judged says why.

    Args:
        results: `test` people are judged, `calibration` people set thresholds of the simple lines, `train` people
            appear in the classical table only; any of the latter two may be missing.
        settings: Schema and params.
        thresholds: Where the channels alarm.
        trained_on: People whose rows any model or threshold has seen.
        rng: Draws people, chance, permuted labels.
        split_note: One sentence on how people were divided.
        by_time: Test people were also trained on, on earlier days: unseen people are then not judged.
        champion: The evaluation of the model in production on the same people, to compare with.
        more_gates: Verdicts that only training can give (a regressor with shuffled context), as `gate` makes them.

    Returns:
        people, split, detection, forecast, expected_heart_rate, classical, gates, passed, seconds.
    """
    began = time.perf_counter()
    judged = [result for result in results if result.split == "test" and len(result.answers)]
    learners = [result for result in results if result.split == "calibration" and len(result.answers)]
    cases = [case_of(result, settings.schema.step_ms) for result in judged if result.events is not None]
    tables: dict[str, Any] = {
        "people": _people(results, judged, settings),
        "split": split_note,
        "detection": detection_tables.detection(world_of(cases, settings, rng), thresholds, learners, rng),
        "forecast": number_tables.forecasts(judged, learners, settings, rng),
        "expected_heart_rate": number_tables.expected_heart_rate(judged, learners, settings, rng),
        "classical": number_tables.classical(results),
    }
    gates = [_disjoint(judged, trained_on, by_time), *gates_of(tables, settings.params.gates, champion), *more_gates]
    tables["gates"] = gates
    tables["passed"] = all(gate["passed"] is not False for gate in gates)
    tables["seconds"] = round(time.perf_counter() - began, 2)
    return tables


def _people(results: Sequence[PersonResult], judged: Sequence[PersonResult], settings: Settings) -> dict[str, Any]:
    counts = {part: sum(result.split == part for result in results) for part in ("train", "calibration", "test")}
    worn, told = 0, 0
    for result in judged:
        rows = result.answers.grid.worn & judged_rows(result)
        worn, told = worn + int(rows.sum()), told + int((rows & result.answers.assessable).sum())
    days = worn * settings.schema.step_minutes / 1440
    share = plain(1 - told / worn if worn else None)
    return counts | {"worn_person_days": plain(days, 2), "not_assessable_share_of_worn": share}


def gate(
    name: str, value: float | None, limit: float | None, passed: bool | None, why: str = "", side: str = "at most"
) -> Gate:
    """Return one verdict; `passed` is None where it cannot be judged, and `why` says why; the value is `side` limit."""
    verdict = {"name": name, "value": plain(value), "limit": plain(limit), "passed": passed, "side": side}
    return verdict | {"why": why} if why else verdict


def _at_least(name: str, value: float | None, limit: float) -> Gate:
    if value is None:
        return gate(name, None, limit, None, "not assessable: the table it reads has no figure", "at least")
    return gate(name, value, limit, bool(value >= limit), side="at least")


def _at_most(name: str, value: float | None, limit: float | None) -> Gate:
    if value is None or limit is None:
        return gate(name, value, limit, None, "not assessable: the table it reads has no figure")
    return gate(name, value, limit, bool(value <= limit))


def _disjoint(judged: Sequence[PersonResult], trained_on: Collection[str], by_time: bool) -> Gate:
    seen = len({result.person for result in judged} & set(trained_on))
    if by_time:
        return gate("no_person_in_two_splits", seen, 0, None, "not assessable: split by time, people were too few")
    return gate("no_person_in_two_splits", seen, 0, seen == 0)


def gates_of(tables: Mapping[str, Any], chosen: params.Gates, champion: Mapping[str, Any] | None = None) -> list[Gate]:
    """Return the verdicts that the tables allow: quality, leakage, and against the champion."""
    detection, headline = tables["detection"], headline_of(tables)
    unusual = _value(detection, "channels", "unusual", "event_f1")
    known = _value(detection, "channels", "known", "event_f1")
    longest = _longest_horizon(tables)
    return [
        _at_least("event_f1_unusual", unusual, chosen.min_event_f1_unusual),
        _at_least("event_f1_known", known, chosen.min_event_f1_known),
        _at_most(
            "false_alarms_per_day",
            _value(detection, "channels", headline, "false_alarms_per_day"),
            chosen.max_false_alarms,
        ),
        _at_least(
            "forecast_skill_against_persistence",
            _value(tables, "forecast", "vitals", "heart_rate", longest, "lines", "persistence", "skill"),
            chosen.min_forecast_skill,
        ),
        _at_least("forecast_skill_of_other_vitals", _worst_other(tables), chosen.min_forecast_skill_others),
        _at_least(
            "regressor_skill_against_person_mean",
            _value(tables, "expected_heart_rate", "all", "lines", "person_mean", "skill"),
            chosen.min_regressor_skill,
        ),
        _at_most(
            "known_probability_off", detection.get("known_probability", {}).get("off"), chosen.max_probability_off
        ),
        *_natural_probability(detection.get("known_probability", {}).get("natural", {}), chosen),
        *_above_lines(detection, chosen.min_gain_over_best_line),
        *_promises(detection),
        *_leakage(detection),
        *_against_champion(tables, champion, chosen),
    ]


def headline_of(tables: Mapping[str, Any]) -> str:
    """Return the channel whose figures stand for the run: both where there are two, else the one there is."""
    channels = tables["detection"].get("channels", {})
    return next((name for name in ("both", "unusual", "known") if "event_f1" in channels.get(name, {})), "both")


def _natural_probability(natural: Mapping[str, Any], chosen: params.Gates) -> list[Gate]:
    """Return whether channel B's probability holds at natural prevalence: better than the rate, told as it came."""
    if not natural:
        return []
    brier, plain_rate, told, true = (_value(natural, name) for name in ("brier", "brier_of_prevalence", "told", "true"))
    skill = None if brier is None or not plain_rate else 1.0 - brier / plain_rate
    apart = None if told is None or not true else abs(told / true - 1.0)
    return [
        _at_least("known_probability_skill_natural", skill, chosen.min_probability_skill),
        _at_most("known_probability_told_beside_true_natural", apart, chosen.max_probability_told_beside_true),
    ]


def _above_lines(detection: Mapping[str, Any], limit: float) -> list[Gate]:
    """Return what each channel's event F1 has above the best line to beat that was given the same budget."""
    found = []
    for name in ("unusual", "known", "both"):
        best = best_line(detection, name)
        gain = None if best is None else best[1]["ours_minus_this"]["value"]
        found.append(_at_least(f"gain_over_best_line_{name}", gain, limit))
    return found


def _promises(detection: Mapping[str, Any]) -> list[Gate]:
    """Return whether calibrated rates of false alarms came true: the interval begins at or below what is allowed."""
    found = []
    for name in ("unusual", "known", "both"):
        realised = estimates(detection, "nominal", name, "realised")
        allowed = detection.get("nominal", {}).get(name, {}).get("allowed")
        found.append(_at_most(f"false_alarms_as_promised_{name}", None if realised is None else realised.low, allowed))
    return found


def _leakage(detection: Mapping[str, Any]) -> list[Gate]:
    """Return whether what has no skill scores like it: else the judging, not the detector, finds the episodes."""
    no_skill = detection.get("no_skill", {})
    permuted = no_skill.get("permuted_labels", {}).get("event_f1")
    chance = estimates(no_skill, "chance_alarms", "event_f1")
    # Moved labels stay together as ours do, scattered alarms do not: of 48 people the first find .06 less, give or take
    # .004 from draw to draw (.02 of 8, .06 of one). So chance itself is the limit, and what one lucky hit is worth.
    room = 2 / (1 + detection.get("episodes", 0))  # 2: event F1 counts a hit twice
    limit = None if chance is None or not np.isfinite(chance.value) else chance.value + room
    found = [_at_most("permuted_labels_at_chance", permuted, limit)]
    for figure in ("average_precision", "vus_pr"):
        constant = _value(detection, "no_skill", "constant", figure)
        limit = None if constant is None else NO_SKILL_ROOM * constant
        for name, where in (("random", ("no_skill", "random")), ("always_on", ("lines", "always_on"))):
            found.append(_at_most(f"{name}_detector_at_chance_{figure}", _value(detection, *where, figure), limit))
    for budget in BUDGETS:
        limit = _recall_by_chance(detection, budget)
        for name, where in (("random", ("no_skill", "random")), ("always_on", ("lines", "always_on"))):
            recall = _value(detection, *where, "recall_at", str(budget))
            found.append(_at_most(f"{name}_detector_at_chance_recall_at_{budget}", recall, limit))
    return found


def _recall_by_chance(detection: Mapping[str, Any], budget: float) -> float | None:
    """Return what alarms anywhere may find at a budget: an alarm meets an episode as often as rows lie in one.

    With a share s of rows in episodes, budget x s / (1 - s) alarms a day are no false ones, and each finds at most one.
    """
    share, episodes = detection.get("rows_in_episodes"), detection.get("episodes")
    if share is None or not episodes or share >= 1.0:
        return None
    found = budget * share / (1.0 - share) * detection["person_days"] / episodes
    return NO_SKILL_ROOM * found + 2 / (1 + episodes)


def _against_champion(
    tables: Mapping[str, Any], champion: Mapping[str, Any] | None, chosen: params.Gates
) -> list[Gate]:
    if champion is None:
        return []
    ours = _value(tables["detection"], "channels", headline_of(tables), "event_f1")
    if "detection" not in champion:
        return [gate("event_f1_below_champion", None, chosen.max_worse_than_champion, None, "no champion figures")]
    theirs = _value(champion["detection"], "channels", headline_of(champion), "event_f1")
    gap = None if ours is None or theirs is None else theirs - ours
    return [
        _at_most("event_f1_below_champion", gap, chosen.max_worse_than_champion),
        *_warnings_against_champion(tables.get("early_warning", {}), champion.get("early_warning", {}), chosen),
    ]


def _warnings_against_champion(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], chosen: params.Gates
) -> Iterator[Gate]:
    """Yield a verdict for each question of the early warning that both runs answer, of patients with everything."""
    for question in ours:
        told = [_value(table, question, "variants", "care", "auroc") for table in (ours, theirs)]
        if told[0] is not None and told[1] is not None:
            yield _at_most(f"{question}_auroc_below_champion", told[1] - told[0], chosen.max_worse_than_champion)


def _value(table: Mapping[str, Any], *keys: str) -> float | None:
    found = estimates(table, *keys)
    return None if found is None else found.value


def _worst_other(tables: Mapping[str, Any]) -> float | None:
    """Return the least skill of vitals but the heart rate at their longest horizon, against what is easily said.

    A vital that is hardly ever measured does not count: its skill is chance.
    """
    skills = [
        _value(rows, max(rows, key=int), "lines", line, "skill")
        for vital, rows in tables["forecast"].get("vitals", {}).items()
        if vital != "heart_rate" and rows[max(rows, key=int)].get("rows", 0) >= LEAST_TARGETS
        for line in ("persistence", "seasonal_24h")
    ]
    return min((skill for skill in skills if skill is not None), default=None)


def _longest_horizon(tables: Mapping[str, Any]) -> str:
    horizons = tables["forecast"].get("vitals", {}).get("heart_rate", {})
    return max(horizons, key=int, default="")
