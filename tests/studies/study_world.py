"""A few small people with roles, through the pipeline's own code, and settings of few trees."""

from __future__ import annotations

from functools import lru_cache

from tiny import SMALLER, small_settings, somebody
from vitalwatch import cleaning
from vitalwatch.learning import Person
from vitalwatch.settings import Settings, load_settings
from vitalwatch.studies.people import Roles

QUICK = (
    *SMALLER,
    "synthetic.days=10",
    "forecaster.epochs=1",
    "evaluation.draws=50",
)


def cleaned(index: int) -> Person:
    made, settings = somebody(index), small_settings()
    return Person(cleaning.to_grid(made.readings, settings.schema, settings.params.cleaning), made.profile, made.events)


@lru_cache(maxsize=1)
def roles() -> Roles:
    """Return three people to learn from, two who calibrate and two who are judged."""
    everyone = [cleaned(index) for index in range(7)]
    return Roles(everyone[:3], everyone[3:5], everyone[5:], small_settings())


def quick(root) -> Settings:
    return load_settings(root, environment="base", overrides=QUICK)
