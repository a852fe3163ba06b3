"""What bodies and queries may hold; each with an example; limits of vitals and profiles come from schema.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from vitalwatch.alerting.alerts import ACTIONS, DISCHARGE, SNOOZE
from vitalwatch.database.access import WARD
from vitalwatch.database.changes import KINDS, MEDICATION
from vitalwatch.database.vault import DIGITS
from vitalwatch.reading import REASONS
from vitalwatch.schema import Schema

MOST = 1_000  # readings, or moments, in one request
PSEUDONYM = rf"^p-[a-z2-7]{{{DIGITS}}}$"
ALARM = r"^[0-9a-f]{32}$"
PLACE = r"^(-?[0-9]{1,16}\.){1,4}[0-9a-f]{32}$"  # in a list of alerts
RUN = r"^[0-9A-Za-z_-]{1,64}$"
FORM = "x-form"  # stands for a form that schema.yaml makes, until the OpenAPI file is written
TIME = "RFC 3339 with zone, like 2026-01-05T08:00:00+01:00"


class Form(BaseModel):
    """Closed and strict: an unknown field, a number as text or a value that is no number is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def example(told: Any) -> ConfigDict:
    """Return the configuration of a form with an example."""
    return ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra={"examples": [told]})


Rows = Annotated[
    list[Any],
    Field(
        min_length=1,
        max_length=MOST,
        description="Readings of one person, any order",
        json_schema_extra={"items": {FORM: "Reading"}},
    ),
]
Somebody = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="A known person: pseudonym, as /readings and /people tell it; or, for a key that sends readings or "
        "sees names, what the readings were sent under",
    ),
]
WardName = Annotated[str, Field(pattern=f"^{WARD}$")]
PersonId = Annotated[str, Field(pattern=PSEUDONYM, description="Pseudonym of a known person, as /people tells it")]

MOST_MEMORY = 400_000  # characters: three times those of a month of every vital
ONE = {"time": "2026-01-05T08:00:00+01:00", "heart_rate": 118, "oxygen_saturation": 96, "steps": 0}
HISTORY = [
    {"time": f"2026-01-05T07:{minute:02d}:00+01:00", "heart_rate": 62 + minute % 3, "steps": 0}
    for minute in range(0, 60, 5)
]
ABOUT = {"age": 54, "sex": "female", "height": 168, "weight": 70, "medication": ["beta_blocker"]}


class Window(Form):
    """Readings with a profile, or a known person."""

    person: Somebody | None = None
    profile: Any = Field(None, json_schema_extra={FORM: "Profile"})
    readings: Rows | None = None
    memory: str | None = Field(
        None, max_length=MOST_MEMORY, description="Of the answer before, where `readings` go on with its window"
    )


class Beside(Form):
    """One laboratory value or the like: what schema.yaml lists under `care`."""

    time: str = Field(max_length=40, description=TIME)
    name: str = Field(max_length=64, description="Of schema.yaml's care, like lactate or icu_hours")
    value: float = Field(description="In the unit of schema.yaml")


class AnomalyQuestion(Window):
    """Is this unusual for this person?"""

    model_config = example({"profile": ABOUT, "readings": [ONE]})
    consciousness: Literal["A", "C", "V", "P", "U"] | None = Field(None, description="ACVPU, for NEWS2")
    supplemental_oxygen: bool | None = Field(None, description="for NEWS2; of a known person as stored, if not told")
    spo2_scale: Literal[1, 2] | None = Field(
        None, description="NEWS2; 2 where a clinician chose it; as stored of a known person, else 1, if not told"
    )
    care: list[Beside] | None = Field(
        None, min_length=1, max_length=MOST, description="For the early warning of a run that learnt one; else refused"
    )
    remember: bool = Field(False, description="Tell in `memory` what is remembered, for the readings that follow")
    series: bool = Field(False, description="Tell every row of the grid, not only the newest")


class ForecastQuestion(Window):
    """Where will the vitals be?"""

    model_config = example({"profile": ABOUT, "readings": HISTORY})


class Moment(Form):
    """A person and what they do."""

    model_config = example(
        {"age": 54, "sex": "female", "steps_per_minute": 100, "intensity": 0.4, "local_time": "17:30"}
    )
    person: Somebody | None = None
    local_time: str = Field("12:00", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="of the day")
    steps_per_minute: float = Field(0.0, ge=0, le=300)
    intensity: float = Field(0.0, ge=0, le=1, description="0 is rest, 1 as hard as possible")
    asleep: bool = False
    minutes: float | None = Field(None, ge=1, le=1440, description="How long so far; 15, or asleep 180, where not told")
    resting_heart_rate: float | None = Field(None, ge=20, le=250, description="bpm, awake and at rest, where known")


