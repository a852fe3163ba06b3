"""What the report tells of the early warning: figures beside the lines to beat, reliability, groups of patients."""

from __future__ import annotations

from vitalwatch import reliability
from vitalwatch.drawing import words
from vitalwatch.wording import GROUPS, Blocks, Json, Note, Table, as_table, fixed, missing, percent, ranged

WARNED = {
    "vitals": "vitals and age",
    "stay": "hours in intensive care and hospital alone",
    "vitals_stay": "vitals, age and those hours",
    "care": "all of it, with laboratory, consciousness, urine, ventilation",
}

BY_HOURS = (
    "Moment|Patients (with it)|Rows|AUROC|Average precision|Brier|Told over true|The same of the highest fifth|"
    "Highest tenth: told; came true"
)


def warning(told: Json, card: Json) -> Blocks:
    """Tell the early warning: `early_warning` of an evaluation, and card.json for what it cannot do."""
    if missing(told):
        yield Note(missing(told))
        return
    for sentence in card.get("early_warning", {}).get("limits", ()):
        yield Note(str(sentence))
    for table in told.values():
        if missing(table):
            yield Note(missing(table))
            continue
        rows = [("partial NEWS2", table["lines"]["news2"]), *((WARNED[n], row) for n, row in table["variants"].items())]
        names = "Told from|AUROC|Average precision|AUROC above NEWS2|AUROC above hours alone|Brier skill|Told over true"
        title = (
            f"{table['question'].capitalize()}: {table['patients']} test patients, {table['patients_with']} with it, "
            f"{table['rows']} rows, rate {percent(table['rate'])}"
        )
        yield as_table(title, names, [
            (name, ranged(row["auroc"], 3), ranged(row["average_precision"], 3),
             ranged(row.get("auroc_gain_over_news2"), 3), ranged(row.get("auroc_gain_over_stay"), 3),
             fixed(row.get("brier_skill"), 3), ranged(row.get("told_over_true")))
            for name, row in rows
        ])  # fmt: skip
        yield from _by_hours(table.get("by_hours", {}))
        yield reliability.tenths(table)
        for name in ("vitals", "care"):
            if "by_group" in table["variants"][name]:
                yield _warned_groups(f"From {WARNED[name]}, by group of patients", table["variants"][name]["by_group"])
        tenths = table["variants"]["vitals"]["reliability"]
        cells = [(str(one["rows"]), fixed(one["told"], 4), ranged(one["true"], 4)) for one in tenths]
        yield as_table("Reliability of vitals and age, by tenths of rising risk", "Rows|Mean told|Came true", cells)


def _by_hours(moments: Json) -> Blocks:
    """Tell what is told at each moment of a stay beside what came true: risks are read at every hour."""
    for name in ("vitals", "care"):
        judged = [(moment, row, row["variants"][name]) for moment, row in moments.items() if "variants" in row]
        if judged:
            yield as_table(f"From {WARNED[name]}, by hours of the stay", BY_HOURS, [
                (moment, f"{row['patients']} ({row['patients_with']})", str(row["rows"]),
                 ranged(one["auroc"], 3), ranged(one["average_precision"], 3), ranged(one["brier"], 4),
                 ranged(one["told_over_true"]), ranged(one["highest_told_over_true"]),
                 f"{fixed(one['reliability'][-1]['told'], 3)}; {ranged(one['reliability'][-1]['true'], 3)}")
                for moment, row, one in judged
            ])  # fmt: skip
    for moment, row in moments.items():
        if missing(row):
            yield Note(f"{moment.capitalize()}: {missing(row)}")


def _warned_groups(title: str, groups: Json) -> Table:
    rows = [
        (
            f"{GROUPS.get(group, words(group))}: {words(value)}",
            f"{row['patients']} ({row['patients_with']})",
            ranged(row.get("auroc"), 3),
            ranged(row.get("average_precision"), 3),
            ranged(row.get("told_over_true")),
        )
        for group, values in groups.items()
        for value, row in values.items()
    ]
    return as_table(title, "Group|Patients (with it)|AUROC|Average precision|Told over true", rows)
