"""The report: everything that was judged stands on the page, what was not says why, and data stays text."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from report_world import NASTY, evaluation_of, result, small_evaluation
from tiny import somebody
from vitalwatch import report
from vitalwatch.report import Example
from vitalwatch.stages.assess import examples
from vitalwatch.stages.people import POPULATION
from vitalwatch.stages.realism import realism_of
from vitalwatch.wording import detector, significant

VOID = {"meta", "br", "img", "link", "input", "hr"}
INGEST = {
    "sources": [
        {
            "source": "recordings/ward.csv",
            "format": "table",
            "read": 110,
            "accepted": 100,
            "merged": 2,
            "duplicate": 3,
            "conflict": 1,
            "rejected": {"unit_suspect": 7},
            "people": 4,
            "first": "2026-01-05T00:00:00Z",
            "last": "2026-01-06T00:00:00Z",
            "coverage": 0.97,
            "notes": [],
        }
    ],
    "read": 110,
    "accepted": 100,
    "merged": 2,
    "duplicate": 3,
    "conflict": 1,
    "rejected": {"unit_suspect": 7},
    "people": 4,
    "notes": ["ward.csv: 3 columns are unknown"],
}
FACTS = {
    "run": "20260105-abc",
    "created": "2026-01-05 10:00 UTC",
    "simulated": True,
    "units": {"heart_rate": "bpm"},
    "settings": {"params": {"detector": {"budget": 0.1}}},
    "ingest": INGEST,
    "quality": {"rows": 100, "columns": {"heart_rate": {"measured": 0.934, "median": 71.25}}, "by_person": {"p": {}}},
    "transform": {"people": 4, "artefact_spike": 17, "how": "person", "note": "not told here"},
    "train": {"bytes": 123456, "seconds": {"forests": 3.21}, "files": {"forest.onnx": 23456}, "people": {}},
    "card": {
        "name": "vitalwatch",
        "purpose": "Shows what is unusual.",
        "kinds": ["fever"],
        "step_minutes": 5,
        "people": {"train": 116},
    },
    "people": {"labelled": 4},
    "realism": {
        "statistics": {"sd_bpm": 14.2, "r2": 0.91},
        "real": {"r2": [0.5, 0.4, 0.6]},
        "failures": {"r2": "above 0.80: too clean"},
    },
}


class Page(HTMLParser):
    """Reads a page: open tags must close in order; keeps attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def leaves(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from leaves(value, (*path, key))
    elif isinstance(found, list):
        for value in found:
            yield from leaves(value, path)
    else:
        yield path, found


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(small_evaluation()))
    return found


@pytest.fixture(scope="module")
def page(evaluation: dict[str, Any]) -> str:
    one = result("person-1", "test", seed=1)
    return report.render(
        evaluation, FACTS, [Example("person-1", one.answers, one.events or (), "A typical episode")] * 4
    )


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page(page)


def test_the_page_is_well_formed(parsed):
    assert [] == parsed.open
    assert ["html", "head"] == [tag for tag, _ in parsed.tags[:2]]


def test_every_figure_of_the_evaluation_stands_on_the_page(evaluation, parsed):
    numbers = [(path, value) for path, value in leaves(evaluation) if isinstance(value, (int, float))]
    listed = {path: value for path, value in numbers if path[0] != "gates" and not isinstance(value, bool)}
    everything = parsed.text.split("All figures of the evaluation")[1]

    assert len(listed) > 300
    assert [] == [path for path, value in listed.items() if not re.search(rf"(?<![\d.]){value}(?![\d])", everything)]


def test_headline_figures_stand_beside_the_lines_to_beat(evaluation, parsed):
    table = parsed.text.split("Our channels and the lines to beat")[1].split("Recall at a budget")[0]

    assert "both channels (either alarms) 0.80 (0.80 to 0.80)" in table
    assert len(evaluation["detection"]["lines"]) == 11
    assert [] == [name for name in evaluation["detection"]["lines"] if detector(name) not in table]


def test_every_gate_has_its_verdict(evaluation, parsed):
    box = parsed.text.split("What a run must reach")[1]

    assert "false alarms per worn person-day 0.333 at most 0.160 failed" in box
    assert "people in more than one split 0.000 at most 0.000 passed" in box
    assert f"{len(evaluation['gates']) - 2} passed, 1 failed, 1 not assessable" in parsed.text  # one vital is forecast


