from __future__ import annotations

import numpy as np
import pytest

from vitalwatch.clinical import BANDS, PARTS, news2, news2_once, usual_distance

WELL = {
    "respiration": 16.0,
    "saturation": 98.0,
    "systolic": 120.0,
    "pulse": 70.0,
    "temperature": 37.0,
    "alert": 1.0,
    "oxygen": 0.0,
}

# Every edge of the chart: value -> points.
RESPIRATION = {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3}
SATURATION_1 = {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0, 100: 0}
SATURATION_2 = {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0}
SATURATION_2_AIR = {**SATURATION_2, 93: 0, 94: 0, 95: 0, 96: 0, 97: 0, 100: 0}
SATURATION_2_OXYGEN = {**SATURATION_2, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3, 100: 3}
SYSTOLIC = {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3}
PULSE = {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3}
TEMPERATURE = {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2}


def part(name: str, **changes: object) -> list[float]:
    return news2(**{**WELL, **changes}).parts[:, PARTS.index(name)].tolist()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "edges"),
    [("respiration", RESPIRATION), ("systolic", SYSTOLIC), ("pulse", PULSE), ("temperature", TEMPERATURE)],
)
def test_every_edge_of_the_chart_scores_as_printed(name, edges, kind):
    assert list(edges.values()) == part(name, **{name: np.array(list(edges), kind)})


@pytest.mark.parametrize(
    ("edges", "scale", "oxygen"),
    [
        (SATURATION_1, 1, 0.0),
        (SATURATION_1, 1, 1.0),
        (SATURATION_2_AIR, 2, 0.0),
        (SATURATION_2_OXYGEN, 2, 1.0),
    ],
)
def test_every_edge_of_both_saturation_scales_scores_as_printed(edges, scale, oxygen):
    assert list(edges.values()) == part("saturation", saturation=np.array(list(edges)), scale=scale, oxygen=oxygen)


def test_high_saturation_on_air_scores_nothing_on_scale_2():
    assert [0.0] == part("saturation", saturation=100.0, scale=2, oxygen=0.0)
    assert [3.0] == part("saturation", saturation=100.0, scale=2, oxygen=1.0)


def test_on_scale_2_a_high_saturation_is_not_scored_when_nobody_said_air_or_oxygen():
    scored = part("saturation", saturation=np.array([85.0, 92.0, 93.0]), scale=2, oxygen=np.nan)

    assert [2.0, 0.0] == scored[:2]
    assert np.isnan(scored[2])


def test_values_between_the_printed_ones_are_rounded_half_up_first():
    assert [3.0, 1.0, 1.0] == part("respiration", respiration=np.array([8.4, 8.5, 11.4]))
    assert [3.0, 1.0] == part("temperature", temperature=np.array([35.04, 35.05], np.float32))


def test_oxygen_and_confusion_add_their_points():
    assert 2 == news2(**{**WELL, "oxygen": 1.0}).total[0]
    assert 3 == news2(**{**WELL, "alert": 0.0}).total[0]


def test_a_well_person_scores_zero_and_a_very_ill_one_twenty():
    ill = {"respiration": 8, "saturation": 80, "systolic": 80, "pulse": 140, "temperature": 35, "alert": 0, "oxygen": 1}

    assert 0 == news2(**WELL).total[0]
    assert 20 == news2(**ill).total[0]


def test_a_missing_part_scores_nothing():
    found = news2(**{**WELL, "pulse": np.array([140.0, np.nan]), "respiration": 22.0})

    assert [5.0, 2.0] == found.total.tolist()


def test_without_any_measurement_there_is_no_total():
    nothing = dict.fromkeys(WELL, np.nan)

    assert np.isnan(news2(**nothing).total[0])
    assert -1 == news2(**nothing).band[0]


def test_a_single_three_asks_for_review_below_the_urgent_total():
    pulses = np.array([70.0, 95.0, 140.0])
    bands = news2(**{**WELL, "pulse": pulses}).band

    assert ["low", "low", "low_medium"] == [BANDS[band] for band in bands]
    assert "medium" == BANDS[news2(**{**WELL, "pulse": 140.0, "oxygen": 1.0}).band[0]]
    assert "high" == BANDS[news2(**{**WELL, "pulse": 140.0, "oxygen": 1.0, "respiration": 21.0}).band[0]]


def test_there_is_no_third_scale():
    with pytest.raises(ValueError, match="scale"):
        news2(**WELL, scale=3)


def test_distance_one_is_a_limit_and_full_saturation_is_no_distance(settings):
    values = {"heart_rate": np.array([40.0, 85.0, 175.0]), "oxygen_saturation": np.array([92.0, 100.0, 84.0])}
    distance = usual_distance(values, settings.schema)

    assert [1, 0, 2] == distance[:, settings.schema.vitals.index("heart_rate")].tolist()
    assert [1, 0, 2] == distance[:, settings.schema.vitals.index("oxygen_saturation")].tolist()
    assert np.isnan(distance[:, settings.schema.vitals.index("body_temperature")]).all()


@pytest.mark.parametrize("scale", [1, 2])
def test_one_moment_alone_scores_as_in_an_array(scale):
    rng = np.random.default_rng(scale)
    low, high = [5, 80, 60, 30, 34, 0, 0], [30, 100, 230, 140, 40, 2, 2]
    told = rng.uniform(low, high, (3000, 7)).round(1)
    told[:, 5:] = np.floor(told[:, 5:])
    told[rng.random(told.shape) < 0.3] = np.nan
    told[:3] = np.array([[np.nan], [np.inf], [-np.inf]])
    names = ("respiration", "saturation", "systolic", "pulse", "temperature", "alert", "oxygen")
    many = news2(**dict(zip(names, told.T, strict=True)), scale=scale)
    alone = [news2_once(**dict(zip(names, row, strict=True)), scale=scale) for row in told.tolist()]

    np.testing.assert_array_equal(many.total, [total for total, _, _ in alone])
    assert many.band.tolist() == [band for _, band, _ in alone]
    np.testing.assert_array_equal(many.parts, [parts for _, _, parts in alone])


def test_one_moment_on_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="1 or 2"):
        news2_once(**WELL, scale=3)
