"""schema.yaml as checked objects: every column, its unit, its limits; other types are made from these."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Range = tuple[float, float]
MINUTES = {"min": 1, "h": 60}


class Closed(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@lru_cache(maxsize=64)
def minutes(text: str) -> int:
    """Return a duration such as `5min` or `1h` in minutes; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+)\s*(min|h)", str(text))
    if not match:
        raise ValueError("a duration is written like 5min or 1h")
    return int(match[1]) * MINUTES[match[2]]


class Column(Closed):
    """One measured column; see the head of schema.yaml for what each field means."""

    role: Literal["vital", "context", "detail"]
    unit: str
    shown: str
    label: str
    possible: Range
    usual: Range | None = None
    loinc: str | None = None
    of: str | None = None
    no_value: tuple[float, ...] = ()
    suspect: dict[str, Range] = {}
    whole: bool = False

    @field_validator("possible", "usual")
    @classmethod
    def _ordered(cls, value: Range | None) -> Range | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("the lower limit must be below the upper one")
        return value


class PersonRule(Closed):
    """What a person's pseudonym may look like, as a full-match regular expression."""

    pattern: str


class Limit(Closed):
    """A number in a profile."""

    unit: str
    possible: Range


class ProfileRule(Closed):
    """What a profile may hold."""

    age: Limit
    height: Limit
    weight: Limit
    sex: tuple[str, ...]
    medication: tuple[str, ...]
    conditions: tuple[str, ...]


class EventRule(Closed):
    """Kinds of labelled episodes known by name; others are accepted and reported."""

    kinds: tuple[str, ...]


class CareRule(Closed):
    """One thing that is measured or done in hospital beside the vitals."""

    unit: str
    label: str
    possible: Range


class Schema(Closed):
    """The whole of schema.yaml."""

    version: Literal[1]
    step: str
    person: PersonRule
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    pairs: tuple[tuple[str, str], ...] = ()
    care: dict[str, CareRule] = {}
    outcomes: tuple[str, ...] = ()
    profile: ProfileRule
    events: EventRule

    @field_validator("step", mode="before")
    @classmethod
    def _step(cls, value: object) -> str:
        if 1440 % minutes(str(value)) or not 1 <= minutes(str(value)) <= 60:
            raise ValueError("the grid step must be 1min to 60min and divide a day")
        return str(value)

    @model_validator(mode="after")
    def _names(self) -> Schema:
        for low, high in self.pairs:
            if low not in self.columns or high not in self.columns:
                raise ValueError(f"pairs name {low} and {high}, which must both be columns")
        if "heart_rate" not in self.columns:
            raise ValueError("heart_rate must be among the columns")
        return self

    @cached_property
    def step_minutes(self) -> int:
        """Minutes in one grid step."""
        return minutes(self.step)

    @cached_property
    def step_ms(self) -> int:
        """Milliseconds in one grid step."""
        return self.step_minutes * 60_000

    @cached_property
    def steps_per_day(self) -> int:
        """Grid steps in one day."""
        return 1440 // self.step_minutes

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All measured columns, in file order."""
        return tuple(self.columns)

    @cached_property
    def vitals(self) -> tuple[str, ...]:
        """The vital signs, in file order."""
        return tuple(name for name, column in self.columns.items() if column.role == "vital")
