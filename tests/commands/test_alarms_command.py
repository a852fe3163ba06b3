"""`alarms replay`: what rules would cost and find on history, beside those in force."""

from __future__ import annotations

import pytest
import yaml

from command_world import ROOT

SHIPPED = ROOT / "rules.yaml"


@pytest.fixture
def people(served, tmp_path):
    """Two synthetic people with labelled episodes."""
    answer = served.do("generate", "--people", "2", "--days", "12", "--seed", "3", "--out", str(tmp_path / "people"))
    assert answer.code == 0
    return str(tmp_path / "people")


def written(tmp_path, **changes) -> str:
    """The shipped rules with some of them written otherwise."""
    told = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    for name, rule in changes.items():
        told["rules"][name] = told["rules"].get(name, {}) | rule
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    return str(tmp_path / "mine.yaml")


def test_rules_are_replayed_on_history_beside_those_in_force(served, people, tmp_path):
    mine = written(tmp_path, always={"when": {"vital": "blood_pressure_diastolic", "above": 30}, "priority": "low"})
    answer = served.do("alarms", "replay", "--rules", mine, "--source", people, "--json")
    told = answer.json

    assert 0 == answer.code
    assert told["new"]["alarms_per_person_day"]["value"] > told["in_force"]["alarms_per_person_day"]["value"]
    assert {"value", "low", "high"} == set(told["new"]["recall"])
    assert told["episodes"] > 0
    (change,) = (one for one in told["changes"] if one["written"])  # a louder rule may silence another's alarm
    assert ("always", 0, True) == (change["rule"], change["before"], change["written"])
    assert change["now"] == change["new"] > 0


def test_rules_over_the_budget_fail_and_within_it_they_pass(served, people, tmp_path):
    mine = written(tmp_path, always={"when": {"vital": "blood_pressure_diastolic", "above": 30}, "priority": "low"})
    over = served.do("alarms", "replay", "--rules", mine, "--source", people, "--budget", "0.01")
    within = served.do("alarms", "replay", "--source", people, "--budget", "1000")

    assert (1, 0) == (over.code, within.code)
    assert "OVER the budget of 0.01 alarms a person-day." in over.out
    assert "within the budget" in within.out
    assert "Nothing differs from the rules in force." in within.out
    assert "limits of schema.yaml and NEWS2 of 5" in within.out


def test_a_wrong_rule_is_named_before_anything_is_read(served, tmp_path):
    mine = written(tmp_path, news2={"wen": {"news2": "total"}})
    answer = served.do("alarms", "replay", "--rules", mine, "--source", str(tmp_path / "nothing"))

    assert 2 == answer.code
    assert "rules.news2.wen: unknown key. Did you mean when?" in answer.err
