"""What the report tells of numbers: forecasts by vital and horizon, expected heart rate, each by group of people."""

from __future__ import annotations

from collections.abc import Iterator

from vitalwatch import drawing
from vitalwatch.drawing import words
from vitalwatch.wording import (
    GROUPS,
    NONE,
    Blocks,
    Json,
    Note,
    Table,
    as_table,
    beyond_chance,
    detector,
    fixed,
    lost_at_starts,
    missing,
    percent,
    ranged,
)


def forecasts(forecast: Json, units: Json) -> Blocks:
    """Tell `forecast` of an evaluation; `units` are those of columns as shown."""
    if "vitals" not in forecast:
        yield Note(missing(forecast) or "No forecast was judged.")
        return
    yield Note(
        f"{forecast['people']} people. A skill is the share of the line's error that the forecast saves: 0 is no "
        "better, below 0 is worse. "
        f"The interval promises to hold {percent(forecast['nominal_coverage'])} of what comes."
    )
    yield drawing.forecast_skill(forecast)
    yield drawing.forecast_coverage(forecast)
    yield from _parts(forecast.get("parts", {}))
    for vital, horizons in forecast["vitals"].items():
        unit = f", {units[vital]}" if vital in units else ""
        names = (
            f"Minutes ahead|Told by|MAE{unit}|RMSE{unit}|Skill of the forecast against it|Coverage|Interval width{unit}"
        )
        rows = [line for horizon, row in horizons.items() for line in _horizon_rows(horizon, row)]
        folded = vital != "heart_rate"
        yield as_table(words(vital), names, rows, folded=folded)
        yield as_table(
            f"{words(vital)}: the interval beside persistence's, with conformal quantiles of others' changes; what is "
            "saved beside the followed one is the forecast's alone",
            f"Minutes ahead|Told by|Width{unit}|Pinball loss{unit}|Width saved|Loss saved|Coverage|Worst person",
            [line for horizon, row in horizons.items() for line in _interval_rows(horizon, row)],
            folded=folded,
        )
        starts = [line for horizon, row in horizons.items() for line in _start_rows(horizon, row)]
        if told := lost_at_starts(horizons):
            yield Note(f"{words(vital)}: {told}")
        if starts:
            yield as_table(
                f"{words(vital)}: from rest to exercise",
                f"Minutes ahead|Told by|MAE{unit}|Skill|Interval holds",
                starts,
                folded=folded,
            )
        for horizon, row in horizons.items():
            if missing(row):
                yield Note(f"{words(vital)}, {horizon} min: {missing(row)}")
            if "by_group" in row:
                title = f"{words(vital)} {horizon} minutes ahead, by group of people"
                yield _by_group(title, row["by_group"], unit, "persistence", folded=folded)


PARTS = {
    "lstm": "LSTM alone",
    "line": "Ridge line alone",
    "trees": "Boosted trees alone",
    "served": "Served: all blended",
    "persistence": "Persistence",
}


def _parts(told: Json) -> Blocks:
    """Tell what each part of the heart rate's forecast says alone."""
    if "horizons" not in told:
        return
    horizons = told["horizons"]
    better = [f"{horizon}" for horizon, row in horizons.items() if beyond_chance(row.get("trees_against_lstm"))]
    gained = [f"{horizon}" for horizon, row in horizons.items() if beyond_chance(row.get("served_against_trees"))]
    yield Note(
        f"What the heart rate's forecast is blended of, asked alone on the same rows (one in {told['every']}). "
        f"Boosted trees on the same inputs beat the LSTM alone beyond chance {_ahead(better)}; all blended, which is "
        f"what is served, beats the trees alone beyond chance {_ahead(gained)}."
    )
    known = {name: label for name, label in PARTS.items() if any(name in row for row in horizons.values())}
    names = "|".join(("Minutes ahead", *known.values(), "Served against trees", "Share of line; of trees"))
    rows = [
        (
            horizon,
            *(ranged(row.get(name)) for name in known),
            ranged(row.get("served_against_trees"), 3),
            f"{fixed(row.get('share_of_line'), 2)}; {fixed(row.get('share_of_trees'), 2)}",
        )
        for horizon, row in horizons.items()
    ]
    yield as_table("Heart rate: mean absolute error of each part, bpm", names, rows)


