from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ui.world import NOW, alarm, course
from vitalwatch.drawing import Picture
from vitalwatch.settings import Settings
from vitalwatch.tables import MINUTE
from vitalwatch.ui import pictures
from vitalwatch.ui.course import Ahead

SVG = '<svg viewBox="0 0 1 1"><path fill="var(--ink, #1b1f24)"/></svg>'


def test_a_picture_of_a_person_is_a_png_with_something_on_it(settings: Settings) -> None:
    ahead = Ahead(NOW, NOW + 60 * MINUTE, {"heart_rate": [(5, 58.0, 60.0, 63.0), (60, 50.0, 61.0, 75.0)]})
    rates = [60.0 + i % 7 for i in range(60)]
    drawn = pictures.person_png(course(rates), settings.schema, "$anna$", [alarm("high")], ahead)
    image = np.asarray(Image.open(io.BytesIO(drawn)).convert("L"))

    assert image.shape[1] > 900
    assert image.std() > 5


def test_a_person_without_readings_has_an_empty_picture(settings: Settings) -> None:
    assert pictures.person_png(course([]), settings.schema, "anna").startswith(b"\x89PNG")


def test_figures_of_the_report_stand_alone_in_light_and_dark() -> None:
    light, dark = (pictures.svg_for(Picture(SVG, "alt", "caption"), dark=dark) for dark in (False, True))

    assert "#1b1f24" in light
    assert "#e6edf3" in dark
    assert "var(" not in light + dark
    assert 'xmlns="http://www.w3.org/2000/svg"' in dark
