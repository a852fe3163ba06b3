"""A place to run commands in: a config of its own below a temporary folder, and runs made of a small real bundle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vitalwatch.commands import main
from vitalwatch.settings import forget_database
from vitalwatch.store import Store, file_list

ROOT = Path(__file__).parent.parent
TINY = (
    "synthetic.people=14",
    "synthetic.days=12",
    "splits.test_people=4",
    "splits.calibration_people=4",
    "regressor.rounds=20",
    "regressor.max_rows=20000",
    "detector.trees=10",
    "supervised.rounds=10",
    "forecaster.epochs=1",
    "forecaster.max_windows=2000",
    "evaluation.draws=50",
)
EASY = (  # so that a run of seconds passes; the checks against leakage stay as they are
    "gates.min_event_f1_unusual=0",
    "gates.min_event_f1_known=0",
    "gates.max_false_alarms=1000",
    "gates.min_gain_over_best_line=-1",
    "gates.min_forecast_skill=-1000",
    "gates.min_forecast_skill_others=-1000",
    "gates.min_regressor_skill=-1000",
)
GATES = [{"name": "event_f1_unusual", "value": 0.5, "limit": 0.4, "passed": True}]


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


class Place:
    """Runs commands with artifacts, keys and MLflow below one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str] | None = None) -> None:
        forget_database()  # benchmarks have a Place too: nothing here may write where a developer's environment says
        self.folder, self.capsys = folder, capsys
        self.artifacts = folder / "artifacts"
        self.key = self.artifacts / "keys" / "signing.key"
        self.config = folder / "config.yaml"
        self.settle()

    def settle(self, artifacts: Path | None = None) -> None:
        """Write the config; artifacts may lie elsewhere."""
        self.artifacts = artifacts or self.artifacts
        told = {
            "artifacts": str(self.artifacts),
            "work": str(self.artifacts / "work"),
            "signing": {"key": str(self.key), "trusted": [str(self.key.with_suffix(".pub"))]},
            "tracking": None,
            "jobs": 2,
            "database": {
                "key": str(self.key.with_name("database.key")),
                "anchor": str(self.folder / "audit" / "audit.anchor"),
            },
            "alarms": {"rules": str(ROOT / "rules.yaml"), "log": False},
        }
        self.config.write_text(json.dumps(told))  # JSON is YAML

    @property
    def store(self) -> Store:
        return Store(self.artifacts)

    def words(self, *words: str, sets: tuple[str, ...] = ()) -> list[str]:
        return [*words, "--config", str(self.config), *(part for one in sets for part in ("--set", one))]

    def do(self, *words: str, sets: tuple[str, ...] = ()) -> Answer:
        """Run a command in this process."""
        assert self.capsys is not None
        self.capsys.readouterr()
        code = main(self.words(*words, sets=sets), ROOT)
        told = self.capsys.readouterr()
        return Answer(code, told.out, told.err)

    def start(self, *words: str, sets: tuple[str, ...] = TINY, **environ: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), *self.words(*words, sets=sets)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )

    def call(self, *words: str, sets: tuple[str, ...] = TINY, **environ: str) -> Answer:
        """Run a command in a process of its own and wait."""
        process = self.start(*words, sets=sets, **environ)
        out, err = process.communicate(timeout=300)
        return Answer(process.returncode, out, err)

    def add_run(self, run: str, bundle: tuple[Path, Path], *, passed: bool = True, promote: bool = True) -> Path:
        """Put a small bundle into the store as a complete run; its key is trusted."""
        self.key.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle[1], self.key.with_suffix(".pub"))
        evaluation = {"gates": [GATES[0] | {"passed": passed}], "passed": passed, "detection": {}}
        with self.store.create_run(run) as folder:
            shutil.copytree(bundle[0], folder / "models")
            (folder / "reports").mkdir()
            (folder / "reports" / "evaluation.json").write_text(json.dumps(evaluation))
            (folder / "reports" / "report.html").write_text("<html></html>")
            (folder / "params.yaml").write_text("seed: 1\n")
            (folder / "quarantine").mkdir()
            (folder / "quarantine" / "rejects.jsonl").write_text("")
            ingest = {"people": 5, "sources": [{"source": "5 synthetic people"}]}
            manifest = {
                "run": run,
                "finished": f"2026-01-01T00:00:0{len(self.store.runs())}.000Z",
                "stages": {"ingest": {"seconds": 1.0, "peak_rss_mb": 1.0, "summary": ingest}},
                "files": file_list(folder),
            }
            (folder / "manifest.json").write_text(json.dumps(manifest))
        if promote:
            self.store.promote(run, "test")
        return self.store.folder(run)

    def left(self) -> list[str]:
        """Return what a dead or failed command left half-written."""
        return [str(path) for path in self.folder.rglob(".*") if path.name.startswith((".tmp-", ".ingest"))]


def csv_of(path: Path, rows: list[str], head: str = "person,time,heart_rate") -> Path:
    """Write a small recording."""
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def day_of(person: str, days: int = 1, rate: int = 60) -> list[str]:
    """Return rows of one person, every 5 minutes."""
    return [
        f"{person},2026-01-{5 + row // 288:02d}T{row % 288 // 12:02d}:{row % 12 * 5:02d}:00Z,{rate + row % 7}"
        for row in range(288 * days)
    ]
