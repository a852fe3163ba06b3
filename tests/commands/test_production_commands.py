"""What is there, what is live, and how it moves."""

from __future__ import annotations

import json

import pytest

from serving_world import REFUSED, refused_bundle


def test_an_empty_store_says_what_makes_a_run(place):
    assert "`python main.py` makes one" in place.do("runs").out
    assert place.do("runs", "--json").json == {"runs": []}
    for words in (("show",), ("report",), ("rollback",), ("promote", "one")):
        answer = place.do(*words)
        assert (answer.code, answer.out) == (1, "")
        assert len(answer.err.strip().splitlines()) == 1


def test_runs_are_listed_newest_first_with_the_live_one_marked(served, tiny_bundle):
    served.add_run("second", tiny_bundle, passed=False, promote=False)
    told = served.do("runs", "--json").json["runs"]

    assert [(one["run"], one["live"], one["gates"]) for one in told] == [
        ("second", False, "failed"), ("first", True, "passed"),
    ]  # fmt: skip
    lines = served.do("runs").out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "second", "first"]
    assert "*" in lines[2]


def test_show_tells_card_gates_settings_and_history(served):
    told = served.do("show", "--json").json
    assert told["run"] == "first"
    assert told["card"]["step_minutes"] == 5
    assert told["gates"][0]["name"] == "event_f1_unusual"
    assert told["params"] == {"seed": 1}
    assert [change["what"] for change in told["history"]] == ["promoted"]
    text = served.do("show", "first").out
    assert all(part in text for part in ("in production", "event_f1_unusual", "seed: 1", "promoted"))


def test_show_schema_prints_what_settings_may_hold(place):
    told = json.loads(place.do("show", "--schema").out)
    assert set(told) == {"schema", "params", "config"}
    assert "detector" in told["params"]["properties"]
    assert place.do("show", "--schema", "--json").json == told


def test_promoting_and_rolling_back_move_production_and_are_written_down(served, tiny_bundle):
    served.add_run("second", tiny_bundle, promote=False)

    assert served.do("promote", "second", "--why", "better", "--json").json["change"]["previous"] == "first"
    assert served.store.production() == "second"
    assert "in production already" in served.do("promote", "second").out
    assert served.do("rollback", "--why", "worse").code == 0
    assert served.store.production() == "first"
    assert [(change.what, change.run, change.why) for change in served.store.history()] == [
        ("promoted", "first", "test"), ("promoted", "second", "better"), ("rolled back", "first", "worse"),
    ]  # fmt: skip


def test_a_rollback_to_a_run_that_does_not_open_is_refused_and_production_stays(place, tmp_path, tiny_bundle):
    place.add_run("first", refused_bundle(tmp_path / "old", tiny_bundle, "format"))
    place.add_run("second", tiny_bundle)
    before = place.store.pointer.read_bytes()
    answer = place.do("rollback", "--json")

    assert answer.code == 1
    assert f"Run first: {REFUSED['format']}" in answer.json["error"]
    assert place.store.pointer.read_bytes() == before


def test_promoting_a_run_that_failed_gates_is_possible_and_warned_of(served, tiny_bundle):
    served.add_run("second", tiny_bundle, passed=False, promote=False)
    answer = served.do("promote", "second")
    assert answer.code == 0
    assert "Warning: this run failed event_f1_unusual" in answer.err


def test_a_run_whose_models_do_not_load_is_not_promoted(served, tiny_bundle):
    folder = served.add_run("second", tiny_bundle, promote=False)
    (folder / "models" / "forest.onnx").write_bytes(b"\x08other")

    answer = served.do("promote", "second", "--json")
    assert answer.code == 1
    assert "forest.onnx is not what was signed" in answer.json["error"]
    assert served.store.production() == "first"


def test_a_run_with_another_bundle_validly_signed_in_its_place_is_refused(served, tmp_path):
    from tiny import small_settings, write_tiny

    other, key = write_tiny(tmp_path / "other", small_settings())
    folder = served.store.folder("first")
    served.key.with_suffix(".pub").write_bytes(key.read_bytes())
    for path in other.iterdir():
        (folder / "models" / path.name).write_bytes(path.read_bytes())
    answer = served.do("promote", "first")
    assert answer.code == 1
    assert "not the bundle that this run was built with" in answer.err


def test_report_prints_where_it_lies(served):
    path = served.do("report").out.strip()
    assert path == str(served.store.folder("first") / "reports" / "report.html")
    assert served.do("report", "--json").json["report"] == path


def test_report_opens_it_when_asked(served, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    served.do("report", "first", "--open")
    assert opened == [(served.store.folder("first") / "reports" / "report.html").as_uri()]


@pytest.mark.parametrize("name", ["missing", "../first", "..", ".", "first/models"])
def test_a_name_that_is_no_run_is_refused(served, name):
    for command in ("show", "report", "promote"):
        answer = served.do(command, name)
        assert answer.code == 1
        assert f"Run {name} was not found" in answer.err


def test_evaluating_on_other_data_gives_tables_beside_trivial_lines(served, tmp_path, settings):
    from tiny import somebody
    from vitalwatch.recordings import write_events, write_profiles, write_readings

    crowd = [somebody(index, days=10) for index in (7, 8)]
    (tmp_path / "rec").mkdir()
    write_readings(tmp_path / "rec" / "readings.parquet", settings.schema, [one.readings for one in crowd])
    write_profiles(tmp_path / "rec" / "profiles.parquet", [one.profile for one in crowd])
    write_events(tmp_path / "rec" / "events.parquet", [event for one in crowd for event in one.events])
    answer = served.do("evaluate", "--source", str(tmp_path / "rec"), "--json", sets=("evaluation.draws=20",))

    assert answer.code == 0
    assert answer.json["run"] == "first"
    assert answer.json["people"]["test"] == 2
    assert "persistence" in answer.json["forecast"]["vitals"]["heart_rate"]["60"]["lines"]
    assert served.left() == []
    other = ("evaluation.draws=20", "alarms.grace=0min", "alarms.need=1", "alarms.of=1", "baseline.enrolment_days=1")
    same = served.do("evaluate", "--source", str(tmp_path / "rec"), "--json", sets=other)
    assert "the model's own baseline and alarms settings are used" in same.err
    assert answer.json["detection"] == same.json["detection"]
    assert answer.json["people"] == same.json["people"]


def test_show_card_tells_every_model_apart(served):
    told = served.do("show", "--card", "--json").json
    titles = [one["title"] for one in told["cards"]]
    text = served.do("show", "first", "--card").out

    assert "Forecaster" in titles
    assert len(titles) >= 3
    assert all(title in text for title in titles)
    assert "Intended use: " in text
    assert max(map(len, text.splitlines())) <= 110
