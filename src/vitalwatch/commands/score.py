"""`score`: recordings -> scores, alarms and forecasts, person by person, in bounded memory."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitalwatch.care import CareFile
from vitalwatch.clearing import Clearing
from vitalwatch.commands.books import code_of, tell_books, tell_refused
from vitalwatch.commands.desk import Desk, Outcome, Told
from vitalwatch.commands.models import Place, ingested, place_of, scratch, served_settings, told
from vitalwatch.commands.replacing import LIST, QUARANTINE, check_place, replaced
from vitalwatch.commands.run import sources_of
from vitalwatch.commands.spacing import Spacing
from vitalwatch.early_warning import Risk, last_known
from vitalwatch.errors import DONE, SOME_REFUSED
from vitalwatch.quarantine import FILE
from vitalwatch.recordings import PARQUET, iter_people, people, read_profiles, storing
from vitalwatch.tables import Answers, Care, Profile, Readings

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("scores", "alarms", "forecasts")
TOP = 3  # vitals named among the contributions
MANY = 4  # people from which other processes are worth their start
GROUP_ROWS = 100_000


def score(given: Namespace, desk: Desk) -> Outcome:
    """Write scores.parquet, alarms.parquet and forecasts.parquet; they replace those of an earlier call all at once.

    Raises:
        NotFound: No such run, or nothing is in production.
        BundleRefused: The models are damaged, unsigned, or answer otherwise than in training.
        SourceError: A source cannot be read.
        StoreError: The folder cannot be written.
    """
    sources, place = sources_of(given, desk), place_of(desk, given.run)
    settings = served_settings(place.open(), desk)
    check_place(given.out)
    with (
        replaced(given.out) as out,
        scratch(desk) as folder,
        desk.screen.progress() as move,
        contextlib.ExitStack() as closing,
    ):
        report = ingested(sources, folder, settings, given.format, desk.now_ms(), move)
        profiles = read_profiles(folder / "profiles.parquet")
        beside = closing.enter_context(CareFile(folder / "care.parquet", tuple(settings.schema.care)))
        spacing = Spacing(settings.schema.step_minutes)
        everybody = spacing.watch(iter_people(folder / "readings.parquet", settings.schema))
        known = len(people(folder / "readings.parquet"))
        jobs = settings.config.jobs if known >= MANY else 1
        counts = _write(out, _answered(place, everybody, profiles, beside, jobs), known, move, spacing)
        report["notes"] += spacing.notes()
        data = {"run": place.run, "out": str(given.out), "tables": counts, "assessed": spacing.assessed, **told(report)}
        with storing(given.out):
            if report["quarantined"]:
                (out / QUARANTINE).mkdir()
                shutil.copyfile(folder / "quarantine" / FILE, out / QUARANTINE / FILE)
                (out / QUARANTINE / FILE).chmod(0o600)
            (out / LIST).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    _tell(data, report, given.out, desk)
    return Outcome(max(code_of(report), SOME_REFUSED if spacing.too_far else DONE), data)


def tables_of(
    answers: Answers, clearing: Sequence[Clearing], risk: Risk | None = None, step_ms: int = 0
) -> dict[str, pa.Table]:
    """Return one person's scores, alarms and forecasts as Arrow tables; forecasts only where one was made.

    Args:
        answers: What the monitor says.
        clearing: What would clear each of their alarms.
        risk: Of the same person; scores then have a column `risk_...` for each question: that of the last full hour.
        step_ms: Length of a grid step: what is known at its end counts.
    """
    scores = _scores(answers)
    if risk is not None:
        for question in risk.values:
            known = last_known(risk, question, answers.time + step_ms)
            scores = scores.append_column(f"risk_{question}", _measured(known))
    return {"scores": scores, "alarms": _alarms(answers, clearing), "forecasts": _forecasts(answers)}


def contributions(z: np.ndarray, vitals: tuple[str, ...]) -> list[str]:
    """Return the largest z of each row as text like `heart_rate:+3.1;body_temperature:+1.2`; z is (n, v)."""
    size = np.abs(np.nan_to_num(z, nan=0.0))
    order = np.argsort(-size, axis=1, kind="stable")[:, :TOP]
    return [
        ";".join(f"{vitals[i]}:{z[row, i]:+.1f}" for i in places if size[row, i] > 0)
        for row, places in enumerate(order.tolist())
    ]


def _scores(answers: Answers) -> pa.Table:
    import pyarrow as pa

    told_of = contributions(answers.contribution, answers.vitals)
    return pa.table(
        {
            "person": _named(answers.person, len(answers)),
            "time": _stamps(answers.time),
            "score": _measured(answers.score),
            "p_value": _measured(answers.p_value),
            "is_anomaly": pa.array(answers.is_anomaly, pa.bool_()),
            "expected_heart_rate": _measured(answers.expected_heart_rate),
            "top_contributions": pa.array(
                [text if known else "" for text, known in zip(told_of, answers.assessable, strict=True)], pa.string()
            ),
            "assessable": pa.array(answers.assessable, pa.bool_()),
            "own_baseline": pa.array(answers.own_baseline, pa.bool_()),
        }
    )


def _alarms(answers: Answers, clearing: Sequence[Clearing]) -> pa.Table:
    import pyarrow as pa

    alarms = answers.alarms
    texts = ("kind", "channel", "priority", "explanation")
    return pa.table(
        {
            "person": pa.array([alarm.person for alarm in alarms], pa.string()),
            "start": _stamps(np.asarray([alarm.start for alarm in alarms], np.int64)),
            "end": _stamps(np.asarray([alarm.end for alarm in alarms], np.int64)),
            **{name: pa.array([getattr(alarm, name) for alarm in alarms], pa.string()) for name in texts},
            "clearing": pa.array([found.sentence for found in clearing], pa.string()),
        }
    )


def _forecasts(answers: Answers) -> pa.Table:
    import pyarrow as pa

    row, vital, horizon = np.nonzero(np.isfinite(answers.forecast).all(axis=3))
    quantiles = answers.forecast[row, vital, horizon]
    names = pa.array(list(answers.forecast_vitals), pa.string())
    return pa.table(
        {
            "person": _named(answers.person, len(row)),
            "time": _stamps(answers.time[row]),
            "vital": pa.DictionaryArray.from_arrays(vital.astype(np.int32), names).cast(pa.string()),
            "horizon": pa.array(np.asarray(answers.horizons, np.int32)[horizon]),
            **{name: pa.array(quantiles[:, i]) for i, name in enumerate(("q10", "q50", "q90"))},
        }
    )


def _named(person: str, rows: int) -> pa.Array:
    import pyarrow as pa

    return pa.repeat(pa.scalar(person, pa.string()), rows)


def _stamps(time_ms: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.array(time_ms, pa.int64()).cast(pa.timestamp("ms", "UTC"))


def _measured(values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.float32(), from_pandas=True)  # NaN becomes null: not assessable


@functools.lru_cache(maxsize=1)
def _monitor(place: Place) -> Any:
    return place.open()  # once a process


def _one(place: Place, readings: Readings, profile: Profile, care: Care | None) -> dict[str, pa.Table]:
    monitor = _monitor(place)
    answers, risk = monitor.answer(readings, profile), monitor.risks(readings, profile, care)
    return tables_of(answers, monitor.clearing(answers, profile), risk, monitor.schema.step_ms)


def _answered(
    place: Place, everybody: Iterator[Readings], profiles: Mapping[str, Profile], beside: CareFile, jobs: int
) -> Iterator[dict[str, pa.Table]]:
    """Yield everyone's tables in order."""
    asked = ((place, one, profiles.get(one.person, Profile(one.person)), beside.of(one.person)) for one in everybody)
    if jobs == 1:
        yield from (_one(*question) for question in asked)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="2*n_jobs")
    yield from parallel(delayed(_one)(*question) for question in asked)


