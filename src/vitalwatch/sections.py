"""What the report tells, part by part: figures of an evaluation and facts of a run -> tables, notes and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitalwatch import casework, drawing, features, reliability, tradeoffs
from vitalwatch.cards import cards, feature_words
from vitalwatch.casework import Case
from vitalwatch.data_sections import data, people
from vitalwatch.drawing import Example, Picture, words
from vitalwatch.hospital_sections import warning
from vitalwatch.number_sections import expected, forecasts
from vitalwatch.wording import (
    CHANNELS,
    GROUPS,
    NONE,
    Blocks,
    Json,
    Note,
    Table,
    as_table,
    beside_best,
    detector,
    fixed,
    flat_rows,
    line,
    missing,
    pairs,
    percent,
    ranged,
    ranged_small,
    significant,
)

MAX_EXAMPLES = 3
CAUSES = {"fault": "sensor fault", "context": "harmless"}


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading."""

    anchor: str
    title: str
    blocks: tuple[Table | Note | Picture, ...]


def sections(
    evaluation: Json, facts: Json, examples: Sequence[Example], cases: Mapping[str, Sequence[Case]]
) -> list[Section]:
    """Return the parts of the page in order; `facts`, `examples` and `cases` as `report.render` takes them."""
    detection, forecast = evaluation.get("detection", {}), evaluation.get("forecast", {})
    own: list[tuple[str, str, Blocks]] = []
    if "own" in evaluation:
        own = [("own", "Your own people, on their last days", _own(evaluation["own"], facts))]
    parts: list[tuple[str, str, Blocks]] = [
        *own,
        ("detection", "Detection", _detection(detection)),
        ("kinds", "By kind of episode", _kinds(detection)),
        ("alarms", "False alarms", _false_alarms(detection)),
        ("shares", "How the budget of false alarms is shared", _shares(evaluation.get("shares", {}))),
        ("groups", "Subgroups", _groups(detection)),
        ("probability", "How far the known channel's probability can be believed", _probability(detection)),
        ("rare", "Is what is called rare rare?", _rare(evaluation.get("p_values", {}))),
        ("examples", "Examples", _examples(examples)),
        ("worst", "Worst false alarms and misses", _worst(cases)),
        ("drift", "Does the baseline keep up?", _drift(evaluation.get("baseline_drift", {}))),
        ("forecast", "Forecast", forecasts(forecast, facts.get("units", {}))),
        ("expected", "Expected heart rate", expected(evaluation.get("expected_heart_rate", {}))),
        *(
            [("warning", "Early warning in hospital", warning(evaluation["early_warning"], facts.get("card", {})))]
            if "early_warning" in evaluation
            else []
        ),
        ("classical", "Row by row", _classical(evaluation.get("classical", {}))),
        ("data", "Data", data(facts)),
        ("people", "Who was learnt from and who was tested", people(evaluation, facts)),
        ("model", "Model cards", _model(evaluation, facts)),
        ("all", "Every figure", _everything(evaluation)),
    ]
    return [Section(anchor, title, tuple(b for b in blocks if b is not None)) for anchor, title, blocks in parts]


def _own(own: Json, facts: Json) -> Blocks:
    """Tell what is true of the user's own few people; everything after it is about the population that helped."""
    yield Note(
        f"{own['people']['test']} people were too few to hold some out, so they are judged by time, on days that came "
        "after those learnt from. Whether this holds for people never seen is told by the sections after this one, on "
        "the synthetic population."
    )
    for part in (own["detection"], own["forecast"], own["expected_heart_rate"]):
        if missing(part):
            yield Note(missing(part))
    if "channels" in own["detection"]:
        yield from _detection(own["detection"])
    blocks = (*forecasts(own["forecast"], facts.get("units", {})), *expected(own["expected_heart_rate"]))
    yield from (block for block in blocks if isinstance(block, Table | Note))


