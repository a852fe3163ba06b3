"""MLflow gets what was asked of it, in the background, and can never fail a run."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from vitalwatch import tracking
from vitalwatch.tracking import Tracker, store_uri


@pytest.mark.parametrize(
    ("expected", "tracking_setting", "environ"),
    [
        (None, None, {}),
        (None, "env", {}),
        ("http://tracker:5000", "env", {"MLFLOW_TRACKING_URI": "http://tracker:5000"}),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db", {}),
        (
            "sqlite:////project/artifacts/mlflow.db",
            "sqlite:///artifacts/mlflow.db",
            {"MLFLOW_TRACKING_URI": "http://x"},
        ),
    ],
)
def test_the_address_comes_from_the_config_or_the_environment(expected, tracking_setting, environ):
    assert expected == store_uri(tracking_setting, Path("/project"), environ)


def test_without_an_address_nothing_is_started():
    with Tracker(None) as tracker:
        tracker.log_run("a", {}, {})
        tracker.set_champion("a")

    assert tracker.warnings == []


def test_a_store_that_cannot_be_opened_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")

    warnings = tracking.log_run(f"sqlite:///{tmp_path}/file/mlflow.db", "a", {}, {})

    assert len(warnings) == 1
    assert warnings[0].startswith("MLflow: could not be started")


def test_a_child_that_dies_is_a_warning_and_not_an_error(tmp_path):
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db")
    assert tracker._child is not None
    tracker._child.kill()
    tracker._child.wait()

    tracker.log_run("a", {"x": 1}, {})
    warnings = tracker.close()

    assert warnings == ["MLflow: 1 requests were not done (child ended or too slow)"]


def test_starting_costs_the_run_nothing(tmp_path):
    clock = time.perf_counter()
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db")
    tracker.log_run("a", {"x": 1}, {})
    seconds = time.perf_counter() - clock
    tracker.close(patience=0.0)

    assert seconds < 1.0


@pytest.mark.slow
def test_two_runs_are_logged_and_the_champion_moves_there_and_back(tmp_path):
    model = tmp_path / "models" / "unusual.onnx"
    model.parent.mkdir()
    model.write_bytes(b"\x08\x08")
    artifacts = tmp_path / "artifacts"
    uri = f"sqlite:///{artifacts}/mlflow.db"

    with Tracker(uri) as tracker:
        tracker.log_run(
            "a",
            {f"p{n}": n for n in range(150)} | {"long": "x" * 7000},
            {"f1": 0.5, "none": None, "nan": float("nan")},
            [model],
        )
        tracker.set_champion("a")
        tracker.log_run("b", {"p": 2}, {"f1": 0.6}, [model.parent], {"source": "synthetic"})
        tracker.log_run("b", {"p": 2}, {"f1": 0.6})

    assert tracker.warnings == []
    assert aliases(artifacts / "mlflow.db") == {"champion": "a", "challenger": "b"}
    assert rows(artifacts / "mlflow.db", "select key, value from metrics order by value") == [("f1", 0.5), ("f1", 0.6)]
    assert rows(artifacts / "mlflow.db", "select count(*) from params") == [(151 + 1,)]
    assert len(list(artifacts.rglob("unusual.onnx"))) == 2
    assert {"artifacts", "models"} == {path.name for path in tmp_path.iterdir()}

    with Tracker(uri) as tracker:
        tracker.set_champion("b")
        tracker.set_champion("a")
        tracker.set_champion("c")

    assert aliases(artifacts / "mlflow.db") == {"champion": "a"}
    assert tracker.warnings == ["MLflow: c: this run was never logged, so the alias champion stays where it is"]


def rows(database: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def aliases(database: Path) -> dict[str, str]:
    query = (
        "select a.alias, t.value from registered_model_aliases a"
        " join model_version_tags t on t.name = a.name and t.version = a.version where t.key = 'vitalwatch.run'"
    )
    return dict(rows(database, query))
