"""A run told to people: one self-contained HTML page, and the few lines that the terminal prints.

Every figure of the evaluation stands on the page: the telling ones in tables beside their lines to beat, all of them
in the list at the end. What could not be judged says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

from vitalwatch.casework import Case
from vitalwatch.drawing import Example, words
from vitalwatch.hospital_sections import WARNED
from vitalwatch.sections import sections
from vitalwatch.wording import (
    CHANNELS,
    NONE,
    Json,
    Table,
    as_table,
    best_line,
    fixed,
    line,
    missing,
    percent,
    ranged,
)

__all__ = ["Example", "render", "summary"]

GATES = {
    "event_f1_unusual": "event F1 of channel A, unusual",
    "event_f1_known": "event F1 of channel B, known kinds",
    "false_alarms_per_day": "false alarms per worn person-day",
    "gain_over_best_line_unusual": "channel A, event F1 above the best simple rule at its budget",
    "gain_over_best_line_known": "channel B, event F1 above the best simple rule at its budget",
    "gain_over_best_line_both": "both channels, event F1 above the best simple rule at their budget",
    "known_probability_off": "channel B's probability beside what came true, mean distance",
    "known_probability_skill_natural": "channel B's probability at natural prevalence, Brier skill over the rate",
    "known_probability_told_beside_true_natural": "the same, share by which more or less is told than comes true",
    "forecast_skill_against_persistence": "heart-rate forecast, skill against persistence",
    "forecast_skill_of_other_vitals": "forecast of other vitals, least skill against persistence and the day before",
    "regressor_skill_against_person_mean": "expected heart rate, skill against the person's mean",
    "no_person_in_two_splits": "people in more than one split",
    "permuted_labels_at_chance": "event F1 against labels moved in time (limit: chance alarms)",
    "false_alarms_as_promised_unusual": "channel A, false alarms a day: interval from (limit: promise)",
    "false_alarms_as_promised_known": "channel B, false alarms a day: interval from (limit: promise)",
    "false_alarms_as_promised_both": "both channels, false alarms a day: interval from (limit: promise)",
    **{
        f"{question}_{name}": f"{told}, {what}"
        for question, told in (("sepsis", "sepsis within 6 h"), ("death_in_hospital", "death in this stay"))
        for name, what in (
            ("gain_over_news2", "AUROC from vitals above partial NEWS2: interval from"),
            ("auroc_below_champion", "AUROC from everything below the production model's"),
            ("gain_over_stay", "AUROC from everything above hours in hospital alone: interval from"),
            ("dealt_outcomes_at_chance", "AUROC against outcomes of other patients"),
            ("brier_skill", "Brier skill against the plain rate"),
            ("told_beside_true", "share by which more or less is told than comes true: beyond the interval"),
            ("told_beside_true_by_hours", "the same at the worst hours of the stay, of all and of the highest risks"),
        )
    },
    "event_f1_below_champion": "event F1 below the production model's",
    "shuffled_context_falls_to_person_mean": "expected heart rate from shuffled context, gain over the mean",
    "no_input_follows_heart_rate": "inputs of the expected heart rate that follow the heart rate",
}
VERDICTS = {True: "passed", False: "failed", None: "not assessable"}


def render(
    evaluation: Json, facts: Json, examples: Sequence[Example], cases: Mapping[str, Sequence[Case]] | None = None
) -> str:
    """Return the report as one HTML file that needs no other file, no network and no script.

    Args:
        evaluation: As `stages.evaluate.tables_of` returns it; parts that are missing are told as missing.
        facts: What is known of the run; any may be missing: `run`, `created` (UTC text), `settings` (mapping), `split`
            (sentence), `ingest`, `quality`, `transform`, `train` (what those stages return), `card` (of the bundle),
            `people` (counts by name), `simulated` (whether the test people are), `units` (column -> unit as shown),
            `realism` (`statistics` and `failures` by name, as `synthetic.realism` returns them).
        examples: People to draw; the first three are.
        cases: The worst `false_alarms` and `misses`, drawn where there are any.
    """
    from jinja2 import Environment, StrictUndefined

    page = files("vitalwatch").joinpath("report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(page).render(
        run=str(facts.get("run", "")),
        created=str(facts.get("created", "")),
        headline=list(_headlines(evaluation)),
        gates=gates(evaluation),
        verdict=_verdict(evaluation),
        sections=sections(evaluation, facts, examples, cases or {}),
        simulated=facts.get("simulated"),
    )


def realism_rows(rows: Sequence[Json]) -> list[tuple[bool | None, tuple[str, ...]]]:
    """Return each statistic's verdict and its cells as text, in the order of the head of the table."""
    return [
        (
            row["passed"],
            (
                words(row["name"]),
                row["unit"] or "-",
                fixed(row["synthetic"], 3),
                _spread(row["wearers"]),
                fixed(row["measured_here"], 3),
                _spread(row["published"]),
                row["wanted"] or "-",
                _beyond(row["beyond"]),
            ),
        )
        for row in rows
    ]