def _detection(detection: Json) -> Blocks:
    if "channels" not in detection:
        yield Note(missing(detection) or "Detection was not judged.")
        return
    ours = {name: detection["channels"][name] for name in CHANNELS if name in detection["channels"]}
    rows = {**ours, **detection.get("lines", {})}
    yield Note(
        f"{detection['people']} people, {fixed(detection['person_days'], 1)} worn person-days, "
        f"{detection['episodes']} episodes ({detection['episodes_left_out']} more do not count: they begin before "
        f"judging or nothing was worn); {percent(detection['rows_in_episodes'])} of the rows lie in an episode."
    )
    yield tradeoffs.event_f1(detection)
    yield from _beside_lines(detection)
    names = (
        "Detector|Event F1|Precision|Recall|Macro recall over kinds|False alarms per worn person-day|"
        "Delay, median (90 %), min|Average precision|VUS-PR|Threshold from"
    )
    judged = [(name, row) for name, row in rows.items() if "event_f1" in row]
    yield as_table("Our channels and the lines to beat", names, [_detector_row(name, row) for name, row in judged])
    for name, row in rows.items():
        if missing(row):
            yield Note(f"{CHANNELS.get(name, words(name))}: {missing(row)}")
    budgets = list(dict.fromkeys(b for _, row in judged for b in row.get("recall_at", {})))
    head = [f"Recall at {budget} false alarms a day" for budget in budgets]
    in_life = any("precision_natural" in row for _, row in judged)
    life = ("Precision, natural prevalence", "Alarms a day, natural") if in_life else ()
    names = "|".join(("Detector", *head, "Precision here", *life))
    told = [
        (
            detector(name),
            *(ranged(row.get("recall_at", {}).get(budget)) for budget in budgets),
            ranged(row.get("precision")),
            *((ranged(row.get("precision_natural")), fixed(row.get("alarms_per_day_natural"), 3)) if in_life else ()),
        )
        for name, row in judged
    ]
    lower = ", and what natural prevalence does to precision" if in_life else ""
    yield as_table(f"Recall at a budget of false alarms{lower}", names, told)
    yield tradeoffs.curve(detection)
    yield tradeoffs.precision_recall(detection)
    yield as_table(
        "As served: alarms that the monitor itself raised", "Figure|Value", pairs(detection.get("served", {}))
    )
    yield _no_skill(detection.get("no_skill", {}))
    for text in detection.get("notes", ()):
        yield Note(str(text))


def _detector_row(name: str, row: Json) -> tuple[str, ...]:
    figures = ("event_f1", "precision", "recall", "macro_recall", "false_alarms_per_day")
    delay = f"{fixed(row.get('delay_median_min'), 0)} ({fixed(row.get('delay_p90_min'), 0)})"
    ranks = (ranged(row.get("average_precision"), 3), ranged(row.get("vus_pr"), 3))
    source = str(row.get("threshold_from", NONE))
    return (line(name, row), *(ranged(row.get(figure)) for figure in figures), delay, *ranks, source)


def _beside_lines(detection: Json) -> Blocks:
    """Tell every channel beside every line to beat at the same budget of false alarms, the best one in a sentence."""
    for channel in CHANNELS:
        if told := beside_best(detection, channel):
            yield Note(told)
    rows = [
        (
            line(name, row),
            *(
                f"{ranged(one.get('event_f1'))}; {ranged(one.get('ours_minus_this'))}"
                for one in (row.get("ours_beside", {}).get(channel, {}) for channel in CHANNELS)
            ),
        )
        for name, row in detection.get("lines", {}).items()
    ]
    names = "Line to beat|At the budget of both channels|At that of channel A|At that of channel B"
    yield as_table("Event F1 of the lines at our channels' budgets; ours minus it, paired", names, rows)


def _no_skill(no_skill: Json) -> Table:
    rows = [
        (words(name), ranged(row.get("average_precision"), 3), ranged(row.get("vus_pr"), 3))
        for name, row in no_skill.items()
        if "vus_pr" in row
    ]
    moved = no_skill.get("permuted_labels", {}).get("event_f1")
    rows += [("ours, labels moved in time (event F1)", fixed(moved, 3), NONE)] if moved is not None else []
    chance = no_skill.get("chance_alarms", {}).get("event_f1")
    rows += [("as many and as long alarms as ours, anywhere (event F1)", ranged(chance, 3), NONE)] if chance else []
    return as_table("What no skill scores here", "Detector|Average precision|VUS-PR", rows)


def _kinds(detection: Json) -> Blocks:
    by_kind = detection.get("by_kind", {})
    if not by_kind:
        yield Note(missing(detection) or "No kinds of episode were judged.")
        return
    yield drawing.recall_by_kind(by_kind)
    yield drawing.delay_by_kind(by_kind)
    rows = [
        (
            words(kind),
            words(channel),
            f"{row['detected']} of {row['episodes']}",
            ranged(row["recall"]),
            fixed(row["delay_median_min"], 0),
            fixed(row["delay_p90_min"], 0),
        )
        for channel, kinds in by_kind.items()
        for kind, row in kinds.items()
    ]
    names = "Kind|Channel|Detected|Recall|Delay, median, min|Delay, 90 %, min"
    yield as_table("Recall and delay by kind", names, sorted(rows))
    named = detection.get("kind_named", {})
    told = f"{ranged(named.get('right'))} of {named.get('episodes')} episodes that it named"
    yield Note(f"The known channel names the right kind in {missing(named) or told}.")