def _ahead(horizons: list[str]) -> str:
    return f"{', '.join(horizons)} minutes ahead" if horizons else "at no horizon"


def _by_group(title: str, groups: Json, unit: str, line: str, *, folded: bool = False) -> Table:
    """Return a table of errors by group."""
    held = any("coverage" in row for values in groups.values() for row in values.values())
    names = f"Group|People|Rows|MAE{unit}|Skill against {detector(line)}" + ("|Interval holds" if held else "")
    rows = [
        (
            f"{GROUPS.get(group, words(group))}: {words(value)}",
            str(row["people"]),
            str(row["rows"]),
            ranged(row["mae"]),
            ranged(row["skill"]),
            *([percent(row.get("coverage"))] if held else []),
        )
        for group, values in groups.items()
        for value, row in values.items()
    ]
    return as_table(title, names, rows, folded=folded)


def _horizon_rows(horizon: str, row: Json) -> Iterator[tuple[str, ...]]:
    if "mae" not in row:
        return
    worst = row.get("coverage_worst_person")
    held = f"{percent(row['coverage'])}; worst person {fixed(worst, 2)}"
    yield horizon, "this forecast", ranged(row["mae"]), ranged(row["rmse"]), NONE, held, ranged(row["width"])
    for name, line in row["lines"].items():
        yield horizon, detector(name), ranged(line["mae"]), ranged(line["rmse"]), ranged(line["skill"]), NONE, NONE


def _start_rows(horizon: str, row: Json) -> Iterator[tuple[str, ...]]:
    found = row.get("rest_to_exercise", {})
    if "mae" not in found:
        return
    yield horizon, f"this forecast ({found['rows']} rows)", ranged(found["mae"]), NONE, percent(found.get("coverage"))
    for name, line in found["lines"].items():
        yield horizon, detector(name), ranged(line["mae"]), ranged(line["skill"]), NONE


STAYS = (
    ("persistence_interval", "as wide as others moved"),
    ("persistence_followed", "followed to the person as ours is"),
)


def _interval_rows(horizon: str, row: Json) -> Iterator[tuple[str, ...]]:
    if "mae" not in row:
        return
    worst = fixed(row.get("coverage_worst_person"), 2)
    yield (
        horizon,
        "this forecast",
        ranged(row["width"]),
        ranged(row["pinball"]),
        NONE,
        NONE,
        percent(row["coverage"]),
        worst,
    )
    for name, label in STAYS:
        if line := row.get(name):
            yield (
                horizon,
                f"persistence, {label}",
                ranged(line["width"]),
                ranged(line["pinball"]),
                percent(line["width_saved"]),
                percent(line["pinball_saved"]),
                percent(line["coverage"]),
                fixed(line.get("coverage_worst_person"), 2),
            )


def expected(table: Json) -> Blocks:
    """Tell `expected_heart_rate` of an evaluation."""
    if missing(table) or not table:
        yield Note(missing(table) or "The expected heart rate was not judged.")
        return
    yield Note(f"{table['people']} people; from person, activity, sleep and clock, before the heart is looked at.")
    for part, title in (("all", "All rows"), ("awake", "Awake rows")):
        row = table.get(part, {})
        if "mae" not in row:
            yield Note(f"{title}: {missing(row) or 'not judged.'}")
            continue
        rows = [("this model", ranged(row["mae"]), ranged(row["rmse"]), ranged(row["r2"], 3), NONE)]
        rows += [
            (detector(name), ranged(one["mae"]), ranged(one["rmse"]), fixed(one["r2"], 3), ranged(one["skill"]))
            for name, one in row["lines"].items()
        ]
        names = "Told by|MAE, bpm|RMSE, bpm|R2|Skill of the model against it"
        if cold := row.get("cold"):
            told = (ranged(cold["mae"]), ranged(cold["rmse"]), ranged(cold["r2"], 3), NONE)
            rows.insert(1, ("this model, nothing known but the profile (cold)", *told))
        yield as_table(f"{title} ({row['rows']})", names, rows)
        if cold:
            gains = "; ".join(f"{detector(name)} {ranged(skill)}" for name, skill in cold["skill_against"].items())
            yield Note(f"Cold, {title.lower()}: share of a line's error that it saves, {gains}.")
        if "by_group" in row:
            yield _by_group("All rows, by group of people", row["by_group"], ", bpm", "person_mean")
