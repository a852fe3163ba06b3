"""Labels are in the signal: each episode moves its channels and no others."""

import numpy as np
import pytest

from vitalwatch.schema import Schema
from vitalwatch.synthetic import SyntheticPerson, person
from vitalwatch.synthetic.events import ENROLMENT, KINDS
from vitalwatch.synthetic.sensors import FAULTS
from vitalwatch.tables import DAY, Event

SEED, PEOPLE = 11, 60
# channel that must move most clearly, and the least mean change over all episodes of the kind
MOVES = {
    "resting_tachycardia": ("heart_rate", 8.0),
    "bradycardia": ("heart_rate", -5.0),
    "irregular_rhythm": ("heart_rate_spread", 3.0),
    "night_hypoxia": ("oxygen_saturation_min", -3.0),
    "fever": ("body_temperature", 0.6),
    "mild_infection": ("body_temperature", 0.15),
    "hypertensive": ("blood_pressure_systolic", 12.0),
    "chronotropic_incompetence": ("heart_rate", -6.0),
    "deterioration": ("respiratory_rate", 1.0),
}


@pytest.fixture(scope="module")
def pairs(settings) -> list[tuple[SyntheticPerson, SyntheticPerson]]:
    """The same people with their episodes and without."""
    params = settings.params.synthetic
    well = params.model_copy(update={"prevalence": "natural", "natural_share": 0.0})
    return [
        (person(index, settings.schema, params, SEED), person(index, settings.schema, well, SEED))
        for index in range(PEOPLE)
    ]


def rows(one: SyntheticPerson, event: Event) -> np.ndarray:
    return (one.readings.time >= event.start) & (one.readings.time < event.end)


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_is_in_the_signal(pairs, kind):
    channel, least = MOVES[kind]
    change = []
    for ill, well in pairs:
        for event in ill.events:
            if event.kind == kind:
                inside = rows(ill, event)
                a, b = (x.readings.column(channel)[inside].astype(float) for x in (ill, well))
                if np.isfinite(a).any() and np.isfinite(b).any():
                    change.append(np.nanmean(a) - np.nanmean(b))

    assert len(change) >= 5
    assert np.mean(change) * np.sign(least) > abs(least)
    assert np.mean(np.sign(change) == np.sign(least)) > 0.9


def test_an_episode_stands_out_from_the_same_hours_of_other_days(pairs):
    change = []
    for ill, _ in pairs:
        heart = ill.readings.column("heart_rate").astype(float)
        for event in ill.events:
            if event.kind == "resting_tachycardia":
                inside = rows(ill, event)
                shifts = [
                    (ill.readings.time >= event.start + d * DAY) & (ill.readings.time < event.end + d * DAY)
                    for d in (-2, -1, 1, 2)
                ]
                others = np.concatenate([heart[m] for m in shifts])
                if inside.any() and np.isfinite(others).any():
                    change.append(np.nanmean(heart[inside]) - np.nanmean(others))

    assert np.mean(change) > 6


def test_channels_that_an_episode_does_not_name_stay_as_they_are(pairs, settings):
    """But an illness that removes bouts moves everything that movement moves."""
    still = {name for name, kind in KINDS.items() if not kind.removes and kind.place != "bout"}
    seen = 0
    for ill, well in pairs:
        if any(event.kind not in still for event in ill.events):
            continue
        for event in ill.events:
            inside = rows(ill, event)
            for name in set(settings.schema.names) - set(event.channels) - {"heart_rate_spread", "signal_quality"}:
                np.testing.assert_array_equal(ill.readings.column(name)[inside], well.readings.column(name)[inside])
                seen += 1

    assert seen > 0


def test_episodes_change_neither_wear_nor_what_is_missing(pairs, settings):
    for ill, well in pairs:
        np.testing.assert_array_equal(ill.readings.time, well.readings.time)
        np.testing.assert_array_equal(ill.readings.column("sleep"), well.readings.column("sleep"))
        if not any(KINDS[event.kind].removes for event in ill.events):
            for name in settings.schema.vitals:
                a, b = np.isnan(ill.readings.column(name)), np.isnan(well.readings.column(name))
                np.testing.assert_array_equal(a, b)