def _false_alarms(detection: Json) -> Blocks:
    if "nominal" not in detection:
        yield Note(missing(detection) or "False alarms were not judged.")
        return
    rows = [
        (
            detector(name),
            fixed(row["nominal"], 3),
            fixed(row.get("allowed"), 3),
            ranged(row["realised"], 3),
            f"{fixed(row.get('met'), 2)}: {'yes' if row.get('met_both_sides') else 'no'}",
            "yes" if row["within"] else "no",
            "yes" if row["kept"] else "no",
        )
        for name, row in detection["nominal"].items()
    ]
    names = "Channel|Promised|With room|Realised|Share; within 0.7 to 1.3|Promise inside the interval|Promise kept"
    yield as_table("Promised and realised false alarms per worn person-day", names, rows)
    for channel, causes in detection.get("false_alarms_by_cause", {}).items():
        if missing(causes):
            yield Note(f"By cause, {detector(channel)}: {missing(causes)}")
            continue
        told = [(_cause(name), str(row["false_alarms"]), fixed(row["per_day"], 4)) for name, row in causes.items()]
        title = f"False alarms by what the alarm met: {detector(channel)}"
        yield as_table(title, "Sensor fault or harmless context|False alarms|Per worn person-day", told)


def _shares(told: Json) -> Blocks:
    """Tell what more of the budget for channel A costs on kinds that were labelled, and finds of others."""
    if "shares" not in told:
        yield Note(missing(told) or "Shares of the budget were not judged.")
        return
    yield Note(
        "Channel B finds kinds that somebody labelled, channel A alone looks for whatever else is unusual: more of the "
        "budget for one is less for the other. The share is the user's to choose (detector.share_unusual and "
        f"known_most in params.yaml; {told['served']:.2g} is served). Thresholds of each share are those of "
        f"calibration people, judged on {told['people']} test people with {told['episodes']} episodes. A kind is "
        "hidden by leaving its head out; the forests saw its episodes among all rows, unlabelled. Choose by what you "
        "fear to miss."
    )
    yield tradeoffs.shares(told)
    rows = [
        (
            f"{row['share']:g}{' (served)' if row['share'] == told['served'] else ''}",
            *(ranged(row[key]) for key in ("event_f1", "recall", "false_alarms_per_day")),
            ranged(row["recall_hidden"]),
            ranged(row["recall_hidden_by_chance"]),
            fixed(row["false_alarms_per_day_hidden"], 3),
        )
        for row in told["shares"]
    ]
    names = (
        "Channel A's share|Event F1, known kinds|Recall, known kinds|False alarms per worn person-day|"
        "Recall, kind hidden|The same, as many alarms at other times|False alarms a day, kind hidden"
    )
    yield as_table("Both channels, by channel A's share of the budget", names, rows)


def _cause(name: str) -> str:
    """Return what the simulator wrote down, in words: `sensor fault: stuck value`."""
    kind, _, cause = words(name).partition(":")
    return f"{CAUSES.get(kind, kind)}: {cause}" if cause else kind


def _groups(detection: Json) -> Blocks:
    by_group = detection.get("by_group", {})
    if not by_group:
        yield Note(missing(detection) or "Subgroups were not judged.")
    names = "Group|People|Episodes|Person-days|Event F1|Precision|Recall|False alarms per worn person-day"
    figures = ("event_f1", "precision", "recall", "false_alarms_per_day")
    for channel, groups in by_group.items():
        rows = [
            (
                f"{GROUPS.get(group, words(group))}: {words(value)}",
                str(row["people"]),
                str(row["episodes"]),
                fixed(row["person_days"], 1),
                *(ranged(row.get(figure)) for figure in figures),
            )
            for group, values in groups.items()
            for value, row in values.items()
        ]
        yield as_table(detector(channel), names, rows)


