"""params.yaml as checked objects, a class per block; a block is handed to the code that it steers.

The classes stand together, below everything else, so that serving reads them without importing training code.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vitalwatch.schema import Closed, minutes


def _duration(text: str) -> str:
    minutes(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]  # like 5min or 6h; `schema.minutes` reads it
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class Synthetic(Closed):
    """The default population and how it is simulated."""

    people: Count
    days: Count
    start: dt.date
    prevalence: Literal["stress", "natural"]
    natural_share: Share
    noise: Positive
    time_constants: Positive
    faults: Annotated[float, Field(ge=0)]


class Ingest(Closed):
    """What ingest refuses."""

    max_clock_ahead: Duration
    max_bad_share: Share


class Cleaning(Closed):
    """Readings to grid."""

    max_gap: Duration
    max_gap_slow: Duration
    flat_line: Duration
    min_signal_quality: Share


class Baseline(Closed):
    """What is normal for one person."""

    enrolment_days: Count
    days_back: Count
    days_skip: Annotated[int, Field(ge=0)]
    shrink_days: Positive
    min_rows: Count
    suspect_z: Positive
    frozen_days: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _order(self) -> Baseline:
        if self.days_skip >= self.days_back:
            raise ValueError("days_skip must be below days_back")
        return self


class Splits(Closed):
    """Who is tested on."""

    test_people: Count
    calibration_people: Count
    test_share: Share
    calibration_share: Share
    test_days_share: Share


class Regressor(Closed):
    """Expected heart rate (LightGBM)."""

    rounds: Count
    learning_rate: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_rows_a_leaf: Count
    max_rows: Count


class Detector(Closed):
    """Channel A: Isolation Forests by organ group, and the budget that both channels share."""

    trees: Count
    sample: Annotated[int, Field(ge=2)]
    max_rows: Count
    budget: Positive
    share_unusual: Share
    known_most: Positive
    block: Duration
    average: Duration


class Supervised(Closed):
    """Channel B: boosted heads on labelled episodes, one a kind."""

    rounds: Count
    rounds_few: Count
    learning_rate: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_rows_a_leaf: Count
    columns_a_tree: Annotated[float, Field(gt=0, le=1)]
    l2: Annotated[float, Field(ge=0)]
    normal_rows: Count
    rows_an_episode: Count


class EarlyWarning(Closed):
    """Risk of sepsis and of death, where the data tells who had it (LightGBM)."""

    rounds: Count
    learning_rate: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_rows_a_leaf: Count
    columns_a_tree: Annotated[float, Field(gt=0, le=1)]
    l2: Annotated[float, Field(ge=0)]
    share_of_hours: Annotated[float, Field(gt=0, le=1)]
    max_rows: Count


class Forecaster(Closed):
    """Keras LSTM and the boosted trees that it is blended with."""

    history: Duration
    horizons: tuple[Count, ...]
    vitals: tuple[str, ...]
    units: Count
    epochs: Count
    batch: Count
    learning_rate: Positive
    max_windows: Count
    own_share: Share
    tree_rounds: Count
    tree_leaves: Annotated[int, Field(ge=2)]
    tree_learning_rate: Positive
    tree_min_rows_a_leaf: Count


class Alarms(Closed):
    """Scores to alarms."""

    need: Count
    of: Count
    merge: Duration
    cut: Duration
    grace: Duration

    @model_validator(mode="after")
    def _order(self) -> Alarms:
        if self.need > self.of:
            raise ValueError("need must not exceed of")
        return self


class OwnLevel(Closed):
    """How high a person's own quiet days score, beside calibration people's."""

    after_days: Count
    block: Duration
    pull: Positive


class Evaluation(Closed):
    """How figures are judged."""

    draws: Count
    confidence: Annotated[float, Field(gt=0, lt=1)]
    vus_buffer: Duration


class Gates(Closed):
    """What a run must reach before it is promoted."""

    min_event_f1_unusual: Share
    min_event_f1_known: Share
    max_false_alarms: Positive
    min_gain_over_best_line: float
    min_forecast_skill: float
    min_forecast_skill_others: float
    min_regressor_skill: float
    max_unrealistic: Share
    max_probability_off: Share
    min_probability_skill: float
    max_probability_told_beside_true: Annotated[float, Field(ge=0)]
    min_warning_gain_over_news2: float
    min_warning_gain_over_stay: float
    max_warning_auroc_of_dealt_outcomes: Share
    min_warning_brier_skill: float
    max_warning_told_beside_true: Annotated[float, Field(ge=0)]
    max_warning_told_beside_true_by_hours: Annotated[float, Field(ge=0)]
    max_worse_than_champion: Annotated[float, Field(ge=0)]


class Params(Closed):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0)]
    synthetic: Synthetic
    ingest: Ingest
    cleaning: Cleaning
    baseline: Baseline
    splits: Splits
    regressor: Regressor
    detector: Detector
    supervised: Supervised
    early_warning: EarlyWarning
    forecaster: Forecaster
    alarms: Alarms
    own_level: OwnLevel
    evaluation: Evaluation
    gates: Gates
