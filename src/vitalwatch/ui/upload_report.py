"""The report of an upload: one HTML file with pictures, for its owner to keep."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vitalwatch import drawing
from vitalwatch.alerting.alerts import MARKS
from vitalwatch.drawing import Example, Picture
from vitalwatch.schema import Schema
from vitalwatch.tables import Answers
from vitalwatch.timestamps import rfc3339
from vitalwatch.ui.pictures import person_png

if TYPE_CHECKING:
    from vitalwatch.ui.upload import Uploaded


@dataclass(frozen=True)
class Pictured:
    """One person of the report."""

    person: str
    pictures: tuple[Picture, ...]
    alarms: tuple[tuple[str, str, str, str], ...]  # sign and word, from, to, why


def told_of(answers: Answers, person: str) -> Pictured:
    """Return a person's pictures and alarms."""
    example = Example(person, answers, (), "Heart rate in the band of what is usual")
    drawn = (drawing.heart_rate(example, 1), drawing.forecast_fan(example))
    rows = tuple(
        (f"{MARKS[a.priority]} {a.priority}", rfc3339(a.start), rfc3339(a.end), a.explanation) for a in answers.alarms
    )
    return Pictured(person, tuple(picture for picture in drawn if picture is not None), rows)


def told_over(one: Uploaded, schema: Schema) -> Pictured:
    """Return the same of a person whom models elsewhere judged: one picture of all vitals."""
    name, course = one.course.person, one.course
    drawn: tuple[Picture, ...] = ()
    if any(value is not None for column in course.vitals.values() for value in column):
        image = base64.b64encode(person_png(course, schema, name, one.alarms, one.ahead)).decode()
        svg = f'<img alt="" src="data:image/png;base64,{image}">'
        caption = "Measured (blue), usual (light band), forecast (orange), unusual moments (red), alarms (strips)"
        drawn = (Picture(svg, f"Vitals of {name}, newest last", caption),)
    rows = tuple(
        (f"{MARKS[a['priority']]} {a['priority']}", rfc3339(a["start"]), rfc3339(a["end"]), a["explanation"])
        for a in one.alarms
    )
    return Pictured(name, drawn, rows)


def render(told: Mapping[str, Any], people: Sequence[Pictured], schema: Schema) -> str:
    """Return the report as one HTML file that needs no other file, no network and no script."""
    from jinja2 import Environment, StrictUndefined

    page = files("vitalwatch.ui").joinpath("upload_report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(page).render(told=told, people=people, step=schema.step)
