"""The figures that the simulation is held against are those of the recordings, each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from presence import missing
from vitalwatch.settings import Settings
from vitalwatch.stages.realism import wearers
from vitalwatch.synthetic import realism
from vitalwatch.tables import Readings

pytestmark = pytest.mark.slow
NOW = 1_780_000_000_000  # after the recordings


@pytest.fixture(scope="module")
def people(real_data: Path, settings: Settings) -> list[Readings]:
    if not (real_data / "fitabase").is_dir():
        missing(f"no fitabase in {real_data.name}; set VITALWATCH_REAL_DATA to the folder that has it")
    return wearers(real_data / "fitabase", settings, NOW)


@pytest.mark.parametrize("step", realism.WEARERS)
def test_every_figure_of_the_wearers_is_measured_from_their_recordings(people: list[Readings], step: int):
    courses = [realism.course(one, step) for one in people]
    each = [realism.of_person(one) for one in courses]
    means = realism.of_people(courses)

    for name, bound in realism.WEARERS[step].items():
        values = [one[name] for one in each if np.isfinite(one.get(name, np.nan))] or [means[name]]
        assert bound.mean == pytest.approx(means[name], rel=0.005), name
        assert (bound.low, bound.high) == pytest.approx((min(values), max(values)), rel=0.022, abs=0.005), name