def test_an_illness_removes_bouts_and_never_slows_them(settings, pairs):
    minutes = Schema.model_validate(settings.schema.model_dump() | {"step": "1min"})
    params = settings.params.synthetic
    well = params.model_copy(update={"prevalence": "natural", "natural_share": 0.0})
    ill = [i for i, (one, _) in enumerate(pairs) if any(event.kind == "fever" for event in one.events)][:4]
    gone = changed = 0
    for index in ill:
        a, b = (person(index, minutes, p, SEED).readings.column("steps") for p in (params, well))
        other = a != b
        changed += int(other.sum())
        gone += int((a[other] == 0).sum())

    assert len(ill) == 4
    assert changed > 400
    assert gone == changed


def test_no_episode_begins_in_the_enrolment_week_and_none_overlap(pairs, settings):
    midnight = np.datetime64(settings.params.synthetic.start, "ms").astype(np.int64)
    for ill, _ in pairs:
        for event in ill.events:
            assert event.start + int(ill.readings.offset[0]) * 60_000 >= midnight + ENROLMENT * DAY - 12 * 3_600_000
        for before, after in zip(ill.events, ill.events[1:], strict=False):
            assert before.end < after.start


def test_the_enrolment_week_is_the_same_with_and_without_episodes(pairs, settings):
    for ill, well in pairs:
        early = ill.readings.time < ill.readings.time[0] + (ENROLMENT - 1) * DAY
        for name in settings.schema.names:
            np.testing.assert_array_equal(ill.readings.column(name)[early], well.readings.column(name)[early])


def test_prevalence_is_about_six_in_28_days_and_natural_is_its_share(settings):
    params = settings.params.synthetic
    natural = params.model_copy(update={"prevalence": "natural"})
    stress = [len(person(i, settings.schema, params, SEED + 1).events) for i in range(120)]
    rare = [len(person(i, settings.schema, natural, SEED + 1).events) for i in range(120)]

    assert 5 < np.mean(stress) < 7
    assert 0.5 * params.natural_share * 6 < np.mean(rare) < 1.6 * params.natural_share * 6
    assert 1 <= stress.count(0) <= 24


def test_kinds_are_known_to_the_schema_and_all_occur(pairs, settings):
    found = {event.kind for ill, _ in pairs for event in ill.events}

    assert set(settings.schema.events.kinds) - {"sepsis"} == found
    for kind in KINDS.values():
        assert set(kind.channels) <= set(settings.schema.names)


def test_magnitude_tells_subtle_from_clear(pairs):
    size, change = [], []
    for ill, well in pairs:
        for event in ill.events:
            if event.kind == "fever":
                inside = rows(ill, event)
                size.append(event.magnitude)
                change.append(
                    np.nanmean(
                        ill.readings.column("body_temperature")[inside]
                        - well.readings.column("body_temperature")[inside]
                    )
                )

    assert np.corrcoef(size, change)[0, 1] > 0.6


def test_faults_and_contexts_are_logged_apart_from_labels(pairs):
    kinds = {event.kind for ill, _ in pairs for event in ill.bookkeeping}

    assert {f"fault:{name}" for name in FAULTS} <= kinds
    assert {"context:low_step_exercise", "context:stress", "context:alcohol", "context:luteal", "context:nap"} <= kinds
    assert all(kind.startswith(("fault:", "context:")) for kind in kinds)


def test_faults_are_in_the_signal_and_their_number_follows_the_setting(settings):
    params = settings.params.synthetic
    many = [person(i, settings.schema, params.model_copy(update={"faults": 6.0}), SEED) for i in range(12)]
    none = [person(i, settings.schema, params.model_copy(update={"faults": 0.0}), SEED) for i in range(12)]

    def faults(crowd: list[SyntheticPerson]) -> list[Event]:
        return [event for one in crowd for event in one.bookkeeping if event.kind.startswith("fault:")]

    assert not faults(none)
    assert 12 * 15 < len(faults(many)) < 12 * 50
    stuck = detached = 0
    for one in many:
        for event in one.bookkeeping:
            inside = rows(one, event)
            if event.kind == "fault:stuck_value" and inside.sum() > 6:
                heart = one.readings.column("heart_rate")[inside]
                stuck += len(np.unique(heart[np.isfinite(heart)][:6])) == 1
            if event.kind == "fault:temperature_detached" and inside.any():
                detached += np.nanmin(one.readings.column("body_temperature")[inside]) < 34.5
    assert stuck > 10
    assert detached > 10