def _write(out: Path, found: Iterator[dict[str, pa.Table]], known: int, move: Told, spacing: Spacing) -> dict[str, int]:
    """Write the tables, whole people a row group, and return rows by table."""
    files = {name: _File(out / f"{name}.parquet") for name in TABLES}
    done = 0
    with contextlib.ExitStack() as closing:
        for file in files.values():
            closing.callback(file.close)
        for tables in found:
            spacing.count(tables)
            for name, table in tables.items():
                files[name].add(table)
            done += 1
            move("score", done, known)
    return {name: file.rows for name, file in files.items()}


class _File:
    """One Parquet file, written when a row group's rows are together."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._waiting: list[Any] = []
        self._writer: Any = None

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self.rows += len(table)
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        with storing(self.path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self.path, table.schema, **PARQUET)
            self._writer.write_table(table, row_group_size=max(len(table), 1))
        self._waiting = []

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


def _tell(data: Mapping[str, Any], report: Mapping[str, Any], out: Path, desk: Desk) -> None:
    desk.screen.say(f"{report['people']} people, {report['person_days']} days, answered by run {data['run']}:")
    desk.screen.table([(f"{name}.parquet", count) for name, count in data["tables"].items()], (desk.shown(out), "rows"))
    for note in report["notes"]:
        desk.screen.say(f"Note: {note}")
    tell_books(report, desk)
    tell_refused(report, desk, desk.shown(out / "quarantine"), replay=f" --folder {desk.shown(out / 'quarantine')}")
