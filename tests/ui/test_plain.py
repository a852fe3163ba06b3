from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from ui.world import EVIL, NOW
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY, MINUTE
from vitalwatch.ui import plain
from vitalwatch.ui.plain import JOINER


@pytest.mark.parametrize("text", [EVIL, "a_b_c", "1. item", "# head", "---", "&lt;b&gt;", "\\*", "| a | b |", "~~x~~"])
def test_text_comes_out_of_markdown_letter_by_letter(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(plain.plain(text))
    inner = [child for token in tokens for child in token.children or ()]

    assert {"text"} == {child.type for child in inner} - {"text_special"}
    assert text == "".join(child.content for child in inner).replace(JOINER, "")


def test_names_of_icons_and_addresses_are_broken_up() -> None:
    told = plain.plain(":material/home: www.evil.example a@b.c https://x")

    assert ":material" not in told.replace("\\", "").replace(f":{JOINER}", "")
    assert not any(part in told.replace("\\", "") for part in ("www.", "https://", "a@b"))


def test_marks_that_turn_the_reading_order_and_line_breaks_are_gone() -> None:
    assert "a b c" == plain.plain("a\u202eb\nc")


@pytest.mark.parametrize(
    ("priority", "told"), [("high", "*** High"), ("medium", "** Medium"), ("low", "* Low"), ("", "")]
)
def test_a_priority_is_told_by_marks_and_a_word(priority: str, told: str) -> None:
    assert told == plain.sign(priority)


def test_every_colour_carries_its_marks_and_word() -> None:
    assert [r":red-badge[\*\*\* High]", r":yellow-badge[\*\* Medium]", r":blue-badge[\* Low]"] == [
        plain.badge(priority) for priority in ("high", "medium", "low")
    ]


AGES = [(0, "0 s"), (59_000, "59 s"), (5 * MINUTE, "5 min"), (180 * MINUTE, "3 h"), (DAY, "1 day"), (3 * DAY, "3 days")]


@pytest.mark.parametrize(("ago", "told"), [*AGES, (-5, "0 s")])
def test_an_age_is_told_in_the_unit_that_fits(ago: int, told: str) -> None:
    assert told == plain.age(NOW - ago, NOW)


def test_temperature_has_a_decimal_and_heart_rate_none(settings: Settings) -> None:
    columns = settings.schema.columns

    assert ("37.0 °C", "62 bpm", "–") == (
        plain.measured(37.04, columns["body_temperature"]),
        plain.measured(61.6, columns["heart_rate"]),
        plain.measured(float("nan"), columns["heart_rate"]),
    )


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@sum", "  =x", "\t=x"])
def test_no_cell_is_a_formula_in_a_spreadsheet(text: str) -> None:
    assert plain.sheet_cell(text).startswith("'")


def test_a_harmless_cell_stays_as_it_is() -> None:
    assert "Heart rate 20 bpm" == plain.sheet_cell("Heart rate 20 bpm")