def realism_page(told: Json) -> str:
    """Return `stages.realism.compared` as one HTML file that needs no other file, no network and no script."""
    from jinja2 import Environment, StrictUndefined

    page = files("vitalwatch").joinpath("realism.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    tables = {step: realism_rows(rows) for step, rows in told["statistics"].items()}
    return template.from_string(page).render(told=told, tables=tables)


def _beyond(share: float | None) -> str:
    return NONE if share is None else "inside" if round(share, 2) == 0 else f"{share:+.0%} of its edge"


def _spread(found: Sequence[float] | None) -> str:
    return NONE if found is None else f"{found[0]:.3g} ({found[1]:.3g} to {found[2]:.3g})"


def summary(evaluation: Json) -> list[str]:
    """Return a few lines of plain text: headline figures beside their trivial baselines, and the gates."""
    failed = [gate for gate in evaluation.get("gates", ()) if gate["passed"] is False]
    lines = [*_headlines(evaluation), f"Gates: {_verdict(evaluation)}"]
    lines += [f"  failed: {_gate_words(gate)}: {fixed(gate['value'], 3)} ({_limit(gate)})" for gate in failed[:5]]
    return lines + ([f"  and {len(failed) - 5} more"] if len(failed) > 5 else [])


def _headlines(evaluation: Json) -> Iterator[str]:
    whose = "synthetic test people" if "own" in evaluation else "test people"
    yield from _detection_lines(evaluation.get("detection", {}), whose)
    yield from _forecast_line(evaluation)
    yield from _expected_line(evaluation)
    yield from _warning_lines(evaluation.get("early_warning", {}))
    if "own" in evaluation:
        own = evaluation["own"]
        yield f"Your own {own['people']['test']} people, by time, on their last days (above: synthetic people):"
        yield from (
            f"  {line}" for line in (*_detection_lines(own["detection"], "of your people"), *_forecast_line(own))
        )
        yield from (f"  {line}" for line in _expected_line(own))


def _detection_lines(detection: Json, whose: str) -> Iterator[str]:
    channels, others = detection.get("channels", {}), detection.get("lines", {})
    ours = {name: channels[name] for name in CHANNELS if "event_f1" in channels.get(name, {})}
    if not ours:
        yield f"Detection: {missing(detection) or 'not judged.'}"
        return
    people, episodes = detection.get("people", NONE), detection.get("episodes", NONE)
    yield f"Detection on {people} {whose}, {episodes} episodes (event F1, interval over people):"
    for name, row in ours.items():
        promised = detection.get("nominal", {}).get(name, {}).get("nominal")
        yield (
            f"  {name}: F1 {ranged(row['event_f1'])}, {ranged(row.get('false_alarms_per_day'))} false alarms per "
            f"worn person-day ({fixed(promised, 3)} promised), median delay {fixed(row.get('delay_median_min'), 0)} min"
        )
    first = next(iter(ours))
    if best := best_line(detection, first):
        chance = f"; chance: F1 {ranged(others['chance'].get('event_f1'))}" if "chance" in others else ""
        yield (
            f"  best line to beat with the budget of {first}, {line(best[0], others[best[0]])}: F1 "
            f"{ranged(best[1]['event_f1'])}, {first} minus it {ranged(best[1]['ours_minus_this'])}{chance}"
        )


def _forecast_line(evaluation: Json) -> Iterator[str]:
    forecast = evaluation.get("forecast", {})
    rows = {h: row for h, row in forecast.get("vitals", {}).get("heart_rate", {}).items() if "mae" in row}
    if not rows:
        yield f"Forecast: {missing(forecast) or 'heart rate was not judged.'}"
        return
    longest = max(rows, key=int)
    row, line = rows[longest], rows[longest]["lines"]["persistence"]
    yield (
        f"Forecast of heart rate, {longest} min: MAE {ranged(row['mae'])} bpm; persistence {ranged(line['mae'])}; "
        f"skill {ranged(line['skill'])}; interval holds {percent(row['coverage'])}"
    )


def _expected_line(evaluation: Json) -> Iterator[str]:
    table = evaluation.get("expected_heart_rate", {})
    row = table.get("all", table)
    if "mae" not in row:
        yield f"Expected heart rate: {missing(row) or 'not judged.'}"
        return
    line = row["lines"]["person_mean"]
    yield (
        f"Expected heart rate: MAE {ranged(row['mae'])} bpm, R2 {ranged(row['r2'])}; "
        f"person's mean {ranged(line['mae'])}; skill {ranged(line['skill'])}"
    )


def _warning_lines(told: Json) -> Iterator[str]:
    if missing(told):
        yield f"Early warning: {missing(told)}"
        return
    for question, table in told.items():
        if "variants" not in table:
            yield f"Early warning, {words(question)}: {missing(table)}"
            continue
        yield (
            f"Early warning of {table['question']}, {table['patients']} test patients ({table['patients_with']} with "
            f"it), AUROC / average precision; partial NEWS2 {_rank(table['lines']['news2'])}:"
        )
        yield "  " + "; ".join(f"{WARNED[name]} {_rank(row)}" for name, row in table["variants"].items())


def _rank(row: Json) -> str:
    return f"{ranged(row['auroc'], 3)} / {fixed(row['average_precision']['value'], 3)}"


def _verdict(evaluation: Json) -> str:
    gates = evaluation.get("gates", ())
    counts = {word: sum(gate["passed"] is told for gate in gates) for told, word in VERDICTS.items()}
    whose = ", on synthetic people" if "own" in evaluation else ""
    return ", ".join(f"{count} {word}" for word, count in counts.items()) + whose if gates else "none were judged"


def gates(evaluation: Json) -> Table:
    """Return the gates as a table: gate, value, limit, verdict, why."""
    rows = [
        (_gate_words(gate), fixed(gate["value"], 3), _limit(gate), VERDICTS[gate["passed"]], gate.get("why", ""))
        for gate in evaluation.get("gates", ())
    ]
    if not any(row[-1] for row in rows):
        return as_table("What a run must reach", "Gate|Value|Limit|Verdict", [row[:-1] for row in rows])
    return as_table("What a run must reach", "Gate|Value|Limit|Verdict|Why", rows)


def _gate_words(gate: Json) -> str:
    return GATES.get(gate["name"], words(gate["name"]).replace("vus pr", "VUS-PR"))


def side(gate: Json) -> str:
    """Return whether a gate's value must be `at least` or `at most` its limit; `limit` for runs that did not say."""
    return str(gate.get("side", "limit"))


def _limit(gate: Json) -> str:
    return f"{side(gate)} {fixed(gate['limit'], 3)}"