def profile_fields(schema: Schema) -> dict[str, Any]:
    """Return what a profile holds, as pydantic's `create_model` takes it."""
    rule = schema.profile
    numbers = {"age": rule.age, "height": rule.height, "weight": rule.weight}
    fields: dict[str, Any] = {
        name: (float | None, Field(None, ge=limit.possible[0], le=limit.possible[1], description=limit.unit))
        for name, limit in numbers.items()
    }
    fields["sex"] = (Literal[rule.sex], "unknown")
    for name, known in (("medication", rule.medication), ("conditions", rule.conditions)):
        fields[name] = (list[Literal[known]], Field(default_factory=list, max_length=len(known)))  # type: ignore[valid-type]
    return fields


class Forms:
    """The forms that depend on schema.yaml, made once.

    Attributes:
        profile: Who a person is, as far as models may know.
        change: What is another from now on.
        moment, moments: One question of /predict, and what reads several.
        reading: JSON schema of a reading.
    """

    def __init__(self, schema: Schema) -> None:
        fields = profile_fields(schema)
        self.profile: type[Form] = create_model(
            "Profile", __base__=Form, __doc__="Who a person is, as far as models may know; no names.", **fields
        )
        self.profile.model_config = example(ABOUT)
        self.profile.model_rebuild(force=True)
        codes: Any = list[Literal[schema.profile.medication]]  # type: ignore[name-defined]
        change: dict[str, Any] = {
            "kind": (Literal[KINDS], ...),
            "medication": (codes | None, Field(None, description="What is taken now; of a medication alone")),
        }
        self.change: type[Form] = create_model(
            "PersonChange", __base__=Form, __doc__="Another medicine or device.", **change
        )
        self.change.model_config = example({"kind": MEDICATION, "medication": ["beta_blocker"]})
        self.change.model_rebuild(force=True)
        self.moment: type[Moment] = create_model("PersonAndMoment", __base__=Moment, __doc__=Moment.__doc__, **fields)
        self.moments: TypeAdapter[list[Moment]] = TypeAdapter(list[self.moment])  # type: ignore[name-defined]
        self.reading = reading_schema(schema)


def reading_schema(schema: Schema) -> dict[str, Any]:
    """Return what a reading may hold as JSON schema; see `reading.parse` for what it cannot say."""
    properties: dict[str, Any] = {
        "person": {"type": "string", "pattern": f"^{schema.person.pattern}$", "description": "Pseudonym; no name"},
        "time": {"type": "string", "format": "date-time", "description": TIME},
        "utc_offset": {"type": ["integer", "null"], "description": "Local minus UTC, minutes, where time has another"},
        "device": {"type": ["string", "null"], "maxLength": 200},
        "event_id": {"type": ["string", "null"], "maxLength": 200, "description": "The same reading twice is one"},
        "schema_version": {"type": "integer", "const": schema.version},
    }
    for name, column in schema.columns.items():
        low, high = column.possible
        number = {"type": "integer" if column.whole else "number", "minimum": low, "maximum": high}
        told = f"{column.label}, {column.unit}"
        properties[name] = {"anyOf": [number, {"enum": [None, *column.no_value]}], "description": told}
    return {
        "title": "Reading",
        "type": "object",
        "description": "What was measured at one moment. null and device codes such as 255 mean not measured.",
        "properties": properties,
        "required": ["time"],
        "additionalProperties": False,
        "examples": [ONE],
    }


class Why(Form):
    """Why production is moved; it stands in the history."""

    model_config = example({"why": "fewer false alarms at night"})
    why: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="No names of people")


class Act(Form):
    """What is asked for an alert: the address says it all."""

    model_config = example({})


class Snooze(Form):
    """For how long an alert is silent."""

    model_config = example({"minutes": 10})
    minutes: int | None = Field(
        None, ge=1, le=1440, description="up to `longest_pause` of rules.yaml; the usual where not told"
    )


def acting_form(action: str) -> type[Act] | type[Snooze]:
    """Return the form of an action."""
    return Snooze if action == SNOOZE else Act


class Into(Form):
    """Where people come who are heard for the first time."""

    ward: WardName | None = Field(
        None, description="A ward of the key; else its only one, or none until they are moved"
    )


