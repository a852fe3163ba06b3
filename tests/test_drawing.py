"""Figures: what they say in words, and that they can stand in a page."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from report_world import NASTY, result
from vitalwatch import drawing, reliability, tradeoffs
from vitalwatch.drawing import Example

DETECTION = {
    "channels": {
        "both": {
            "event_f1": {"value": 0.6, "low": 0.5, "high": 0.7},
            "false_alarms_per_day": {"value": 0.08, "low": 0.06, "high": 0.1},
        }
    },
    "lines": {"chance": {"event_f1": {"value": 0.1, "low": 0.0, "high": 0.2}}, "news2": {"event_f1": {"value": None}}},
    "curve": {"both": [{"budget": 0.1, "recall": 0.5, "precision": None}, {"budget": 0.2, "recall": None}]},
}
BY_KIND = {
    "both": {"fever": {"recall": {"value": 0.9, "low": 0.8, "high": 1.0}, "delay_median_min": 40.0}},
    "known": {"fever": {"recall": {"value": 0.7, "low": None, "high": None}, "delay_median_min": None}},
}
FORECAST = {
    "nominal_coverage": 0.8,
    "vitals": {
        "heart_rate": {
            "60": {"coverage": {"value": 0.75, "low": 0.7, "high": 0.8}, "lines": {"persistence": {"skill": None}}},
            "5": {"not_assessable": "never measured"},
        }
    },
}


@pytest.fixture(scope="module")
def example() -> Example:
    one = result("p1", "test")
    return Example(one.person, one.answers, one.events or (), "Two fevers")


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_event_f1_names_the_best_first_and_leaves_out_what_has_no_figure():
    picture = tradeoffs.event_f1(DETECTION)

    assert "Bars of event F1: both channels (either alarms) 0.60, chance 0.10." == picture.alt
    assert "NEWS2 of 5 or more" not in texts(picture.svg)
    assert {"both channels (either alarms), 0.08 a day", "chance"} <= set(texts(picture.svg))


def test_a_figure_is_bare_svg_that_follows_the_page():
    svg = tradeoffs.event_f1(DETECTION).svg

    assert svg.startswith('<svg viewBox="0 0 ')
    assert svg.endswith("</svg>")
    assert [] == re.findall(r"http|<metadata|<!--|<style|<\?xml|xlink|font-family", svg)
    assert "var(--blue, #0072b2)" in svg
    assert [] == re.findall(r"[^ ]#(?:0072b2|1b1f24)", svg)  # no colour stands outside a variable


def test_two_figures_on_a_page_share_no_id():
    ids = [set(re.findall(r'id="([^"]+)"', drawing_.svg)) for drawing_ in _two_figures()]

    assert all(ids)
    assert set() == ids[0] & ids[1]


def test_ids_that_are_used_are_there():
    for picture in _two_figures():
        there = set(re.findall(r'id="([^"]+)"', picture.svg))
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', picture.svg)) <= {(i, "") for i in there} | {
            ("", i) for i in there
        }


def _two_figures() -> list[drawing.Picture]:
    return [tradeoffs.event_f1(DETECTION), drawing.recall_by_kind(BY_KIND)]


def test_the_same_figure_is_drawn_to_the_byte():
    assert tradeoffs.event_f1(DETECTION).svg == tradeoffs.event_f1(DETECTION).svg


def test_markup_and_formulas_in_names_stay_text():
    kind = f"$x^2$ {NASTY}"
    svg = drawing.recall_by_kind({"both": {kind: BY_KIND["both"]["fever"]}}).svg

    assert "<script" not in svg
    assert "$x^2$ &lt;script&gt;alert(1)&lt;/script&gt;" in texts(svg)


def test_recall_by_kind_tells_every_kind_and_channel():
    assert "Recall by kind: fever, both: 0.90; fever, known: 0.70." == drawing.recall_by_kind(BY_KIND).alt


def test_delay_leaves_out_a_kind_that_was_never_detected():
    assert "Delay by kind: fever, both: 40.00." == drawing.delay_by_kind(BY_KIND).alt


def test_the_trade_off_is_drawn_where_a_budget_has_no_figure():
    assert "false alarms per worn person-day" in texts(tradeoffs.curve(DETECTION).svg)


def test_coverage_stands_beside_what_is_promised():
    picture = drawing.forecast_coverage(FORECAST)

    assert "heart rate at 60 min: 0.75." in picture.alt
    assert {"promised", "heart rate", "minutes ahead"} <= set(texts(picture.svg))


def test_reliability_says_what_was_told_and_what_came_true():
    rows = [{"from": 0, "to": 0.1, "rows": 9123, "told": 0.05, "true": {"value": 0.02, "low": 0.01, "high": 0.04}}]
    picture = reliability.known({"reliability": rows}, "as served")

    assert "Reliability: told 0.05 came true 0.02." == picture.alt
    assert "9,123" in texts(picture.svg)


def test_nothing_judged_draws_nothing():
    empty = (
        tradeoffs.event_f1,
        tradeoffs.curve,
        tradeoffs.precision_recall,
        drawing.forecast_skill,
        drawing.forecast_coverage,
    )

    assert [None] * 5 == [draw({"not_assessable": "no labels"}) for draw in empty]
    assert None is drawing.forecast_skill(FORECAST)
    assert None is drawing.recall_by_kind({})
    assert None is reliability.known({"not_assessable": "no labels"}, "as served")


def test_an_example_shows_band_episodes_and_alarms_with_units(example):
    picture = drawing.heart_rate(example, 1)

    assert "2 labelled episodes, 3 unusual, 3 known alarms." in picture.alt
    assert "Two fevers (person p1, local time)" == picture.caption
    assert {
        "usual for this person (bpm, 2 spreads)",
        "heart rate (bpm)",
        "labelled episode",
        "alarm: unusual",
        "alarm: known",
    } <= set(texts(picture.svg))


def test_an_example_is_drawn_on_the_persons_own_clock():
    one = result("p1", "test", days=1)
    minute = ((one.answers.grid.minute + 540) % 1440).astype(np.int16)  # nine hours east
    east = replace(one.answers, grid=replace(one.answers.grid, minute=minute))

    assert "Mon 5 Jan" in texts(drawing.heart_rate(Example("p1", one.answers, (), ""), 1).svg)
    told = texts(drawing.heart_rate(Example("p1", east, (), ""), 1).svg)
    assert "Tue 6 Jan" in told
    assert "Mon 5 Jan" not in told


def test_an_example_with_gaps_is_drawn(example):
    values = example.answers.grid.values.copy()
    values[2500:2600] = np.nan
    gappy = replace(example.answers, grid=replace(example.answers.grid, values=values))

    assert drawing.heart_rate(replace(example, answers=gappy), 1) is not None


def test_a_fan_shows_the_last_whole_afternoon(example):
    told = texts(drawing.forecast_fan(example).svg)

    assert "local time, Wed 14 Jan" in told
    assert {"heart rate as it came", "forecast, median", "forecast, 10 to 90 % of what may come"} <= set(told)


def test_without_a_forecast_there_is_no_fan(example):
    none = replace(example.answers, forecast=np.full_like(example.answers.forecast, np.nan))

    assert drawing.forecast_fan(replace(example, answers=none)) is None
    assert drawing.forecast_fan(replace(example, answers=replace(none, forecast_vitals=()))) is None


def test_precision_stands_against_recall_where_we_serve_and_where_lines_to_beat_are() -> None:
    figure = {"value": 0.6, "low": 0.5, "high": 0.7}
    detection = {
        "curve": {"known": [{"recall": 0.5, "precision": 0.9}, {"recall": 0.7, "precision": None},
                            {"recall": 0.8, "precision": 0.4}]},
        "channels": {"known": {"recall": figure, "precision": figure}},
        "lines": {"chance": {"recall": figure, "precision": None}, "news2": {"recall": figure, "precision": figure}},
    }  # fmt: skip
    picture = tradeoffs.precision_recall(detection)

    assert picture is not None
    assert "Precision and recall: known recall 0.60, precision 0.60." == picture.alt
    assert "lines to beat" in picture.svg
    assert tradeoffs.precision_recall({}) is None


def test_every_line_to_beat_is_named_where_it_stands():
    line = {"recall": {"value": 0.2, "low": 0.1, "high": 0.3}, "precision": {"value": 0.3, "low": 0.2, "high": 0.4}}
    detection = DETECTION | {
        "lines": {"news2": line, "max_abs_z": line},
        "curve": {"both": [{"budget": 0.1, "recall": 0.5, "precision": 0.6}]},
    }

    assert {"NEWS2 of 5 or more", "largest deviation from own normal (max |z|)"} <= set(
        texts(tradeoffs.precision_recall(detection).svg)
    )


def test_the_name_of_a_line_at_the_right_edge_stands_to_its_left():
    def where(recall: float) -> str:
        line = {"recall": {"value": recall, "low": 0, "high": 1}, "precision": {"value": 0.3, "low": 0.2, "high": 0.4}}
        curve = {"both": [{"budget": 0.1, "recall": 0.5, "precision": 0.6}]}
        svg = tradeoffs.precision_recall(DETECTION | {"lines": {"always_on": line}, "curve": curve}).svg
        (style,) = re.findall(r"<text([^>]*)>always on<", svg)
        return style

    assert ["end" in where(1.0), "end" in where(0.1)] == [True, False]


def test_a_delay_says_of_how_many_episodes_it_is():
    row = {"recall": None, "delay_median_min": 40.0, "delay_p90_min": 700.0, "episodes": 25, "detected": 3}

    assert "3 of 25" in texts(drawing.delay_by_kind({"known": {"fever": row}}).svg)


def test_the_share_of_the_budget_is_drawn_with_what_is_served():
    row = {"share": 0.35, "event_f1": {"value": 0.6, "low": 0.5, "high": 0.7}}
    hidden = {"value": 0.4, "low": 0.3, "high": 0.5}
    told = {"served": 0.35, "shares": [row | {"recall_hidden": hidden, "recall_hidden_by_chance": {"value": None}}]}
    picture = tradeoffs.shares(told)

    assert "known kinds, event F1: 0.35 gives 0.600; hidden kinds, recall: 0.35 gives 0.400" in picture.alt
    assert {"as served", "hidden kinds, recall"} <= set(texts(picture.svg))
    assert None is tradeoffs.shares({"not_assessable": "no supervised model"})


def test_delays_from_minutes_to_days_are_marked_in_hours():
    row = {"recall": None, "delay_median_min": 40.0, "delay_p90_min": 700.0}

    assert {"15", "1 h", "12 h"} <= set(texts(drawing.delay_by_kind({"both": {"fever": row}}).svg))


def test_who_is_drawn_is_said_to_be_real_or_synthetic(example: Example) -> None:
    assert ["real person anna", "synthetic person anna", "person anna"] == [
        replace(example, person="anna", simulated=simulated).who for simulated in (False, True, None)
    ]