def _probability(detection: Json) -> Blocks:
    table = detection.get("known_probability", {})
    if "brier" not in table:
        yield Note(missing(table) or missing(detection) or "No probability was judged.")
        return
    natural = table.get("natural")
    if natural:
        yield Note(
            "What is served holds where episodes are as rare as in life. These people have more of them: below, first "
            "the scale that calibration people gave, on these people as they are, then what is served, with rows in "
            "episodes counted for as much less as they are rarer in life."
        )
    yield from _reliability(table, "at the prevalence of these people")
    if natural:
        yield from _reliability(natural, "as served, at natural prevalence")


def _reliability(table: Json, where: str) -> Blocks:
    yield Note(
        f"{where[0].upper()}{where[1:]}: {ranged(table['told'], 3)} was told in the mean where "
        f"{ranged(table['true'], 3)} came true. Brier score {ranged(table['brier'], 4)}; "
        f"a constant at the prevalence scores {ranged(table['brier_of_prevalence'], 4)} (lower is better). "
        f"Told and true are {fixed(table.get('off'), 3)} apart in the mean over rows."
    )
    yield reliability.known(table, where)
    rows = [
        (f"{row['from']:g} to {row['to']:g}", f"{row['rows']:.0f}", fixed(row["told"], 3), ranged(row["true"], 3))
        for row in table["reliability"]
    ]
    yield as_table(f"Reliability, {where}", "Probability|Rows|Mean told|Share that came true", rows)


def _rare(told: Json) -> Blocks:
    if "served" not in told:
        yield Note(missing(told) or "P-values were not judged.")
        return
    yield Note(
        f"{told['rows']} normal rows of people never seen: a p-value of 0.01 or less should come in one row of a "
        "hundred. More often is an alarm too many, less often one too few."
    )
    yield reliability.p_values(told)
    rows = [
        (significant(a["told"], 1), ranged_small(a["came"]), ranged_small(b["came"]))
        for a, b in zip(told["unusual"], told["served"], strict=True)
    ]
    names = "P-value at most|Share of rows, channel A alone|As served, the rarer of both channels"
    yield as_table("How often p-values are so small", names, rows)
    yield from _rare_by_context(told.get("by_context", {}))


def _rare_by_context(told: Json) -> Blocks:
    rows = [
        (context, str(found["rows"]), significant(a["told"], 1), ranged_small(a["came"]), ranged_small(b["came"]))
        for context, found in told.items()
        for a, b in zip(found["unusual"], found["served"], strict=True)
        if found["rows"]
    ]
    if not rows:
        return
    yield Note(
        "A p-value means the same whatever somebody does only where these shares agree. A context in which small ones "
        "come more often than told has more than its part of the false alarms, and one in which they come less often "
        "hides what is unusual there. P-values have a scale for each of the three; what forests find surprising is put "
        "on scales asleep and awake before that."
    )
    names = "Context|Normal rows|P-value at most|Share of rows, channel A alone|As served, the rarer of both channels"
    yield as_table("How often p-values are so small, by context", names, rows)


def _examples(examples: Sequence[Example]) -> Blocks:
    if not examples:
        yield Note("No examples were handed to this report.")
    for number, example in enumerate(examples[:MAX_EXAMPLES], start=1):
        yield drawing.heart_rate(example, number)
    fans = (drawing.forecast_fan(example) for example in examples[:MAX_EXAMPLES])
    yield next((fan for fan in fans if fan is not None), Note("None of the examples has a forecast to draw."))


def _worst(cases: Mapping[str, Sequence[Case]]) -> Blocks:
    """Tell the cases that a reader should look at one by one."""
    alarms, misses = cases.get("false_alarms", ()), cases.get("misses", ())
    if not alarms and not misses:
        yield Note("No false alarm and no miss of labelled test people was handed to this report.")
        return
    yield Note(
        "Around each case: two vitals, first those that the explanation names or the missed kind moves (a detail is "
        "drawn as its vital), then those furthest from usual, as means over an hour or six; a miss of less than an "
        "hour as single rows, because a mean would hide it. In own spreads, hours from its start. Grey: too little was "
        "measured to judge; an episode there counts as missed unless nothing at all was worn. An episode is the worse "
        "missed the further the scores stayed below the threshold."
    )
    yield casework.draw(alarms, "worst-alarms", "The worst false alarms: furthest above their threshold.")
    names = "Number|Channel and kind|Above threshold|Why it came|What would clear it"
    made = any(case.cause for case in alarms)
    names += "|What the simulator knows of it" if made else ""
    taken_apart = any(case.rests for case in alarms)
    names += "|What the head rests on, in log-odds (+ speaks for the kind)" if taken_apart else ""
    yield as_table("The worst false alarms", names, [
        (str(i), f"{case.channel} {words(case.kind)}".strip(), fixed(case.score, 2), case.told, case.clearing,
         *([_cause(case.cause) or NONE] if made else []), *([case.rests or NONE] if taken_apart else []))
        for i, case in enumerate(alarms, start=1)
    ])  # fmt: skip
    yield casework.draw(misses, "worst-misses", "The worst misses: episodes in which the scores stayed lowest.")
    names = "Number|Kind|Hours|Below threshold|What the vitals did"
    yield as_table("The worst misses", names, [
        (str(i), words(case.kind), fixed((case.end - case.start) / drawing.HOUR, 1), fixed(-case.score, 2), case.told)
        for i, case in enumerate(misses, start=1)
    ])  # fmt: skip