class Whereto(Form):
    """A ward."""

    model_config = example({"ward": "north"})
    ward: WardName


class People(Form):
    """Which people."""

    discharged: bool = Field(False, description="Also those who are, and have no open alarm")
    names: bool = Field(False, description="Tell what the vault calls them; scope admin, and audited")


class Span(Form):
    """A stretch of time."""

    since: str | None = Field(None, max_length=40, description=f"{TIME}; a day before `until` where not told")
    until: str | None = Field(None, max_length=40, description=f"{TIME}; now where not told")


class AlarmFilter(Form):
    """Which alerts."""

    open_only: bool = Field(True, alias="open", description="false: those that are over, too")
    person: PersonId | None = None
    system: bool = Field(False, description="Only those about the system itself: every key that reads sees them")
    most: int = Field(200, ge=1, le=1_000)
    after: Annotated[str, Field(pattern=PLACE, description="`next` of the page before")] | None = None


class RulesFilter(Form):
    """Whose rules."""

    person: PersonId | None = None


class BurdenSpan(Form):
    """How far back."""

    days: int = Field(7, ge=1, le=366, description="Alarms that changed in so many days")


class RefusedFilter(Form):
    """Which refused readings."""

    after: int = Field(0, ge=0, le=2**53)
    most: int = Field(100, ge=1, le=1_000)
    newest: bool = Field(False, description="Newest first, not oldest: the last `most` of those behind `after`")
    reason: Literal[tuple(REASONS)] | None = None  # type: ignore[valid-type]


class Replay(Form):
    """Which refused readings to run again: as `rest` of the answer before told, all where nothing is."""

    after: int = Field(0, ge=0, le=2**53, description="Behind this number")
    until: int | None = Field(None, ge=0, le=2**53, description="Up to this one; the newest of now where not told")


class Resume(Form):
    """Where a stream goes on."""

    after: int | None = Field(None, ge=0, le=2**53, description="Number of the last event that was seen")


ACTING = tuple(action for action in ACTIONS if action != DISCHARGE)


class Series(BaseModel):
    """One series of KServe's forecast protocol."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    type: Literal["univariate_time_series", "time_series"] = "univariate_time_series"
    name: str = Field(max_length=64)
    series: list[float] = Field(min_length=2, max_length=4 * MOST)
    frequency: Literal["second", "minute", "hour"]
    start_timestamp: str | None = Field(None, max_length=40, description=TIME)


class SeriesOptions(BaseModel):
    """How far, and which quantiles."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    horizon: int = Field(ge=1, le=3_600, description="in steps of the frequency, up to an hour ahead")
    quantiles: list[float] = Field(default_factory=list, max_length=3, description="0.1, 0.5 and 0.9 are known")


class SeriesQuestion(BaseModel):
    """KServe's forecast protocol."""

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "model": "forecast",
                    "inputs": [
                        {
                            "type": "univariate_time_series",
                            "name": "heart_rate",
                            "series": [62.0, 63.0, 61.0, 64.0] * 8,
                            "frequency": "minute",
                            "start_timestamp": "2026-01-05T08:00:00Z",
                        }
                    ],
                    "options": {"horizon": 15, "quantiles": [0.1, 0.9]},
                }
            ]
        },
    )
    model: str = Field(max_length=64)
    inputs: list[Series] = Field(min_length=1, max_length=8)
    options: SeriesOptions


class Tensor(BaseModel):
    """A named tensor of the Open Inference Protocol."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    name: str = Field(max_length=64)
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: str = Field(max_length=8)
    data: list[Any] = Field(min_length=1, max_length=MOST)


class Wanted(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(extra="ignore", strict=True)
    name: str = Field(max_length=64)


class InferQuestion(BaseModel):
    """A request of the Open Inference Protocol, version 2."""

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "id": "1",
                    "inputs": [
                        {
                            "name": "time",
                            "shape": [3],
                            "datatype": "BYTES",
                            "data": [f"2026-01-05T08:{minute:02d}:00Z" for minute in (0, 5, 10)],
                        },
                        {"name": "heart_rate", "shape": [3], "datatype": "FP32", "data": [61.0, 62.5, 140.0]},
                    ],
                }
            ]
        },
    )
    id: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9_.:-]*$")
    inputs: list[Tensor] = Field(min_length=1, max_length=32)
    outputs: list[Wanted] | None = Field(None, max_length=32)
