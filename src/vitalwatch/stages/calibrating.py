"""Scales and thresholds of both channels, from calibration people; nothing here is learnt from training people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import averaging, features, own_level, promises
from vitalwatch.metrics.budget import Cohort, Track
from vitalwatch.metrics.events import Rule
from vitalwatch.models import anomaly, episodes
from vitalwatch.models.anomaly import stacked
from vitalwatch.own_level import Usual
from vitalwatch.runtime import Asked, Model
from vitalwatch.schema import minutes
from vitalwatch.scoring import ALONE, ASLEEP, Calibration, Detector, Scale, context_of
from vitalwatch.settings import Settings
from vitalwatch.tables import MINUTE, Bools, Doubles, Floats, Times
from vitalwatch.wearing import FEW, WEARINGS, WITH_BREATHING, Heads, reduced, wearing_of

ROUNDS = 4  # of looking for what makes quiet blocks alike: the last changes it by less than .001
SURE = 0.1  # of a channel's false alarms: what they would be above the score that makes an alarm a sure one


@dataclass(frozen=True)
class Seen:
    """What detectors are trained and calibrated on: rows of a part that are judged.

    Attributes:
        x: Features (n, f).
        time: (n,).
        episode: Number of the episode a row lies in, over all people, -1 for none (n,).
        kind: Index into the kinds, -1 for none (n,).
        far: Rows away from every episode (n,).
        sure: Rows that can be judged (n,); the others keep their place in time, as when serving.
        person: Number of the person (n,).
        told: Rows of people whose episodes somebody labelled (n,).
        tracks: What each person is judged on.
    """

    x: Floats
    time: Times
    episode: NDArray[np.int64]
    kind: NDArray[np.int64]
    far: Bools
    sure: Bools
    person: NDArray[np.int64]
    told: Bools
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Calibrated:
    """Calibration people, and what they taught.

    Attributes:
        calibration: Scales and thresholds.
        cohort: Of those whom thresholds rest on.
        unusual: Channel A's score of their rows before own levels, NaN if unsure (n,).
        by_kind: Channel B's of each kind, everything worn, (n, kinds); None without heads.
    """

    calibration: Calibration
    cohort: Cohort
    unusual: Doubles
    by_kind: Doubles | None


def calibrate(
    held: Seen, forest: bytes, known: Asked | None, kinds: tuple[str, ...], settings: Settings
) -> Calibration:
    """Return what `calibrated` chooses."""
    return calibrated(held, forest, known, kinds, settings).calibration


def calibrated(
    held: Seen, forest: bytes, known: Asked | None, kinds: tuple[str, ...], settings: Settings
) -> Calibrated:
    """Choose scales and thresholds on calibration people; each channel gets its share of the false-alarm budget.

    Where some of them are labelled, only those: of the others nobody knows which alarms are false. Channel B's scales
    are chosen for each wearing, on the same people of whom no more is kept; its threshold is for all of them.
    """
    params = settings.params
    held = labelled(held)
    rows = features.rows_of(minutes(params.detector.average), settings.schema.step_minutes)
    lengths = [len(track.time) for track in held.tracks]
    by_group = averaging.of_people(Model(forest).run(x=held.x)["score"], held.sure, lengths, rows, ALONE)
    blocks = anomaly.blocks(held.time, held.person, minutes(params.detector.block) * MINUTE)
    near = averaging.of_people(~held.far[:, None], np.ones_like(held.far), lengths, rows)[:, 0] > 0
    quiet = held.sure & ~near  # no row of the mean either
    scale = anomaly.surprise_scale(by_group[quiet], held.x[quiet, ASLEEP] > 0, blocks[quiet])
    cohort = Cohort(held.tracks, Rule.of_params(params.alarms, settings.schema.step_ms))
    level, margins, chance = None, list[Doubles](), tuple[Scale, ...]()
    if known:
        models = [known.of(wearing) if isinstance(known, Heads) else known for wearing in range(len(WEARINGS))]
        found = [
            averaging.of_people(_of_heads(model, reduced(held.x, wearing)), held.sure, lengths, rows)
            for wearing, model in enumerate(models)
        ]
        margins = [np.where(held.sure[:, None], told[:, :-1], np.nan) for told in found]
        level = stacked([episodes.level_scale(told, cohort) for told in margins])
        inside, whose = held.episode[held.sure] >= 0, held.person[held.sure]
        chance = tuple(episodes.chance_scale(told[held.sure, -1], inside, whose) for told in found)
    detector = Detector(Model(forest), None, anomaly.uncalibrated(scale, level))
    unusual = np.where(held.sure, detector.surprise(by_group, held.x).max(axis=1), np.nan)
    promised = promises.promised(params.detector, known=bool(known))
    by_kind, score, known_threshold, known_blocks = None, None, float("inf"), own_level.NOBODYS
    alike = (1.0,) * len(WEARINGS)
    if margins:
        levels = [detector.level(margin, reduced(held.x, wearing)) for wearing, margin in enumerate(margins)]
        few = wearing_of(held.x)[:, None] == FEW
        by_kind = np.where(few, levels[FEW], levels[WITH_BREATHING])  # as served
        scores, score = [level.max(axis=1) for level in levels], by_kind.max(axis=1)
        known_threshold, known_blocks = on_own_level(cohort, score, promised["known"], settings)
        alike = alike_of(scores, cohort, known_blocks, settings)
    spent = promised["unusual"]
    unusual_threshold, unusual_blocks = on_own_level(cohort, unusual, spent, settings)
    rarity, known_rarity, either_rarity = anomaly.rarity_scales(
        unusual[quiet], None if score is None else score[quiet], context_of(held.x[quiet])
    )
    calibration = Calibration(
        surprise=scale,
        rarity=rarity,
        level=level,
        known_rarity=known_rarity,
        either_rarity=either_rarity,
        chance=chance,
        unusual_threshold=unusual_threshold,
        known_threshold=known_threshold,
        unusual_sure=at_level(cohort, unusual, unusual_blocks, SURE * spent, settings),
        kinds=kinds,
        rows=rows,
        unusual_blocks=unusual_blocks,
        known_blocks=known_blocks,
        known_alike=alike,
    )
    return Calibrated(calibration, cohort, unusual, by_kind)


def _of_heads(known: Asked, x: Floats) -> Floats:
    """Return what heads say of rows: log-odds by kind and the chance of any, (n, kinds + 1)."""
    told = known.run(x=x)
    return np.column_stack((told["margin"], told["probability"]))


def on_own_level(cohort: Cohort, score: Doubles, budget: float, settings: Settings) -> tuple[float, Usual]:
    """Return the threshold that a budget allows on people's own levels, and what their quiet blocks are like."""
    time = [track.time for track in cohort.tracks]
    blocks = own_level.usual_of(score, time, _threshold(cohort, score, budget), _plan(settings))
    return at_level(cohort, score, blocks, budget, settings), blocks


