"""What is asked of a study: ranges, people, words; every mistake is one sentence and exit code 2."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from tiny import ROOT, small_settings
from vitalwatch.errors import UsageError
from vitalwatch.metrics.bootstrap import Estimate
from vitalwatch.settings import load_settings
from vitalwatch.studies import compare, tune
from vitalwatch.studies.people import Size
from vitalwatch.studies.spaces import SPACES, Range, space_of


@pytest.mark.parametrize("model", SPACES)
def test_what_is_tuned_are_keys_of_params_yaml_and_today_lies_within_reach(model):
    block = getattr(load_settings(ROOT, environment="base").params, model)
    space = space_of(model, block)

    assert set(space) <= set(type(block).model_fields)
    for key, within in space.items():
        now = getattr(block, key)
        assert now in within.choices if within.choices else within.low <= now <= within.high


def test_a_range_reaches_for_a_value_outside_it():
    assert Range(10, 20) == Range(10, 15).reaching(20)
    assert (5, 10, 20) == Range(choices=(5, 20)).reaching(10).choices
    assert Range(1.0, 2.0, log=True) == Range(1.0, 2.0, log=True).reaching(1.5)


def tuned(low: float, high: float, model: str = "supervised") -> tune.Tuned:
    gain = Estimate((low + high) / 2, low, high)
    best = {"rounds": 120, "learning_rate": 0.0625}
    return tune.Tuned(model, 5, 1, best, best, (0.5, 0.6), (gain, gain), gain)


def test_a_gain_counts_only_beyond_chance_and_in_the_right_direction():
    assert tuned(0.01, 0.05).better
    assert not tuned(-0.01, 0.05).better
    assert tuned(-0.5, -0.1, "regressor").better
    assert not tuned(0.1, 0.5, "regressor").better


def test_the_best_settings_can_be_set_as_they_are_printed():
    found = tuned(0.01, 0.05)
    settings = load_settings(ROOT, environment="base", overrides=[one.removeprefix("--set ") for one in found.sets()])

    assert 120 == settings.params.supervised.rounds
    assert {"supervised": {"rounds": 120, "learning_rate": 0.0625}} == yaml.safe_load(found.yaml())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing", 5, None, tune.DEFAULT, None), "no model nothing to tune"),
        (("detector", 0, None, tune.DEFAULT, None), "--trials must be at least 1"),
        (("detector", 5, None, Size(5, 5, 5), None), "at least 6 people to learn from"),
        (("detector", 5, None, Size(9, 1, 5), None), "at least 2 people to calibrate on"),
    ],
)
def test_a_study_that_cannot_be_is_refused(words, told):
    with pytest.raises(UsageError, match=told):
        tune.asked(*words, small_settings())


def test_a_comparison_of_an_unknown_part_or_too_few_people_is_refused():
    with pytest.raises(UsageError, match="no part everything"):
        compare.asked(["everything"], compare.DEFAULT, None, small_settings())
    with pytest.raises(UsageError, match="at least 2 people to judge"):
        compare.asked([], Size(5, 5, 1), None, small_settings())


def test_parts_come_in_the_order_of_the_tables_and_people_are_not_those_of_the_run():
    request = compare.asked(["compression", "detector"], compare.DEFAULT, None, small_settings())

    assert ("detector", "compression") == request.parts
    assert compare.PARTS == compare.asked([], compare.DEFAULT, None, small_settings()).parts
    assert request.seed != small_settings().params.seed


def test_alternatives_that_are_named_come_behind_the_first_of_their_table():
    request = compare.asked(["detector", "imbalance"], Size(2, 2, 2), None, small_settings(), ["twice", "no weights"])
    found = compare.Comparison(request, small_settings()).alternatives()

    assert [
        "forests by organ group (default)",
        "forests by group, twice the trees",
        "normal rows for all, episodes by root of length (default)",
        "no weights",
    ] == [one.name for one in found]
    with pytest.raises(UsageError, match="named like thrice"):
        compare.alike(found, ["thrice"])


def test_every_group_of_the_tables_says_what_it_shows():
    request = compare.asked([], Size(2, 2, 2), None, small_settings())
    alternatives = compare.Comparison(request, small_settings()).alternatives()
    names = [(one.group, one.name) for one in alternatives]

    assert set(compare.ABOUT) == {group for group, _ in names}
    assert len(names) == len(set(names))
    assert all("default" in next(name for group, name in names if group == asked) for asked in compare.ABOUT)
    assert np.all([one.figure in ("event_f1", "recall", "mae", "rmse") for one in alternatives])