def test_every_picture_is_told_in_words(parsed):
    pictures = [attributes for _, attributes in parsed.tags if attributes.get("role") == "img"]

    assert 12 == len(pictures) == sum(tag == "svg" for tag, _ in parsed.tags)  # 3 of 4 examples
    assert all(len(attributes["aria-label"] or "") > 20 for attributes in pictures)
    assert not any(tag == "img" for tag, _ in parsed.tags)


def test_the_page_needs_nothing_from_elsewhere(page, parsed):
    assert [] == re.findall(r"https?:|//[a-z]|@import|\ssrc=", page)
    assert not {"script", "link", "iframe", "object", "img"} & {tag for tag, _ in parsed.tags}
    assert all((a.get("href") or "#").startswith("#") for _, a in parsed.tags)
    assert {"#"} == {found[0] for found in re.findall(r"url\((.)", page)}


def test_ids_are_unique_and_contents_lead_somewhere(parsed):
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    links = {(a["href"] or "")[1:] for tag, a in parsed.tags if tag == "a"}

    assert sorted(set(ids)) == sorted(ids)
    assert links <= set(ids)


def test_the_page_is_small_and_fits_light_dark_and_phone(page):
    assert len(page.encode()) < 1_500_000
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_facts_of_the_run_are_told(parsed):
    for told in (
        "Run 20260105-abc, 2026-01-05 10:00 UTC",
        "3 of 4 people are tested.",  # the note, as it is
        "recordings/ward.csv table 110 100 2 3 1 7 4",
        "unit_suspect 7 looks like another unit",
        "ward.csv: 3 columns are unknown",
        "heart rate bpm 93.4% – 71.2",
        "artefact spike 17",
        "sd bpm 14.200 – no bound",
        "r2 0.910 0.500 (0.400 to 0.600) above 0.80: too clean",
        "seconds.forests 3.21",
        "Shows what is unusual.",
        "params.detector.budget 0.1",
        "The test people are simulated.",
        "It is no medical device.",
        "Test people were never learnt from.",
    ):
        assert told in parsed.text


def test_people_learnt_from_are_no_mixture_with_those_who_were_judged():
    page = report.render({"people": {"train": 12, "calibration": 60, "test": 48}}, FACTS, [])
    told = Page(page).text

    assert "learnt from: train 116" in told
    assert "asked again: train, a few for the row-by-row table 12" in told
    assert "judged here: test 48" in told


def test_shares_of_the_rarest_p_values_are_told_with_two_figures_and_no_power_of_ten():
    def rows(told: float) -> list[dict[str, Any]]:
        return [{"told": told, "came": {"value": 0.000073, "low": 0.0, "high": 0.00021}}]

    both = {"rows": 90, "unusual": rows(0.00001), "served": rows(0.00001)}
    text = Page(report.render({"p_values": both | {"by_context": {"asleep": both}}}, FACTS, [])).text
    rarest = "0.00001 0.000073 (0 to 0.00021) 0.000073 (0 to 0.00021)"

    assert f"both channels {rarest}" in text
    assert f"asleep 90 {rarest}" in text


@pytest.mark.parametrize(
    ("told", "value", "figures"),
    [("0.000073", 0.000073, 2), ("0.00001", 1e-5, 1), ("0.30", 0.3, 2), ("0", 0.0, 2), ("12", 12.3, 2), ("–", None, 2)],
)
def test_significant_figures_are_written_out(told, value, figures):
    assert told == significant(value, figures)


def test_whoever_was_seen_for_more_than_a_day_is_drawn_whatever_the_step():
    one = result("person-1", "test", days=1)

    assert ["person-1"] == [example.person for example in examples([one], steps_per_day=24)]
    assert [] == examples([one], steps_per_day=288)


def test_the_users_own_people_are_drawn_first_and_said_to_be_real():
    made = [result(f"{POPULATION}{i}", "test", kinds=("fever",) * 2) for i in range(3)]
    own = replace(result("own-anna", "test", labelled=False), bookkeeping=None)
    drawn = examples([*made, own], steps_per_day=288)

    assert ["real person own-anna", f"synthetic person {POPULATION}0"] == [one.who for one in drawn[:2]]
    page = Page(report.render({}, FACTS, drawn)).text
    assert "Forecasts on one afternoon (real person own-anna)" in page


