"""What the report tells of the data: sources and refused rows, quality, realism of the simulation, who was tested."""

from __future__ import annotations

from vitalwatch.drawing import words
from vitalwatch.reading import REASONS
from vitalwatch.wording import NONE, Blocks, Json, Note, as_table, fixed, flat_rows, literal, percent


def data(facts: Json) -> Blocks:
    """Tell where the data came from and how good it is."""
    yield from _ingest(facts.get("ingest", {}))
    yield from _quality(facts.get("quality", {}), facts.get("units", {}))
    yield from _realism(facts.get("realism", {}))
    cleaned = {name: value for name, value in facts.get("transform", {}).items() if name not in ("how", "note")}
    yield as_table("Cleaning", "What|Number", [(words(name), literal(value)) for name, value in cleaned.items()])


def _ingest(ingest: Json) -> Blocks:
    if not ingest:
        yield Note("No ingest report was handed to this report.")
        return
    names = "Source|Format|Rows read|Accepted|Merged|Duplicate|In conflict|Refused|People|First|Last|Coverage"
    columns = ("read", "accepted", "merged", "duplicate", "conflict")
    rows = [
        (
            *(str(one.get(name, NONE)) for name in ("source", "format", *columns)),
            str(sum(one.get("rejected", {}).values())),
            *(literal(one.get(name)) for name in ("people", "first", "last", "coverage")),
        )
        for one in ingest.get("sources", ())
    ]
    refused = ingest.get("rejected", {})
    total = (
        *(str(ingest.get(name, NONE)) for name in columns),
        str(sum(refused.values())),
        literal(ingest.get("people")),
    )
    yield as_table("Sources", names, [*rows, ("all", "", *total, "", "", "")])
    if not refused:
        yield Note("No row was refused.")
    told = sorted(refused.items(), key=lambda item: -item[1])
    reasons = [(reason, str(count), REASONS.get(reason, NONE)) for reason, count in told]
    yield as_table("Refused rows by reason", "Reason|Rows|Meaning", reasons)
    for text in ingest.get("notes", ()):
        yield Note(str(text))


def _quality(quality: Json, units: Json) -> Blocks:
    if not quality:
        yield Note("No quality report was handed to this report.")
        return
    plain = {name: value for name, value in quality.items() if name not in ("columns", "by_person")}
    yield as_table("Readings", "What|Value", flat_rows(plain))
    rows = [
        (
            words(name),
            str(units.get(name, NONE)),
            percent(one.get("measured")),
            *(fixed(one.get(figure), 1) for figure in ("minimum", "median", "maximum")),
            percent(one.get("unusual")),
        )
        for name, one in quality.get("columns", {}).items()
    ]
    names = "Column|Unit|Measured|Minimum|Median|Maximum|Outside the usual range"
    yield as_table("Columns", names, rows)


def _realism(realism: Json) -> Blocks:
    if not realism:
        return
    failures, real = realism.get("failures", {}), realism.get("real", {})
    yield Note(
        "Figures on simulated people count as far as the simulation is like life. Each statistic is held against the "
        "mean of real people, four wearers or what was published: 15 % from it is out of bounds, also inside their "
        "range. Where there is no bound nothing is judged; report --realism shows what wearers have there."
    )
    rows = [
        (
            words(name),
            fixed(value, 3),
            "{} ({} to {})".format(*(fixed(one, 3) for one in real[name])) if name in real else NONE,
            str(failures.get(name, "no")) if name in real else "no bound",
        )
        for name, value in realism.get("statistics", {}).items()
    ]
    yield as_table("Realism of the simulation", "Statistic|Simulated|Real, mean (range)|Out of bounds", rows)


COUNTED = {
    "train": "asked again: train, a few for the row-by-row table",
    "calibration": "asked again: calibration, for the thresholds of simple lines",
    "test": "judged here: test",
}


def people(evaluation: Json, facts: Json) -> Blocks:
    """Tell how people were divided, and how many there were."""
    yield Note(str(evaluation.get("split") or facts.get("split") or "How people were divided was not told."))
    how = facts.get("transform", {}).get("how")
    if how:
        yield Note("Test people were never learnt from." if how == "person" else f"Divided by {how}.")
    learnt = {f"learnt from: {name}": count for name, count in facts.get("card", {}).get("people", {}).items()}
    judged = {COUNTED.get(name, name): value for name, value in evaluation.get("people", {}).items()}
    yield as_table("Counts", "What|Value", flat_rows({**facts.get("people", {}), **learnt, **judged}))
