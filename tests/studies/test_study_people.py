from __future__ import annotations

import numpy as np
import pytest

from studies.study_world import cleaned, quick, roles
from tiny import ROOT, small_settings
from vitalwatch.studies import compare, tune
from vitalwatch.studies.people import Roles, Size, with_params
from vitalwatch.studies.tune import folds


def names(people) -> set[str]:
    return {person.grid.person for person in people}


def test_nobody_may_have_two_roles():
    one, two, three = (cleaned(index) for index in range(3))

    with pytest.raises(ValueError, match="two roles"):
        Roles([one, two], [three], [one], small_settings())


def test_each_fold_person_is_judged_once_and_never_by_a_model_that_learnt_from_them():
    people = [cleaned(index) for index in range(7)]
    found = folds(people, 3)

    assert names(people) == set().union(*(names(judge) for _, judge in found))
    assert 7 == sum(len(judge) for _, judge in found)
    assert all(names(learn).isdisjoint(names(judge)) for learn, judge in found)
    assert all(7 == len(learn) + len(judge) for learn, judge in found)


def test_nobody_held_out_of_tuning_is_of_a_comparison_or_of_the_trials(tmp_path):
    settings, size = quick(ROOT), Size(6, 2, 3)
    compared = compare.asked([], size, None, settings)
    held = tune.Tuning(tune.asked("detector", 1, None, size, None, settings), settings, tmp_path).held
    others = Roles.made(size, settings, compared.seed).people

    assert 3 == len(names(held.people["judge"]))
    assert names(held.people["judge"]).isdisjoint(set().union(*map(names, others.values())))
    assert names(held.people["judge"]).isdisjoint(names(held.people["learn"]) | names(held.people["calibrate"]))


def test_fewer_people_and_other_settings_keep_what_was_learnt():
    whole = roles()
    fewer, other = whole.fewer(1, 1), whole.under(with_params(whole.settings, "detector", {"trees": 3}))

    assert fewer.learnt is whole.learnt
    assert other.seen("judge") is whole.seen("judge")
    assert 1 == len(fewer.cohort("judge").tracks)
    assert 3 == other.settings.params.detector.trees


def test_a_score_of_all_grid_rows_is_told_for_judged_rows_only():
    everything = roles()
    told = everything.judged_rows("judge", [np.arange(len(p.grid)) for p in everything.people["judge"]])
    seen = everything.seen("judge")
    first = everything.people["judge"][0].grid

    assert len(seen.x) == len(told)
    assert np.isnan(told[~seen.sure]).all()
    assert np.searchsorted(first.time, seen.time[0]) == told[0] or not seen.sure[0]


def test_settings_that_params_yaml_would_refuse_are_refused():
    with pytest.raises(ValueError, match="trees"):
        with_params(small_settings(), "detector", {"trees": 0})
