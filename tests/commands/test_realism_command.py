"""`report --realism`: figures beside real wearers', in words, JSON and a page."""

from __future__ import annotations

from pathlib import Path

import pytest

STATISTICS = ("persistence_5", "autocorrelation_5", "night_drop", "still_heart_rate")


def test_every_statistic_stands_beside_the_wearers_in_words_json_and_a_page(
    place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VITALWATCH_REAL_DATA", str(tmp_path / "nowhere"))
    words = ("report", "--realism", "--people", "2", "--set", "synthetic.days=8")
    told = place.do(*words, "--json").json
    rows = {row["name"]: row for row in told["statistics"]["5"]}

    assert {"5", "1"} == set(told["statistics"])
    assert set(STATISTICS) <= set(rows)
    assert {} == told["told_apart"]
    assert "VITALWATCH_REAL_DATA" in told["note"]
    outside = [row["name"] for of in told["statistics"].values() for row in of if row["passed"] is False]
    assert len(outside) == told["red"]
    page = Path(told["report"]).read_text(encoding="utf-8")
    text = place.do(*words).out
    for row in rows.values():
        assert f"{row['synthetic']:.3f}" in page
        assert f"{row['synthetic']:.3f}" in text
    assert told["red"] == page.count(">OUTSIDE<")
    assert f"{told['red']} of {told['judged']} statistics are OUTSIDE" in text
    assert "of its edge" in page  # how far beyond the range of the wearers, for eight days of two people


def test_a_simulation_of_much_sensor_noise_is_outside(place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VITALWATCH_REAL_DATA", str(tmp_path / "nowhere"))
    words = ("--people", "3", "--set", "synthetic.days=8", "--set", "synthetic.noise=9")
    answer = place.do("report", "--realism", *words)

    assert "OUTSIDE" in next(line for line in answer.out.splitlines() if line.strip().startswith("persistence 1 "))
    assert "statistics are OUTSIDE +-15 %" in answer.out


def test_no_people_are_wrong_use(place):
    assert 2 == place.do("report", "--realism", "--people", "0").code
