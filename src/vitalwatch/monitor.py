"""The one door: readings in, answers out. Evaluation, REST, page, stream and Spark all ask a `Monitor`.

Needs numpy, onnxruntime, pydantic and cryptography only. `advance` gives equal answers for a day in one call and for
288 calls of one reading: to the bit for features and forest scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import cleaning, explaining, features, few_sensors, own_level, probing, residuals, sequences, wearing
from vitalwatch.attribution import FOREST_FILE, Attribution
from vitalwatch.averaging import Kept
from vitalwatch.baseline import VITALS, Normal
from vitalwatch.bundle import RETRAIN, Bundle, load
from vitalwatch.channels import CHANNELS, Channels
from vitalwatch.clearing import Clearing, Seeker
from vitalwatch.early_warning import EarlyWarning, Risk
from vitalwatch.errors import BundleRefused
from vitalwatch.expecting import REST, Moments
from vitalwatch.own_level import Level
from vitalwatch.params import Alarms, Baseline, Cleaning, Forecaster, OwnLevel
from vitalwatch.reasons import Reasons, by_wearing, reasons_of
from vitalwatch.records import record
from vitalwatch.residuals import Learnt, Rows
from vitalwatch.runtime import Model
from vitalwatch.schema import Schema
from vitalwatch.scoring import Calibration, Detector, Scores
from vitalwatch.tables import Answers, Care, Doubles, Floats, Grid, Profile, Readings, Times
from vitalwatch.watching import Channel, Rule


@record
class Body:
    """What is remembered of one person up to some row."""

    rows: residuals.State
    recent: sequences.Tail  # what the forecaster remembers
    scored: Kept  # what the detector remembers
    channels: tuple[Channel, ...] = (Channel(),) * len(CHANNELS)
    levels: tuple[Level, ...] = (Level(),) * 2  # of the unusual and the known channel


@record
class State:
    """What the monitor remembers of one person between calls; hand it back unchanged.

    Attributes:
        person: PERSON columns, nothing missing, (7,).
        cleaning: Grid rows and open readings.
        body: After the newest row.
        before: Before the newest row, which more readings of its step may still change.
        newest: Start of the newest row, UTC ms, -1 before the first.
    """

    person: Floats
    cleaning: cleaning.State
    body: Body
    before: Body
    newest: int = -1


@record
class Asked:
    """What a caller wants to know of rows."""

    forecast: bool
    detect: bool
    follow: bool = False
    by_kind: bool = False


@dataclass(frozen=True)
class Chosen:
    """The blocks of params.yaml that serving obeys; they travel in the bundle."""

    cleaning: Cleaning
    baseline: Baseline
    alarms: Alarms
    forecaster: Forecaster
    own_level: OwnLevel

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name).model_dump(mode="json") for name in self.__dataclass_fields__}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Chosen:
        """Read back what `to_json` wrote."""
        return Chosen(
            Cleaning.model_validate(data["cleaning"]),
            Baseline.model_validate(data["baseline"]),
            Alarms.model_validate(data["alarms"]),
            Forecaster.model_validate(data["forecaster"]),
            OwnLevel.model_validate(data["own_level"]),
        )


class Monitor:
    """Watches people with one trained run.

    Attributes:
        schema: What the data is, as trained.
        chosen: How it is served, as trained.
        version: Run id, for every answer's record.
        horizons: Minutes ahead that are forecast.
        early_warning: Models for stays in hospital, None where the run learnt none.
    """

    def __init__(self, files: Mapping[str, bytes], card: Mapping[str, Any]) -> None:
        told = {name: json.loads(files[f"{name}.json"]) for name in ("settings", "normal", "calibration", "forecast")}
        self.schema = Schema.model_validate(told["settings"]["schema"])
        self.chosen = Chosen.from_json(told["settings"])
        self.card = card
        self.version = str(card.get("run", ""))
        usual = np.asarray(told["normal"]["usual_person"], np.float32)
        self._learnt = Learnt(Model(files["heart_rate.onnx"]), Normal.from_json(told["normal"]), usual)
        forest, heads = few_sensors.trees(files, "forest"), wearing.heads(files)
        self.detector = Detector(forest, heads, Calibration.from_json(told["calibration"]))
        forecaster = Model(files["forecast.onnx"]) if "forecast.onnx" in files else None
        widening = np.asarray(told["forecast"]["widening"], np.float64)
        blend = sequences.blend_of(files, told["forecast"], self.chosen.forecaster, self.schema)
        self._stream = sequences.Stream(forecaster, widening, self.chosen.forecaster, self.schema, blend)
        self.horizons, self.forecast_vitals = self._stream.horizons, self._stream.vitals
        self._nobody = Body(residuals.begin(self._learnt.normal), self._stream.begin(), self.detector.begin())
        self.early_warning = EarlyWarning.of(files)
        self._attribution = by_wearing(files), Attribution.of(files, FOREST_FILE)
        self._cleaning = cleaning.Plan.of(self.schema, self.chosen.cleaning)
        self._rules = explaining.Rules.of(self.schema)
        self._alarm_rule = Rule.of_params(self.chosen.alarms, self.schema.step_ms)
        self._channels = Channels(self.detector, self.schema, self._rules, self._alarm_rule)
        self._leveling = own_level.Plan.of_params(
            self.chosen.alarms, self.chosen.own_level, self.chosen.baseline.enrolment_days
        )

    @classmethod
    def open(cls, folder: Path, trusted: Sequence[Path], *, seal: str = "") -> Monitor:
        """Load a verified bundle and run its self-test.

        Raises:
            BundleRefused: A check of `bundle.load` failed, or today's code and libraries do not reproduce the answers
                that training saw: which, and by how much.
        """
        return cls.verified(load(folder, trusted, seal=seal), folder)

    @classmethod
    def verified(cls, bundle: Bundle, folder: Path) -> Monitor:
        """Return a monitor of verified bytes after its self-test."""
        if list(bundle.card["features"]) != list(features.NAMES):
            raise BundleRefused(str(folder), "its features are not those of this version", RETRAIN)
        monitor = cls._of_files(bundle, folder)
        expected = bundle.probe["answers"]
        got = monitor.probe(bundle.probe)
        for name, limit in probing.TOLERANCE.items():
            apart = probing.apart(got.get(name, []), expected.get(name, []))
            if apart > limit:
                problem = f"its self-test gives other {name} than training saw (by {apart:.3g}, {limit:g} allowed)"
                raise BundleRefused(str(folder), problem, RETRAIN)
        return monitor

    @classmethod
    def _of_files(cls, bundle: Bundle, folder: Path) -> Monitor:
        try:
            if EarlyWarning.fits(bundle.files):
                return cls(bundle.files, bundle.card)
        except (KeyError, TypeError, ValueError) as error:  # signed, but by code that wrote other files
            what = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            raise BundleRefused(str(folder), f"its files are not what this version reads ({what})", RETRAIN) from error
        raise BundleRefused(str(folder), "its early-warning columns are not those of this version", RETRAIN)

    def begin(self, person: str, profile: Profile | None = None) -> State:
        """Return the state of a person of whom no reading is known; the population's normal holds at first."""
        about = self.person_row(profile or Profile(person))
        return State(about, cleaning.begin(person, self.schema), self._nobody, self._nobody)

    def advance(
        self, state: State, new: Readings, *, forecast: bool = True, detect: bool = True, follow: bool = False
    ) -> tuple[State, Answers]:
        """Return the next state and the answers for every grid row that the new readings add or change.

        Args:
            state: From `begin` or an earlier call.
            new: Readings of the same person, sorted by time. Those of a step before the newest one known come too
                late: they are left out and counted in `Answers.late`.
            forecast: Whether to forecast at each row (an LSTM run a row).
            detect: Whether to score rows and raise alarms; without, scores are NaN, and alarms stay as they were.
            follow: Whether intervals learn from one row in two hours where none is forecast, for whoever asks later.
        """
        asked = Asked(forecast, detect, follow)
        late = 0
        if len(new) and new.time.item(0) < state.newest:
            on_time = new.time >= state.newest
            late, new = int((~on_time).sum()), new.rows(on_time)
        clean, grid = cleaning.advance(state.cleaning, new, self._cleaning)
        if not len(grid):
            return state, self._rows(state.before, state.person, grid, asked, late)[1]
        body = state.before if grid.time.item(0) == state.newest else state.body
        if len(grid) == 1:
            before, (body, answers) = body, self._rows(body, state.person, grid, asked, late)
        else:
            before, first = self._rows(body, state.person, grid.rows(slice(None, -1)), asked, late)
            body, last = self._rows(before, state.person, grid.rows(slice(-1, None)), asked, late)
            answers = _joined(first, last, grid)
        return State(state.person, clean, body, before, grid.time.item(-1)), answers

    def again(self, state: State, *, detect: bool = True) -> Answers:
        """Return the answers for the newest row once more, with its forecast."""
        told = state.cleaning
        cleaned = cleaning.State(told.open.rows(slice(0, 0)), told.before, told.before)
        return self.advance(State(state.person, cleaned, state.before, state.before), told.open, detect=detect)[1]

    def answer(
        self,
        readings: Readings,
        profile: Profile | None = None,
        *,
        forecast: bool = True,
        detect: bool = True,
        by_kind: bool = False,
    ) -> Answers:
        """Return the answers for all of one person's readings, from nothing known before; as `advance` otherwise.

        Nobody goes on from here, so that the newest row needs no state before it, and no turn of its own. `by_kind`
        asks for `Answers.by_kind`.
        """
        state = self.begin(readings.person, profile)
        grid = cleaning.advance(state.cleaning, readings, self._cleaning)[1]
        return self._rows(state.body, state.person, grid, Asked(forecast, detect, by_kind=by_kind), 0)[1]

    def changed(self, state: State, profile: Profile) -> State:
        """Return the state of a person whose medication or device is another from now on.

        What was normal before no longer counts: the population's normal holds again at first, with this profile.
        Alarms under way go on, and readings of a step that is not over are kept.
        """
        rows, said = residuals.begin(self._learnt.normal), self.detector.begin()
        body, before = (replace(b, rows=rows, scored=said, levels=(Level(),) * 2) for b in (state.body, state.before))
        return replace(state, person=self.person_row(profile), body=body, before=before)

    def risks(self, readings: Readings, profile: Profile | None = None, care: Care | None = None) -> Risk | None:
        """Return the risks of sepsis and death, hour by hour of a stay; None where the run learnt no early warning."""
        models = self.early_warning
        return None if models is None else models.answer(readings, profile or Profile(readings.person), care)

    def clearing(
        self, answers: Answers, profile: Profile | None = None, *, state: State | None = None
    ) -> tuple[Clearing, ...]:
        """Return what would clear each alarm of `answers`, in their order; worked out on demand, not by `advance`.

        Args:
            answers: From `answer`, or from `advance` with `state`.
            profile: As given there.
            state: Before those readings. Unless nothing is known in it, alarms need a day of rows before them among
                these: of earlier ones nothing is found.
        """
        whole = state is None or state.newest < 0
        person, rows, _ = self._behind(answers, profile, state)
        seeker = Seeker(
            answers.grid, rows, residuals.usual(rows, person, self._learnt), self.detector, self._rules, self.schema,
            levels=answers.own_level, of=self._alarm_rule.of, whole=whole,
        )  # fmt: skip
        return tuple(seeker.clear(alarm) for alarm in answers.alarms)

    def reasons(
        self, answers: Answers, row: int, profile: Profile | None = None, *, state: State | None = None
    ) -> Reasons:
        """Return why a row of `answers` scores as it does, in two views; worked out on demand as `clearing` is."""
        _, rows, said = self._behind(answers, profile, state)
        return reasons_of(rows, row, said, self.detector, *self._attribution)

    def person_row(self, profile: Profile) -> Floats:
        """Return the PERSON columns of a profile, what is not told taken from the middle training person, (7,)."""
        return features.person_row(profile, self._learnt.usual_person)

    def lift(self, x: Floats) -> Floats:
        """Return what moments (`features.EXPECTATION`, float32 (n, 28)) add to a person's own heart rate, bpm (n,)."""
        return self._learnt.expectation.run(x=np.ascontiguousarray(x, np.float32))["value"].reshape(len(x))

    def cold(self, x: Floats, context: NDArray[np.int8]) -> Doubles:
        """Return the heart rate expected of people without own days, bpm (n,): x as of `lift`, contexts (n,)."""
        return self._learnt.normal.centre[context, 0] + self.lift(x)

    def expected(self, moments: Moments, persons: Floats, resting: Doubles) -> tuple[Doubles, Doubles]:
        """Return the heart rate expected in moments that are told, and the usual spread around it, bpm (n,) each.

        Args:
            moments: What the persons do.
            persons: From `person_row`, (n, 7).
            resting: Own heart rate awake at rest, bpm (n,); NaN where not told: then the population's stands in.
        """
        normal = self._learnt.normal
        context = moments.context
        found = self.cold(np.concatenate((moments.columns, persons), axis=1), context)
        told = ~np.isnan(resting)
        if told.any():
            rest = self.lift(np.concatenate((moments.rest.columns, persons), axis=1)) + normal.centre[REST, 0]
            found = np.where(told, found + resting - rest, found)
        return found, normal.spread[context, 0]

    def features(self, readings: Readings, profile: Profile | None = None) -> Floats:
        """Return the detector's features of every grid row, float32 (n, f) in `features.NAMES` order."""
        state = self.begin(readings.person, profile)
        grid = cleaning.advance(state.cleaning, readings, self._cleaning)[1]
        return self._residuals(state.body, state.person, grid)[1].features

    def probe(self, probe: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Push the probe's readings through cleaning, features and models; return the newest rows' answers."""
        readings, profile, rows = probing.probe_readings(probe["readings"])
        answers = self.answer(readings, profile)
        columns = self.features(readings, profile)
        told = {
            "features": columns,
            "unusual": answers.unusual,
            "known": answers.known,
            "probability": answers.probability,
            "expected_heart_rate": answers.expected_heart_rate,
            "forecast": answers.forecast,
        }
        risk = self.risks(readings, profile)
        if risk is not None:
            told["risk"] = np.stack(list(risk.values.values()), axis=1)
        return {name: probing.plain(values[-rows:]) for name, values in told.items()}

    def _behind(self, answers: Answers, profile: Profile | None, state: State | None) -> tuple[Floats, Rows, Kept]:
        """Return the person's columns, the rows that answers rest on, and what the detector said before them."""
        grid, state = answers.grid, state or self.begin(answers.person, profile)
        body = state.before if len(grid) and grid.time[0] == state.newest else state.body
        return state.person, self._residuals(body, state.person, grid)[1], body.scored

    def _residuals(self, body: Body, person: Floats, grid: Grid) -> tuple[residuals.State, Rows]:
        return residuals.advance(body.rows, grid, person, self._learnt, self.chosen.baseline, self.schema.step_minutes)

    def _rows(self, body: Body, person: Floats, grid: Grid, asked: Asked, late: int) -> tuple[Body, Answers]:
        state, rows = self._residuals(body, person, grid)
        recent, ahead = self._stream.advance(body.recent, grid, rows.static, ask=asked.forecast, follow=asked.follow)
        if asked.detect:
            scored, scores = self.detector.advance(body.scored, rows.features, rows.assessable)
            levels, scores, own = self._on_own_level(body.levels, scores, grid.time)
            channels, alarms, anomalous, kind = self._channels.advance(body.channels, grid, rows, scores)
        else:
            scores = Scores.unknown(len(grid))
            scored, levels, own = self.detector.begin(), body.levels, np.ones((len(grid), 2), np.float32)
            channels, alarms, anomalous, kind = body.channels, (), np.zeros(len(grid), np.bool_), scores.kind
        vitals = len(VITALS)
        answers = Answers(
            person=grid.person,
            time=grid.time,
            score=np.float32(1.0) - scores.p_value,
            p_value=scores.p_value,
            is_anomaly=anomalous,
            unusual=scores.unusual,
            known=scores.known,
            probability=scores.probability,
            kind=kind,
            kinds=self.detector.calibration.kinds,
            residual=rows.z[:, :vitals].astype(np.float32),
            contribution=rows.stronger[:, :vitals],
            vitals=VITALS,
            centre=rows.centre[:, :vitals],
            spread=rows.spread[:, :vitals],
            expected_heart_rate=rows.expected,
            usual_heart_rate_spread=rows.spread[:, 0].astype(np.float32),
            forecast=ahead,
            forecast_vitals=self.forecast_vitals,
            horizons=self.horizons,
            own_level=own,
            own_baseline=rows.own_days > 0,
            assessable=rows.assessable,
            grid=grid,
            alarms=alarms,
            late=late,
        )
        if asked.by_kind:
            answers = replace(answers, by_kind=(scores.by_kind / own[:, 1:]).astype(np.float32))
        return Body(state, recent, scored, channels, levels), answers

    def _on_own_level(
        self, levels: tuple[Level, ...], scores: Scores, time: Times
    ) -> tuple[tuple[Level, ...], Scores, Floats]:
        """Return the next levels, scores on them, and the levels of rows, (n, 2).

        Of whoever wears few sensors channel B asks for more than usual where they are loud, never for less where they
        are quiet: what is not measured is quiet, too.
        """
        limits, plan = self.detector.calibration, self._leveling
        if len(time) == 1:
            return self._one_on_own_level(levels, scores, time.item())
        unusual, a = own_level.advance(levels[0], scores.unusual, time, limits.unusual_blocks, plan)
        few, alike = scores.wearing == wearing.FEW, np.asarray(limits.known_alike).take(scores.wearing)
        known, b = own_level.advance(levels[1], scores.known * alike, time, limits.known_blocks, plan)
        b = np.where(few, np.maximum(b, 1.0), b)
        on_both = own_level.on_own_level(scores.unusual, a), own_level.on_own_level(scores.known, b)
        return (
            (unusual, known),
            replace(scores, unusual=on_both[0], known=on_both[1]),
            np.stack((a, b), axis=1).astype(np.float32),
        )

    def _one_on_own_level(
        self, levels: tuple[Level, ...], scores: Scores, now: int
    ) -> tuple[tuple[Level, ...], Scores, Floats]:
        """Return `_on_own_level` of one row, in plain numbers."""
        limits, plan = self.detector.calibration, self._leveling
        unusual, known = scores.unusual.item(), scores.known.item()
        a = own_level.advance_one(levels[0], unusual, now, limits.unusual_blocks, plan)
        worn = scores.wearing.item()
        b = own_level.advance_one(levels[1], known * limits.known_alike[worn], now, limits.known_blocks, plan)
        of_known = max(b.factor, 1.0) if worn == wearing.FEW else b.factor
        if a.factor != 1.0 or of_known != 1.0:
            told = np.array([[unusual / a.factor], [known / of_known]], np.float32)
            scores = replace(scores, unusual=told[0], known=told[1])
        return (a, b), scores, np.array([[a.factor, of_known]], np.float32)


BY_ROW = (
    "time",
    "score",
    "p_value",
    "is_anomaly",
    "unusual",
    "known",
    "probability",
    "kind",
    "residual",
    "contribution",
    "centre",
    "spread",
    "expected_heart_rate",
    "usual_heart_rate_spread",
    "forecast",
    "own_level",
    "own_baseline",
    "assessable",
)


def _joined(a: Answers, b: Answers, grid: Grid) -> Answers:
    """Join answers that follow each other; an alarm that grew is told once, as it stands at the end."""
    alarms = {(alarm.channel, alarm.start): alarm for alarm in (*a.alarms, *b.alarms)}
    ordered = tuple(sorted(alarms.values(), key=lambda alarm: (alarm.start, alarm.channel)))
    columns: dict[str, Any] = {name: np.concatenate((getattr(a, name), getattr(b, name))) for name in BY_ROW}
    return replace(b, **columns, alarms=ordered, grid=grid)