def test_realism_of_simulated_people_is_told_as_it_was_measured():
    world = [somebody(index, days=3).readings for index in range(2)]
    found = realism_of(world, 5)
    assert found["statistics"]["persistence_5"] > 1

    page = Page(report.render({}, {"realism": json.loads(json.dumps(found, allow_nan=False))}, [])).text
    told = page.split("Realism of the simulation")[1]

    free = set(found["statistics"]) - set(found["real"])
    assert {"quiet_half_hours_90", "quiet_half_hours_99"} <= free
    for name, value in found["statistics"].items():
        assert f"{name.replace('_', ' ')} {value:.3f}" in told
        if name in free:
            assert f"{name.replace('_', ' ')} {value:.3f} – no bound" in told
        else:
            mean, low, high = found["real"][name]
            verdict = found["failures"].get(name, "no")
            assert f"{value:.3f} {mean:.3f} ({low:.3f} to {high:.3f}) {verdict}" in told


def test_what_is_not_realistic_says_so_and_people_without_activity_are_left_out():
    one = somebody(0, days=3).readings
    flat = replace(one, values={**one.values, "heart_rate": np.full(len(one), 60, np.float32)})
    noise = np.random.default_rng(1).normal(75, 10, len(one)).astype(np.float32)
    wild = replace(one, values={**one.values, "heart_rate": noise})
    still = replace(one, values={**one.values, "steps": np.zeros(len(one), np.float32)})

    assert "not within 5.2 " in realism_of([wild], 5)["failures"]["persistence_5"]
    assert realism_of([one], 5) == realism_of([still, flat, one.rows(slice(0, 9)), one], 5)
    assert {} == realism_of([still, flat], 5)


def test_the_constant_answer_stands_beside_the_expected_heart_rate_row_by_row():
    one, learner = result("a", "test"), result("b", "train", seed=1)
    told = evaluation_of([one, learner])
    text = Page(report.render(told, {}, [])).text.split("Row by row")[-1]
    figures = told["classical"]["test"]["expected_heart_rate"]

    assert f"test mean of training people 1 {figures['rows']} {figures['constant']['rmse']:.3f}" in text
    assert f"test model 1 {figures['rows']} {figures['rmse']:.3f}" in text


def test_data_is_never_markup(evaluation):
    told = json.loads(json.dumps(evaluation).replace("bradycardia", NASTY).replace("3 of 4 people", NASTY))
    one = result(NASTY, "test", kinds=(NASTY,))
    facts = json.loads(json.dumps(FACTS).replace("ward.csv", NASTY).replace("20260105-abc", NASTY))

    page = report.render(told, facts, [Example(NASTY, one.answers, one.events or (), NASTY)])

    assert "<script" not in page
    assert page.count(html.escape(NASTY)) > 10
    assert "script" not in {tag for tag, _ in Page(page).tags}


def test_what_could_not_be_judged_says_why():
    unlabelled = evaluation_of([result("p1", "test", labelled=False, days=2)], by_time=True)
    reasons = {value for path, value in leaves(unlabelled) if path[-1] == "not_assessable"}

    page = Page(report.render(unlabelled, {}, []))

    assert "no labelled test people: give recordings with an `events` table" in reasons
    assert [] == [reason for reason in reasons if reason not in page.text]
    assert "Detection Not assessable: no labelled test people: give" in page.text
    assert "False alarms Not assessable: no labelled test people: give" in page.text
    assert "not assessable: split by time, people were too few" in page.text


def test_missing_parts_are_told_as_missing():
    page = Page(report.render({}, {}, []))

    for told in ("Detection was not judged.", "No forecast was judged.", "No model card", "No ingest report"):
        assert told in page.text
    assert [] == page.open


