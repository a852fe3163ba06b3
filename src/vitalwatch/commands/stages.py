"""The table of stages: what each reads, writes and depends on. The pipeline walks it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitalwatch.pipeline import Stage, Work

PEOPLE = ("profiles.parquet", "events.parquet")
HOSPITAL = ("care.parquet", "outcomes.parquet")


def stages(sources: Sequence[Path], format: str | None, now_ms: int) -> tuple[Stage, ...]:
    """Return the five stages for these sources; without any, the default synthetic people are made.

    Args:
        sources: Recordings.
        format: A name of `readers.FORMATS`, None for by content.
        now_ms: The clock, UTC milliseconds.
    """

    def ingest(work: Work) -> dict[str, Any]:
        from vitalwatch.stages.population import gather

        return gather(work, sources, format, now_ms)

    return (
        Stage(
            "ingest",
            ingest,
            writes=("readings.parquet", *PEOPLE, *HOSPITAL, "bookkeeping.parquet", "quarantine", "ingest.json"),
            uses=("ingest", "synthetic"),
        ),
        Stage(
            "validate",
            _validate,
            reads=("readings.parquet", "ingest.json"),
            writes=("quality.json",),
            uses=("ingest", "cleaning"),
        ),
        Stage(
            "transform",
            _transform,
            reads=("readings.parquet",),
            writes=("grid.parquet", "splits.json"),
            uses=("cleaning", "splits"),
        ),
        Stage(
            "train",
            _train,
            reads=("grid.parquet", "splits.json", "readings.parquet", *PEOPLE, *HOSPITAL, "bookkeeping.parquet"),
            writes=("models",),
            uses=(
                "synthetic",
                "cleaning",
                "baseline",
                "regressor",
                "detector",
                "supervised",
                "early_warning",
                "forecaster",
                "alarms",
                "own_level",
                "splits",
            ),
        ),
        Stage(
            "evaluate",
            _evaluate,
            reads=(
                "readings.parquet",
                "splits.json",
                *PEOPLE,
                *HOSPITAL,
                "bookkeeping.parquet",
                "models",
                "quality.json",
                "ingest.json",
            ),
            writes=("reports",),
            uses=("evaluation", "gates", "alarms", "own_level", "baseline", "detector", "synthetic"),
        ),
    )


def _validate(work: Work) -> dict[str, Any]:
    from vitalwatch.stages.validate import validate

    folder = work.folder / "validating"
    folder.mkdir()
    try:
        for artifact in ("readings.parquet", "ingest.json"):
            (folder / artifact).symlink_to(work.path(artifact).resolve())
        report = validate(folder, work.settings)
        (folder / "quality.json").replace(work.out("quality.json"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {name: value for name, value in report.items() if name != "by_person"}


def _transform(work: Work) -> dict[str, Any]:
    from vitalwatch.stages.transform import transform

    return transform(work)


def _train(work: Work) -> dict[str, Any]:
    from vitalwatch.stages.train import train

    return train(work)


def _evaluate(work: Work) -> dict[str, Any]:
    from vitalwatch.stages.assess import evaluate

    return evaluate(work)