def _drift(drift: Json) -> Blocks:
    picture = casework.baseline_drift(drift)
    if picture is None:
        yield Note("Too few people or days to tell.")
        return
    yield Note(
        "A normal that lags behind drifts away from 0. During enrolment the population's normal stands in: the first "
        "days show how far people lie from it."
    )
    yield picture


def _classical(classical: Json) -> Blocks:
    yield Note(
        "Neighbouring rows are not independent and one long episode outweighs many short ones, so none of this is a "
        "headline. The constant answer stands beside the model: of a rare event it wins on accuracy."
    )
    if not classical:
        yield Note("Row-by-row figures were not computed.")
    numbers, labels = [], []
    for part, table in classical.items():
        if missing(table):
            yield Note(f"{part.capitalize()} people: {missing(table)}")
            continue
        one = table["expected_heart_rate"]
        for answer, told in (("model", one), ("mean of training people", one.get("constant", {}))):
            figures = [fixed(told.get(name), 3) for name in ("rmse", "mae", "r2")]
            numbers.append((part, answer, str(table["people"]), str(one["rows"]), *figures))
        if missing(table["rows"]):
            yield Note(f"{part.capitalize()} people: {missing(table['rows'])}")
            continue
        share = percent(table["rows"]["share_in_episodes"])
        for name in ("model", "always_normal", "always_anomaly"):
            told = [fixed(table["rows"][name][figure], 4) for figure in ("accuracy", "precision", "recall", "f1")]
            labels.append((part, words(name), share, *told))
    yield as_table("Expected heart rate", "People|Answer|Number|Rows|RMSE, bpm|MAE, bpm|R2", numbers)
    names = "People|Answer|Rows in episodes|Accuracy|Precision|Recall|F1"
    yield as_table("Anomalies, every row for itself", names, labels)


def _model(evaluation: Json, facts: Json) -> Blocks:
    card, train = facts.get("card", {}), facts.get("train", {})
    if not card:
        yield Note("No model card was handed to this report.")
    for sentence in (card.get("purpose"), *card.get("notes", ())):
        if sentence:
            yield Note(str(sentence))
    for one in cards(card, evaluation):
        yield as_table(one.title, "What|Told", one.rows)
    seen = {group: ", ".join(map(_readable, names)) for group, names in card.get("groups", {}).items()}
    yield as_table("What each organ group's forest sees", "Group|Features", list(seen.items()), folded=True)
    listed = {name: value for name, value in card.items() if isinstance(value, (list, Mapping)) and name != "models"}
    single = {name: value for name, value in card.items() if name not in (*listed, "purpose", "models")}
    yield as_table("card.json: single values", "What|Value", flat_rows(single), folded=True)
    yield as_table("card.json: lists", "What|Value", flat_rows(listed), folded=True)
    told = {name: train[name] for name in ("bytes", "files", "seconds") if name in train}
    yield as_table("Training: seconds by step, bytes by file", "What|Value", flat_rows(told))
    yield as_table("Settings", "Key|Value", flat_rows(facts.get("settings", {})), folded=True)


def _readable(name: str) -> str:
    known = {feature.name: feature for feature in features.FEATURES}
    return feature_words(known[name]) if name in known else words(name)


def _everything(evaluation: Json) -> Blocks:
    yield Note("All figures of the evaluation, by their names in evaluation.json, a table a part.")
    for name, part in evaluation.items():
        if name not in ("gates", "split"):
            yield as_table(words(name).capitalize(), "Name|Value", flat_rows({name: part}), folded=True)
