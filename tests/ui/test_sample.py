from __future__ import annotations

from vitalwatch.reading import REASONS
from vitalwatch.settings import Settings
from vitalwatch.ui import upload


def test_the_sample_is_a_file_like_those_that_are_uploaded(settings: Settings) -> None:
    lines = upload.sample(settings)["sample.csv"].decode().splitlines()

    assert lines[0].startswith("person,time,heart_rate,")
    assert len(lines) > 10 * settings.schema.steps_per_day
    assert len({line.count(",") for line in lines}) == 1
    assert REASONS