def test_the_terminal_gets_headlines_with_baselines_and_failed_gates(evaluation):
    lines = report.summary(evaluation)

    assert len(lines) <= 15
    assert "Detection on 3 test people, 6 episodes (event F1, interval over people):" == lines[0]
    assert lines[1].startswith("  both: F1 0.80 (0.80 to 0.80), 0.33 (0.33 to 0.33) false alarms per worn person-day")
    assert "; chance: F1 " in lines[4]
    assert any(line.startswith("Forecast of heart rate, 60 min: MAE ") and "persistence" in line for line in lines)
    assert any(line.startswith("Expected heart rate: MAE ") and "person's mean" in line for line in lines)
    assert "  failed: false alarms per worn person-day: 0.333 (at most 0.160)" == lines[-1]


def test_figures_of_the_synthetic_population_are_named_so_beside_those_of_few_own_people(evaluation):
    own = {name: evaluation[name] for name in ("people", "detection", "forecast", "expected_heart_rate")}
    lines = report.summary({**evaluation, "own": own})
    place = next(i for i, line in enumerate(lines) if line.startswith("Your own"))

    assert "synthetic test people" in lines[0]
    assert "by time, on their last days" in lines[place]
    assert "of your people" in lines[place + 1]
    assert ", on synthetic people" in next(line for line in lines if line.startswith("Gates: "))
    assert "synthetic" not in " ".join(report.summary(evaluation))


def test_the_terminal_is_told_of_few_failures_only(evaluation):
    gates = [{"name": f"gate_{i}", "value": 0.1, "limit": 0.2, "passed": False} for i in range(9)]

    lines = report.summary(evaluation | {"gates": gates})

    assert len(lines) <= 15
    assert "  and 4 more" == lines[-1]


def test_the_terminal_is_told_why_there_is_no_figure():
    told = {"detection": {"not_assessable": "no labelled test people"}, "forecast": {"not_assessable": "too little"}}

    assert "Detection: Not assessable: no labelled test people." == report.summary(told)[0]
    assert "Forecast: Not assessable: too little." == report.summary(told)[1]
    assert "Gates: none were judged" == report.summary(told)[-1]


def test_importing_the_report_loads_no_drawing_library():
    check = "import sys, vitalwatch.report; print({'matplotlib', 'jinja2'} & set(sys.modules) or 'none')"

    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert "none" == found.stdout.strip()


def warned() -> dict[str, Any]:
    def row(value: float) -> dict[str, Any]:
        figure = {"value": value, "low": value - 0.02, "high": value + 0.02}
        return {
            "auroc": figure, "average_precision": figure, "auroc_gain_over_news2": figure, "brier": figure,
            "brier_skill": 0.01, "told_over_true": 1.1, "highest_told_over_true": figure,
            "reliability": [{"rows": 7, "told": 0.01, "true": figure}],
        }  # fmt: skip

    table = {
        "question": "sepsis within 6 hours", "patients": 90, "patients_with": 12, "rows": 900, "rate": 0.013,
        "lines": {"news2": {"auroc": row(0.64)["auroc"], "average_precision": row(0.03)["auroc"]}},
        "variants": {name: row(0.7 + i / 20) for i, name in enumerate(("vitals", "stay", "vitals_stay", "care"))},
        "by_hours": {
            "hours 1 to 6": {"patients": 77, "patients_with": 11, "rows": 333, "rate": 0.01,
                             "variants": {name: row(0.6) for name in ("vitals", "care")}},
            "hours 7 to 12": {"patients": 8, "patients_with": 0, "not_assessable": "none of them with it"},
        },
    }  # fmt: skip
    return {"sepsis": table, "death_in_hospital": {"not_assessable": "too few test patients"}}


def test_an_early_warning_is_told_beside_news2_and_the_hours_alone():
    lines = report.summary({"early_warning": warned()})
    page = report.render({"early_warning": warned()}, {"card": {"early_warning": {"limits": ["Of one hospital."]}}}, [])

    (first,) = [line for line in lines if "sepsis within 6 hours" in line]
    assert "90 test patients (12 with it)" in first
    assert "0.640" in first
    assert any("too few test patients" in line for line in lines)
    assert any("hours in intensive care and hospital alone 0.750" in line for line in lines)
    assert all(text in page for text in ("Early warning in hospital", "Of one hospital.", "too few test patients"))
    assert all(text in page for text in ("by hours of the stay", "77 (11)", "Hours 7 to 12: Not assessable"))
    assert "Sepsis within 6 hours, from vitals, hours 1 to 6" in page  # on the card
    assert "Early warning" not in report.render({}, {}, [])
