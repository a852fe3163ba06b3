"""Model cards: what each model is for, what it learnt from, how good it is, for whom, and what it cannot do.

What is known when a model is trained travels in the bundle's card.json under `models`; figures, and what they say
against the model (`shortcomings`), come from the evaluation of the same run. `cards` puts both together for the page
and the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vitalwatch import features, shortcomings
from vitalwatch.drawing import words
from vitalwatch.wording import (
    GROUPS,
    NONE,
    Json,
    beside_best,
    beyond_chance,
    detector,
    fixed,
    lost_at_starts,
    missing,
    percent,
    ranged,
    value_of,
)

# The name of a difference claims no direction: read beside what it adds, a low one would be told backwards
STATISTICS = {
    "mean": "mean of {window}",
    "above": "mean of {window} against that of {than}",
    "shortfall": "{window} against the rise expected of them",
    "spread": "spread within {window}",
    "lowest": "lowest of {window}",
    "steps_z": "of {window} against the person's usual day",
    "now": "now",
}
TRACKS = {
    "heart_rate_active": "heart rate while active",
    "heart_rate_quiet": "heart rate while not active",
    "heart_rate_spread": "heart-rate spread within a step",
    "heart_rate_variability_rmssd": "heart rate variability",
    "oxygen_saturation_min": "lowest oxygen saturation of a step",
    "asleep_60min": "share asleep",
    "steps_60min": "steps a minute",
}
TELLING = "A person looks at every alarm; it starts or stops no treatment."
MODELS: Mapping[str, Mapping[str, Any]] = {
    "unusual": {
        "title": "Detector, channel A: unusual",
        "intended_use": f"Shows hours that are unusual for this person, whatever the cause. {TELLING}",
        "not_for": "Diagnosis; people under 16 or in pregnancy; a monitor whose silence is taken for safety.",
        "inputs": "Residuals of nine signals from the person's own normal in such a moment, over 10 minutes to a day.",
        "learnt_from": "Rows of training people in and out of episodes; it sees no label. Its threshold spends a share "
        "of the false-alarm budget on calibration people.",
        "limits": [
            "For seven days the population's normal stands in for the person's own.",
            "An illness that lasts longer than the baseline's days becomes normal.",
            "Where fewer than a quarter of the last hour's heart rates were measured nothing is judged.",
        ],
        "negative_results": [
            "Without gain beyond chance when tried: twice the trees, extended features, a blend with one forest on all "
            "features (docs/comparison.md).",
        ],
    },
    "known": {
        "title": "Detector, channel B: known kinds",
        "intended_use": f"Shows hours that look like a kind of episode it was shown, and names it. {TELLING}",
        "not_for": "Kinds it was not shown; diagnosis: the name says what the vitals resemble, not what a person has.",
        "inputs": "The features of channel A, all of them to every kind's head.",
        "learnt_from": "Labelled episodes of training people, one boosted head a kind against rows without episode.",
        "limits": [
            "As good as its labels: those of the default run are what the simulator put in.",
            "A kind found nearly always is to be doubted in the simulation first.",
        ],
        "negative_results": [
            "Without gain when tried: intensity and motion as features, no negatives within 30 minutes of an episode, "
            "only 3 or 12 hours of an episode, episodes without their first tenth, 60 to 250 thousand normal rows, "
            "larger trees (docs/figures.md).",
            "Judged as served (docs/comparison.md), a head a kind is not better than one head for all kinds beyond "
            "chance: it stays because it names the kind, and because one can be left out.",
        ],
    },
    "expected_heart_rate": {
        "title": "Expected heart rate",
        "intended_use": "Tells what the heart rate of this person should be in such a moment, as the line that "
        "deviations are measured from.",
        "not_for": "Training zones, fitness, or any judgement of the heart by itself.",
        "inputs": "Steps, intensity, motion, sleep and clock up to now, age, sex, height, weight, beta-blocker; "
        "nothing that is computed from the heart rate. The person's own level, slope and hours come from own days.",
        "learnt_from": "Worn rows of training people, heart rate less each person's own level.",
        "limits": ["Effort without steps (cycling, strength) is expected only where intensity tells it."],
        "negative_results": [
            "Of somebody without own days it lacks the level: learnt from a few real wearers alone it missed what was "
            "asked of a new one (docs/figures.md, real wearers)."
        ],
    },
    "forecast": {
        "title": "Forecaster",
        "intended_use": "Draws where vitals may be within the hour: a median, and an interval for four cases in five.",
        "not_for": "Deciding that nothing will happen; forecasts of illness.",
        "inputs": "Two hours of vitals, steps, intensity and clock; what is usual for the person by hour and moment.",
        "learnt_from": "Windows of training people; the LSTM's medians are blended with a line for each vital and "
        "horizon, and with trees for the heart rate, by what errs least on calibration people; intervals are made to "
        "hold on calibration people and then fit to "
        "each person's own misses.",
        "limits": [
            "Minutes ahead the heart rate is nearly a random walk: skill begins at five and comes from activity."
        ],
        "negative_results": [
            "Trees for the other vitals gained next to nothing beside the LSTM and a line (docs/decisions.md): not "
            "served.",
        ],
    },
}


@dataclass(frozen=True)
class Card:
    """One model told: a title and (what, text) rows."""

    title: str
    rows: tuple[tuple[str, str], ...]


def told_of_training(known: bool) -> dict[str, Any]:
    """Return what card.json holds under `models`; `known` where labels taught supervised heads."""
    return {name: dict(told) for name, told in MODELS.items() if known or name != "known"}


def feature_words(feature: features.Feature) -> str:
    """Return a feature as it reads: `heart rate, mean of 60 min`."""
    track = TRACKS.get(feature.track, words(feature.track))
    statistic = STATISTICS[feature.statistic].format(window=_span(feature.window), than=_span(feature.than))
    return track if feature.statistic == "now" and feature.window else f"{track}, {statistic}"


def _span(minutes: int) -> str:
    return f"{minutes // 60} h" if minutes >= 120 and minutes % 60 == 0 else f"{minutes} min"


def cards(card: Json, evaluation: Json) -> list[Card]:
    """Return a card for every model of a run.

    Args:
        card: card.json of its bundle; one of an older run tells less.
        evaluation: evaluation.json of the run.
    """
    people = card.get("people", {})
    data = f"{people.get('train', NONE)} people to learn from, {people.get('calibration', NONE)} to calibrate on"
    found = []
    for name, told in card.get("models", {}).items():
        rows = [
            ("Intended use", told["intended_use"]),
            ("Not for", told["not_for"]),
            ("Inputs", told["inputs"]),
            ("Data", f"{told['learnt_from']} Here: {data}. {evaluation.get('split', '')}".strip()),
            *FIGURES[name](evaluation),
            *(("Limits", text) for text in told["limits"]),
            *(("Negative result", text) for text in told["negative_results"]),
        ]
        found.append(Card(told["title"], tuple(rows)))
    if warned := card.get("early_warning"):
        found.append(_warning_card(warned, evaluation.get("early_warning", {}), data))
    return found


Rows = Iterator[tuple[str, str]]


def _channel(name: str, evaluation: Json) -> Rows:
    detection = evaluation.get("detection", {})
    row = detection.get("channels", {}).get(name, {})
    if "event_f1" not in row:
        yield "Figures", missing(row) or missing(detection) or "Not judged."
        return
    yield (
        "Figures",
        f"Event F1 {ranged(row['event_f1'])}, precision {ranged(row.get('precision'))}, recall "
        f"{ranged(row.get('recall'))}, {ranged(row.get('false_alarms_per_day'))} false alarms per worn person-day, on "
        f"{detection.get('people', NONE)} people with {detection.get('episodes', NONE)} episodes.",
    )
    if told := beside_best(detection, name):
        yield "Beside it", told
    kinds = detection.get("by_kind", {}).get(name, {})
    if kinds:
        order = sorted(kinds, key=lambda kind: value_of(kinds[kind]["recall"]) or 0.0)
        found = (f"{words(kind)} {ranged(kinds[kind]['recall'])} of {kinds[kind]['episodes']}" for kind in order)
        yield "Recall by kind", f"{'; '.join(found)}."
    groups = detection.get("by_group", {}).get(name, {})
    yield from _by_group("Event F1", "event_f1", groups)
    yield from _told("Limits", shortcomings.found_least(kinds))
    worst = shortcomings.worst_off(groups, "event_f1", "event F1", row["event_f1"], least=True)
    yield from _told("Limits", worst)
    yield from _told("Negative result", *shortcomings.outdone(detection, name))
    if promise := detection.get("nominal", {}).get(name):
        kept = "kept" if promise["kept"] else "not kept"
        sides = "within" if promise.get("met_both_sides") else "outside of"
        met = f", {fixed(promise['met'], 2)} of it, {sides} 0.7 to 1.3" if promise.get("met") is not None else ""
        realised = f"{ranged(promise['realised'], 3)} came: {kept}{met}."
        yield "Promise", f"{fixed(promise['nominal'], 3)} false alarms a day were promised, {realised}"


def _expected(evaluation: Json) -> Rows:
    table = evaluation.get("expected_heart_rate", {})
    row = table.get("all", {})
    if "mae" not in row:
        yield "Figures", missing(row) or missing(table) or "Not judged."
        return
    figures = f"MAE {ranged(row['mae'])} bpm, RMSE {ranged(row['rmse'])} bpm, R2 {ranged(row['r2'])}"
    yield "Figures", f"{figures}, on {table['people']} people."
    told = "; ".join(f"{detector(name)} {ranged(one['mae'])}" for name, one in row["lines"].items())
    yield "Beside it", f"MAE of {told} bpm."
    if cold := row.get("cold"):
        gains = "; ".join(f"{detector(name)} {ranged(skill)}" for name, skill in cold["skill_against"].items())
        figures = f"MAE {ranged(cold['mae'])} bpm, RMSE {ranged(cold['rmse'])} bpm"
        yield "Nothing known but the profile", f"{figures}; share of a line's error that it saves: {gains}."
        even = [name for name, skill in cold["skill_against"].items() if skill.get("low") is None or skill["low"] <= 0]
        if even:
            told = ", ".join(map(detector, even))
            yield "Negative result", f"With nothing known but the profile it does not beat {told} beyond chance."
    groups = row.get("by_group", {})
    yield from _by_group("MAE", "mae", groups, ", bpm")
    yield from _told("Limits", shortcomings.worst_off(groups, "mae", "MAE in bpm", row["mae"], least=False))


def _told(what: str, *texts: str) -> Rows:
    yield from ((what, text) for text in texts if text)


def _by_group(title: str, figure: str, groups: Json, what: str = "", digits: int = 2) -> Rows:
    for group, values in groups.items():
        told = "; ".join(
            f"{words(value)} {ranged(row.get(figure), digits)} ({shortcomings.size(row)})"
            for value, row in values.items()
        )
        yield f"{title} by {GROUPS.get(group, words(group))}{what}", f"{told}."


def _parts(told: Json) -> Rows:
    """Tell where trees alone beat the LSTM alone, and the blend the trees."""
    horizons = told.get("horizons", {})
    for key, text in (
        ("trees_against_lstm", "Boosted trees alone beat the LSTM alone on the heart rate beyond chance"),
        ("served_against_trees", "All blended beats the trees alone beyond chance"),
    ):
        found = {horizon: row[key] for horizon, row in horizons.items() if row.get(key)}
        if found:
            better = [f"{horizon} min" for horizon, one in found.items() if beyond_chance(one)]
            gaps = "; ".join(f"{horizon} min {ranged(one, 3)} bpm" for horizon, one in found.items())
            yield "Parts", f"{text} {'at ' + ', '.join(better) if better else 'at no horizon'} ({gaps})."


def _forecast(evaluation: Json) -> Rows:
    table = evaluation.get("forecast", {})
    if "vitals" not in table:
        yield "Figures", missing(table) or "Not judged."
        return
    yield from _parts(table.get("parts", {}))
    yield from _told("Negative result", shortcomings.astray(table))
    for vital, horizons in table["vitals"].items():
        told = [
            f"{horizon} min {ranged(row['mae'])} (persistence {ranged(row['lines']['persistence']['mae'])}, interval "
            f"holds {percent(row['coverage'].get('value'))}, for the worst person "
            f"{percent(row.get('coverage_worst_person'))})"
            for horizon, row in horizons.items()
            if "mae" in row
        ]
        if told:
            yield f"MAE, {words(vital)}", "; ".join(told) + "."
        beside = [
            f"{horizon} min {ranged(row['width'])}, pinball loss less by {percent(found['pinball_saved'])}"
            + (f" ({percent(own['pinball_saved'])})" if (own := row.get("persistence_followed")) else "")
            for horizon, row in horizons.items()
            if (found := row.get("persistence_interval"))
        ]
        if beside:
            text = (
                f"{'; '.join(beside)} than persistence's with conformal quantiles of others' changes (in brackets: "
                "than the same followed to the person, as served intervals are)."
            )
            yield f"Width of the interval, {words(vital)}", text
        if vital == "heart_rate" and (lost := lost_at_starts(horizons)):
            yield "Negative result", lost
        for horizon, row in horizons.items():
            yield from _by_group("MAE", "mae", row.get("by_group", {}), f", {words(vital)} in {horizon} min")


FIGURES: Mapping[str, Any] = {
    "unusual": lambda evaluation: _channel("unusual", evaluation),
    "known": lambda evaluation: _channel("known", evaluation),
    "expected_heart_rate": _expected,
    "forecast": _forecast,
}


WARNED_BY = (
    "Hours of a stay: vitals, when they were taken, age, sex; laboratory values, consciousness, urine, ventilation and "
    "hours in hospital where they are told."
)


def _warning_card(warned: Json, told: Json, data: str) -> Card:
    rows = [
        ("Intended use", str(warned.get("purpose", "Ranks hospital patients for a clinician who looks again."))),
        ("Not for", "People outside of hospital; deciding that somebody is well; wards it was not calibrated on."),
        ("Inputs", WARNED_BY),
        ("Data", f"Stays of which a source tells the outcome. Here: {data}."),
    ]
    if missing(told):
        rows.append(("Figures", missing(told)))
        told = {}
    for table in told.values():
        rows += _warning_rows(table)
    rows += [("Limits", str(text)) for text in warned.get("limits", ())]
    rows += [("Negative result", str(text)) for text in warned.get("negative_results", ())]
    return Card("Early warning in hospital", tuple(rows))


def _warning_rows(table: Json) -> Rows:
    if "variants" not in table:
        yield "Figures", missing(table) or "Not judged."
        return
    question = table["question"].capitalize()
    yield (
        question,
        f"{table['patients']} test patients, {table['patients_with']} with it. Line to beat, partial NEWS2: AUROC "
        f"{ranged(table['lines']['news2']['auroc'], 3)}.",
    )
    for name, row in table["variants"].items():
        gains = [
            f"{ranged(row[f'auroc_gain_over_{line}'], 3)} above {what}"
            for line, what in (("news2", "NEWS2"), ("stay", "hours in hospital alone"))
            if f"auroc_gain_over_{line}" in row and line != name
        ]
        text = f"AUROC {ranged(row['auroc'], 3)}, average precision {ranged(row['average_precision'], 3)}"
        yield f"{question}, from {words(name)}", f"{'; '.join([text, *gains])}."
        yield from _by_group("AUROC", "auroc", row.get("by_group", {}), f", from {words(name)}", 3)
        for moment, one in table.get("by_hours", {}).items():
            if at := one.get("variants", {}).get(name):
                text = (
                    f"AUROC {ranged(at['auroc'], 3)}; told over true {ranged(at['told_over_true'])}, of the highest "
                    f"fifth {ranged(at['highest_told_over_true'])}"
                )
                yield f"{question}, from {words(name)}, {moment}", f"{text}."
    yield from _told("Negative result", *shortcomings.not_beaten(table))
