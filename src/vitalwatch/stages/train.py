"""Cleaned people -> one signed bundle: expectation, forests, episode heads, forecaster, calibration.

The forecaster trains in a process of its own beside the rest: Keras and jax take 0.8 GB, which go with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import attribution, bundle, cards, features, few_sensors, learning, promises, sequences, wearing
from vitalwatch.errors import NotEnoughData
from vitalwatch.export import forests_to_onnx, one_against_rest_to_onnx
from vitalwatch.metrics.budget import Track
from vitalwatch.models import anomaly, episodes, forecast_linear, forecast_trees
from vitalwatch.models import forecast as forecaster
from vitalwatch.monitor import Chosen, Monitor
from vitalwatch.pipeline import Work
from vitalwatch.probing import probe_of
from vitalwatch.recordings import read_events
from vitalwatch.residuals import Learnt
from vitalwatch.schema import minutes
from vitalwatch.scoring import Calibration
from vitalwatch.settings import Settings
from vitalwatch.splits import CALIBRATION, TRAIN
from vitalwatch.stages import hospital, shares
from vitalwatch.stages.calibrating import Seen, calibrated, labelled
from vitalwatch.stages.forecasting import (
    Windows,
    draw_shares,
    finished,
    forecast_json,
    forecasting,
    rate_at,
    windows_of,
)
from vitalwatch.stages.people import Member, enrolled_until, group_of, having, load_learners
from vitalwatch.stages.transform import read_splits
from vitalwatch.tables import DAY, MINUTE, Bools, Event, Readings, Times

PROBE_ROWS = 12
LEAST_EPISODES = 20  # labelled training episodes that a supervised head needs
LEAST_ROWS = 200  # judged rows, to learn from and to calibrate on
STEPS = 8


def train(work: Work) -> dict[str, Any]:
    """Train everything and write the signed bundle `models/`; returns what the manifest shows."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two trainings share the cores: waiting must not burn them
    settings, params = work.settings, work.settings.params
    clock = _Clock(work)
    members = load_learners(work)
    learners, calibrators = having(members, TRAIN), having(members, CALIBRATION)
    if not learners or not calibrators:
        raise NotEnoughData(f"{len(members)} people", "at least one to learn from and one to calibrate on")
    clock.done("load")
    expectation, learnt = learning.learn(
        [member.until(TRAIN) for member in learners],
        params.regressor,
        params.baseline,
        settings.schema.step_minutes,
        params.seed,
        settings.config.jobs,
    )
    give_back()
    clock.done("expectation")
    kinds = tuple(sorted({event.kind for member in learners for event in member.events or ()}))
    stride = stride_of(learners, settings)
    with forecasting(work) as train_forecaster:
        seen, windows = see(learners, TRAIN, learnt, settings, kinds, params.forecaster.max_windows)
        _enough(seen.x, "can be learnt from")
        future = train_forecaster(windows)
        tree_rows = forecast_trees.rows_of(windows.x, windows.person, windows.y, windows.last, rate_at(settings))
        lines = forecast_linear.fit(windows.x, windows.person, windows.y, windows.last)
        del windows
        give_back()
        clock.done("features")
        forests = anomaly.forests(seen.x[even_rows(seen.time, stride, settings)], params.detector, params.seed)
        forest, forest_trees = forests_to_onnx(forests, seen.x.shape[1]), anomaly.trees(forests)
        known = _heads(seen, kinds, settings)
        del seen
        trees = forecast_trees.fit(tree_rows, params.forecaster, params.seed, settings.config.jobs)
        del tree_rows
        give_back()
        clock.done("forests and episode heads")
        held, probation = see(calibrators, CALIBRATION, learnt, settings, kinds, params.forecaster.max_windows // 4)
        _enough(held.x[held.far & held.sure], "away from episodes can be calibrated on")
        taught = calibrated(held, forest, wearing.heads(known), kinds if known else (), settings)
        calibration, sharing = taught.calibration, shares.thresholds(taught, kinds, settings)
        simulated = read_events(work.path("bookkeeping.parquet"))
        prevalence = prevalence_of(held, calibrators, simulated, settings)
        if calibration.chance and prevalence:
            odds = episodes.odds_between(prevalence["calibration"], prevalence["served"])
            chance = tuple(episodes.at_prevalence(scale, odds) for scale in calibration.chance)
            calibration = replace(calibration, chance=chance)
        clock.done("calibration")
        fitted = forecaster.Fitted.load(future.result())
    clock.done("forecaster")
    forecast_onnx, blend, widening, parts = finished(fitted, lines, trees, probation, settings)
    warned = hospital.people_of(read_splits(work.path("splits.json"))["people"])
    warning, warning_card, warning_notes = hospital.learn(hospital.Records.of_work(work), settings, warned)
    clock.done("early warning")
    files = {
        **warning,
        "heart_rate.onnx": expectation,
        **few_sensors.files_of("forest", forest),
        attribution.FOREST_FILE: forest_trees,
        "forecast.onnx": forecast_onnx,
        **({sequences.TREES: trees} if trees else {}),
        **known,
        "normal.json": _json({**learnt.normal.to_json(), "usual_person": learnt.usual_person.tolist()}),
        "calibration.json": _json(calibration.to_json()),
        **({shares.FILE: _json(sharing)} if sharing else {}),
        "forecast.json": _json(forecast_json(widening, blend)),
        "settings.json": _json({"schema": settings.schema.model_dump(mode="json"), **_chosen(settings).to_json()}),
    }
    notes = [*_notes(members, held, bool(known), widening, settings), *warning_notes]
    card = _card(members, calibration, held, fitted, settings) | (
        {"early_warning": warning_card} if warning_card else {}
    )
    if known and prevalence:
        card |= {"prevalence": prevalence}
    card |= {"forecast_error_on_calibration_people": parts, "notes": notes}
    probe = _probe(calibrators[0], files, card, settings)
    key = bundle.SigningKey.load_or_create(settings.path(settings.config.signing.key))
    bundle.write(work.out("models"), files, card, probe, key)
    clock.done("bundle")
    sizes = {name: len(data) for name, data in files.items()}
    return {
        "bytes": sum(sizes.values()),
        "files": sizes,
        "seconds": clock.seconds,
        "people": card["people"],
        "notes": card["notes"],
    }


def _enough(rows: NDArray[Any], what: str) -> None:
    if len(rows) < LEAST_ROWS:
        hint = (
            "a row counts with a heart rate in a quarter of the last hour's steps; hourly data wants schema.step=60min"
        )
        raise NotEnoughData(f"{len(rows)} grid rows {what}", f"{LEAST_ROWS} ({hint}) are")


def prevalence_of(
    held: Seen, calibrators: Sequence[Member], simulated: Collection[str], settings: Settings
) -> dict[str, float]:
    """Return the share of labelled calibration people's rows that lie in an episode, and that which is served.

    The simulated people of a stress population have more episodes than people in life, whom probabilities are told of:
    there `synthetic.natural_share` as many are served. Whoever was recorded is as ill as people are. Empty where all or
    no rows lie in an episode: then there are no odds.
    """
    seen, chosen = labelled(held), settings.params.synthetic
    share = float((seen.episode[seen.sure] >= 0).mean()) if seen.sure.any() else 0.0
    judged = [member.grid.person for member in calibrators if member.events is not None]
    stressed = chosen.prevalence == "stress" and all(person in simulated for person in judged)
    served = share * (chosen.natural_share if stressed else 1.0)
    return {"calibration": share, "served": served} if served > 0.0 and share < 1.0 else {}


def give_back() -> None:
    """Return freed memory to the system, where the C library knows how (glibc keeps it otherwise)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class _Clock:
    """Seconds of each step, told as progress."""

    def __init__(self, work: Work) -> None:
        self._work, self._last, self.seconds = work, time.perf_counter(), dict[str, float]()
        work.progress(0, STEPS)

    def done(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step], self._last = round(now - self._last, 2), now
        self._work.progress(len(self.seconds), STEPS)


def see(
    members: Sequence[Member], part: int, learnt: Learnt, settings: Settings, kinds: Sequence[str], windows: int
) -> tuple[Seen, Windows]:
    """Pass people through what was learnt; keep judged rows of the part and a draw of forecaster windows."""
    from joblib import Parallel, delayed

    counts = [int(member.of(part).sum()) for member in members]
    own = [group_of(member.grid.person) == "own" for member in members]
    stride = stride_of(members, settings) if part == TRAIN else 1
    shares = draw_shares(counts, own, windows, settings.params.forecaster.own_share)
    jobs = (
        delayed(_look)(member, number, part, learnt, settings, kinds, share, stride)
        for number, (member, share) in enumerate(zip(members, shares, strict=True))
    )
    found = Parallel(n_jobs=settings.config.jobs, prefer="threads")(jobs)
    offset, columns = 0, list[NDArray[np.int64]]()
    for one, _ in found:
        columns.append(np.where(one.episode >= 0, one.episode + offset, -1))
        offset += int(one.episode.max(initial=-1)) + 1
    seen = Seen(
        x=np.concatenate([one.x for one, _ in found]),
        time=np.concatenate([one.time for one, _ in found]),
        episode=np.concatenate(columns),
        kind=np.concatenate([one.kind for one, _ in found]),
        far=np.concatenate([one.far for one, _ in found]),
        sure=np.concatenate([one.sure for one, _ in found]),
        person=np.concatenate([one.person for one, _ in found]),
        tracks=tuple(track for one, _ in found for track in one.tracks),
        told=np.concatenate([one.told for one, _ in found]),
    )
    names = ("x", "person", "y", "last")
    together = {name: np.concatenate([getattr(window, name) for _, window in found]) for name in names}
    return seen, Windows(**together)


def _look(
    member: Member,
    number: int,
    part: int,
    learnt: Learnt,
    settings: Settings,
    kinds: Sequence[str],
    share: float,
    stride: int,
) -> tuple[Seen, Windows]:
    schema, params = settings.schema, settings.params
    person = member.until(part)
    grid = person.grid
    rows = learning.rows_of(person, learnt, params.baseline, schema.step_minutes)
    mine = member.part[: len(grid)] == part
    kept = mine & (grid.time >= enrolled_until(member.grid, params.baseline.enrolment_days))
    number_of, far = learning.episode_rows(grid, person.events, schema.step_ms, minutes(params.alarms.grace) * MINUTE)
    if part == TRAIN:
        kept &= rows.assessable
        kept &= even_rows(grid.time, stride, settings) | _some_of_each(number_of, params.supervised.rows_an_episode)
    names = np.asarray([kinds.index(event.kind) if event.kind in kinds else -1 for event in person.events] + [-1])
    one = Seen(
        x=rows.features[kept],
        time=grid.time[kept],
        episode=number_of[kept],
        kind=names[number_of[kept]],
        far=far[kept],
        sure=rows.assessable[kept],
        person=np.full(int(kept.sum()), number),
        tracks=(_track(grid.time[kept], grid.worn[kept], rows.assessable[kept], person.events, schema.step_ms),),
        told=np.full(int(kept.sum()), member.events is not None),
    )
    return one, windows_of(person, rows, mine, share, np.random.default_rng([params.seed, number, part]), settings)


def stride_of(members: Sequence[Member], settings: Settings) -> int:
    """Return every how many-th row of training people is enough to learn what is normal from: neighbours are alike."""
    params = settings.params
    rows = sum(int(member.of(TRAIN).sum()) for member in members)
    return max(rows // max(params.supervised.normal_rows, params.detector.max_rows), 1)


def even_rows(time_ms: Times, stride: int, settings: Settings) -> Bools:
    """Return every `stride`-th row of the grid, whoever's and whatever is in it, (n,)."""
    even: Bools = time_ms // settings.schema.step_ms % stride == 0
    return even


def _some_of_each(episode: NDArray[np.int64], most: int) -> Bools:
    """Return rows spread over each episode, at most about `most` of each, (n,).

    Args:
        episode: Number of the episode a row is in, -1 for none, (n,).
        most: Rows of an episode; a long one says in more of them the same.
    """
    inside = episode >= 0
    length = np.bincount(episode[inside], minlength=1)
    stride = np.maximum(-(-length // most), 1)
    kept = inside.copy()
    kept[inside] = np.flatnonzero(inside) % stride[episode[inside]] == 0
    return kept


def _track(time_ms: Times, worn: Bools, sure: Bools, events: Sequence[Event], step_ms: int) -> Track:
    """Return what a person is judged on, by the rules of evaluation; episodes without a worn row are excused."""
    counted: list[Event] = []
    excused: list[Event] = []
    for event in events:
        inside = worn & (time_ms + step_ms > event.start) & (time_ms < event.end)
        (counted if inside.any() and event.start >= time_ms[0] else excused).append(event)
    spans = [np.asarray([(e.start, e.end) for e in some], np.int64).reshape(-1, 2) for some in (counted, excused)]
    days = float((worn & sure).sum()) * step_ms / DAY
    return Track(time_ms, days, spans[0], tuple(e.kind for e in counted), spans[1])


def _heads(seen: Seen, kinds: Sequence[str], settings: Settings) -> dict[str, bytes]:
    """Train channel B where there are labels enough; return its files, see `heads_of`, none without."""
    if len(np.unique(seen.episode[seen.episode >= 0])) < LEAST_EPISODES:
        return {}
    return heads_of(labelled(seen), kinds, settings)  # where nobody labelled, "no episode" is not known


def heads_of(seen: Seen, kinds: Sequence[str], settings: Settings) -> dict[str, bytes]:
    """Train a head a kind, for whoever wears many sensors and for whoever wears few; return both as ONNX, and their
    trees for `attribution`, by the names of a bundle.
    """
    params, threads, files = settings.params, settings.config.jobs, dict[str, bytes]()
    fewer = params.supervised.model_copy(update={"rounds": params.supervised.rounds_few})
    for worn, chosen, model, trees in (
        (wearing.WITH_BREATHING, params.supervised, wearing.WHOLE_FILE, attribution.FILE),
        (wearing.FEW, fewer, wearing.FEW_FILE, attribution.FEW_FILE),
    ):
        x = wearing.reduced(seen.x, worn)
        heads = episodes.heads(x, seen.episode, seen.kind, len(kinds), chosen, params.seed, threads)
        files |= {model: one_against_rest_to_onnx(heads, x.shape[1]), trees: attribution.told(heads)}
    return files


def _chosen(settings: Settings) -> Chosen:
    params = settings.params
    return Chosen(params.cleaning, params.baseline, params.alarms, params.forecaster, params.own_level)


def _card(
    members: Sequence[Member],
    calibration: Calibration,
    held: Seen,
    fitted: forecaster.Fitted,
    settings: Settings,
) -> dict[str, Any]:
    """Return what the model is; figures stand in the run's evaluation."""
    people = {
        "train": sum(member.of(TRAIN).any() for member in members),
        "calibration": sum(member.of(CALIBRATION).any() for member in members),
        "labelled": sum(member.events is not None for member in members),
    }
    return {
        "name": "vitalwatch",
        "purpose": "Shows what is unusual for one person. It is no medical device and makes no diagnosis.",
        "features": list(features.NAMES),
        "feature_words": [cards.feature_words(feature) for feature in features.FEATURES],
        "feature_units": [f.unit for f in features.FEATURES],
        "feature_lookback_minutes": [f.lookback for f in features.FEATURES],
        "groups": {group: [features.NAMES[i] for i in columns] for group, columns in features.GROUPS.items()},
        "expectation": list(features.EXPECTATION),
        "kinds": list(calibration.kinds),
        "step_minutes": settings.schema.step_minutes,
        "people": {name: int(count) for name, count in people.items()},
        "promised_false_alarms": promises.promised(
            settings.params.detector, known=bool(np.isfinite(calibration.known_threshold))
        ),
        "calibrated_on_labels": bool(held.told.any()),
        "horizons_minutes": list(sequences.horizons(settings.params.forecaster, settings.schema)),
        "horizons_dropped_minutes": list(sequences.dropped_horizons(settings.params.forecaster, settings.schema)),
        "forecast_loss_by_epoch": [round(loss, 4) for loss in fitted.loss],
        "models": cards.told_of_training(known=bool(np.isfinite(calibration.known_threshold))),
        "trained_on": sorted(member.grid.person for member in members),
    }


def _notes(
    members: Sequence[Member], held: Seen, known: bool, widening: NDArray[np.float64], settings: Settings
) -> list[str]:
    """Return sentences on what these models cannot do with these data."""
    schema, params = settings.schema, settings.params
    step, notes = schema.step_minutes, []
    if dropped := sequences.dropped_horizons(params.forecaster, schema):
        ahead = ", ".join(map(str, dropped))
        notes.append(
            f"Forecasts {ahead} minutes ahead are not given: they are shorter than the {step}-minute grid step."
        )
    if (shorter := [w for w in features.WINDOWS if w < step]) and step > 1:
        notes.append(f"Detector windows of {', '.join(map(str, shorter))} minutes read a single {step}-minute row.")
    vitals = sequences.vitals(params.forecaster, schema)
    if silent := [name for name, width in zip(vitals, widening, strict=True) if np.isnan(width).all()]:
        notes.append(f"Too rarely measured to be forecast: {', '.join(silent)}.")
    if not known:
        notes.append(f"No kind of episode is named: fewer than {LEAST_EPISODES} labelled ones to learn from.")
    if not held.told.any():
        notes.append("No episodes are labelled, so every alarm on calibration people counted as false.")
    if not any(np.isfinite(member.grid.column("steps")).any() for member in members):
        notes.append("No activity was measured: the expected heart rate is the usual one of person and hour.")
    days = [(member.grid.time[-1] - member.grid.time[0]) / DAY for member in members]
    if short := sum(day < params.baseline.enrolment_days for day in days):
        notes.append(
            f"{short} of {len(members)} people have fewer than {params.baseline.enrolment_days} days: they are judged "
            "by the population's normal, from their first reading on."
        )
    return notes


def _probe(member: Member, files: dict[str, bytes], card: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return a day of made-up readings and the answers of today's code, for the self-test on loading."""
    readings = probe_day(settings)
    monitor = Monitor(files, card)
    probe = {"readings": probe_of(readings, member.profile.__class__("probe", age=50.0, sex="female"), PROBE_ROWS)}
    return {**probe, "answers": monitor.probe(probe)}


def probe_day(settings: Settings) -> Readings:
    """Return a day of readings drawn for the self-test: nobody's, with every vital, sleep and a walk in it."""
    schema = settings.schema
    n = schema.steps_per_day
    rng = np.random.default_rng(n)
    hour = np.arange(n) * schema.step_minutes / 60
    asleep = hour < 7
    walk = ((hour >= 9) & (hour < 10)) | ((hour >= 17) & (hour < 18))
    middle = {
        "heart_rate": np.where(asleep, 58, 70) + 30 * walk,
        "oxygen_saturation": np.full(n, 97.0),
        "respiratory_rate": np.where(asleep, 13, 15) + 6 * walk,
        "body_temperature": np.full(n, 36.6),
        "blood_pressure_systolic": np.where(asleep, 112.0, 122.0),
        "blood_pressure_diastolic": np.where(asleep, 66.0, 76.0),
        "heart_rate_variability_rmssd": np.where(asleep, 45.0, 32.0),
        "heart_rate_spread": np.full(n, 2.5),
        "oxygen_saturation_min": np.full(n, 96.0),
        "signal_quality": np.full(n, 0.95),
    }
    values = {
        name: np.round(centre * (1 + 0.01 * rng.standard_normal(n)), 2).clip(*schema.columns[name].possible)
        for name, centre in middle.items()
        if name in schema.columns
    }
    values["steps"] = np.round(walk * 95.0 * schema.step_minutes + rng.integers(0, 20, n) * ~asleep)
    values["intensity"] = np.where(walk, 0.5, 0.02)
    values["sleep"] = asleep.astype(np.float64)
    told = {name: column.astype(np.float32) for name, column in values.items()}
    return Readings("probe", np.arange(n, dtype=np.int64) * schema.step_ms, np.zeros(n, np.int16), told)


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