def at_level(cohort: Cohort, score: Doubles, blocks: Usual, budget: float, settings: Settings) -> float:
    """Return the threshold that a budget allows on people's own levels, once it is told what quiet blocks are like."""
    own = own_level.factors_of(score, [track.time for track in cohort.tracks], blocks, _plan(settings))
    return _threshold(cohort, score / own, budget)


def _plan(settings: Settings) -> own_level.Plan:
    params = settings.params
    return own_level.Plan.of_params(params.alarms, params.own_level, params.baseline.enrolment_days)


def alike_of(scores: Sequence[Doubles], cohort: Cohort, blocks: Usual, settings: Settings) -> tuple[float, ...]:
    """Return by wearing what scores are multiplied by so that quiet blocks are as high as those of `blocks`.

    Args:
        scores: Channel B's of calibration people's rows, by wearing, (n,) each.
        cohort: Their tracks.
        blocks: What quiet blocks are like where everything is worn.
        settings: Params.
    """
    time = [track.time for track in cohort.tracks]

    def alike(score: Doubles) -> float:
        factor = 1.0
        for _ in range(ROUNDS):  # which blocks are quiet is told on the scale that own levels learn from
            mean = own_level.usual_of(score * factor, time, blocks.cut, _plan(settings)).mean
            factor *= blocks.mean / mean if mean > 0 else 1.0
        return factor

    return tuple(alike(score) for score in scores)


def labelled(held: Seen) -> Seen:
    """Return the rows and tracks of labelled people, or everything where all or none are labelled."""
    if held.told.all() or not held.told.any():
        return held
    rows = held.told
    known = set(held.person[rows].tolist())
    columns = {
        name: getattr(held, name)[rows] for name in ("x", "time", "episode", "kind", "far", "sure", "person", "told")
    }
    return Seen(**columns, tracks=tuple(track for i, track in enumerate(held.tracks) if i in known))


def thresholds_of(cohort: Cohort, score: NDArray[Any], budgets: Sequence[float]) -> tuple[float, ...]:
    """Return the threshold that each budget allows new people, of scores on own levels (n,)."""
    levels = cohort.levels(np.split(score, np.cumsum([len(track.time) for track in cohort.tracks])[:-1]))
    return cohort.thresholds_for_budgets(levels, budgets, for_new_people=True)


def _threshold(cohort: Cohort, score: NDArray[Any], budget: float) -> float:
    return thresholds_of(cohort, score, [budget])[0]
