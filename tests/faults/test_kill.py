"""kill -9 at every named place, and at any moment: production is the old or the new run, whole and loadable."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitalwatch import bundle
from vitalwatch.bundle import SigningKey
from vitalwatch.pipeline import Stage, Work, run_pipeline
from vitalwatch.settings import Settings
from vitalwatch.store import Store, difference

CHILD = multiprocessing.get_context("fork")
PLACES = [
    "before-rename-stage.json",
    "bundle-before-rename",
    "bundle-after-rename",
    "stage-before-rename",
    "stage-after-rename",
    "before-rename-manifest.json",
    "run-before-rename",
    "run-after-rename",
    "before-pointer",
    "before-rename-production.json",
    "after-pointer",
    "before-history",
    "torn-history",
    "after-history",
]
MOVED = ("after-pointer", "before-history", "torn-history", "after-history")


def ingest(work: Work) -> dict:
    work.out("data/readings.txt").write_text("60 61 62")
    return {"rows": 3}


def train(work: Work) -> dict:
    weights = bytes([8, work.settings.params.detector.trees]) * 2000
    key = SigningKey.load_or_create(work.settings.root / "keys" / "signing.key", {})
    bundle.write(work.out("models/bundle"), {"model.onnx": weights}, {"features": ["heart_rate"]}, {}, key)
    return {}


TABLE = (
    Stage("ingest", ingest, (), ("data/readings.txt",), ("ingest",)),
    Stage("train", train, ("data/readings.txt",), ("models",), ("detector",)),
)


class Ward:
    """A folder in which run after run is trained and promoted."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.store = folder, Store(folder / "artifacts")
        self.settings = replace(settings, root=folder)

    def train(self, trees: int) -> str:
        """Train with so many trees and promote."""
        params = self.settings.params
        detector = params.detector.model_copy(update={"trees": trees})
        settings = replace(self.settings, params=params.model_copy(update={"detector": detector}))
        run = run_pipeline(TABLE, settings, self.store, source_hash="s", package=self.folder / "package").run
        assert run is not None
        self.store.promote(run, f"{trees} trees")
        return run

    def train_and_die(self, trees: int, place: str) -> int | None:
        """Train in a child that is killed at a place; return its exit code."""
        child = CHILD.Process(target=self._child, args=(trees, place))
        child.start()
        child.join()
        return child.exitcode

    def _child(self, trees: int, place: str) -> None:
        os.environ["VITALWATCH_FAILPOINT"] = place
        self.train(trees)

    def trees_in_production(self) -> int:
        """Load what is in production and return its number of trees."""
        run = self.store.production()
        assert run is not None
        assert self.store.problem(run) == ""
        seal = self.store.seal(run, "models/bundle/manifest.json")
        loaded = bundle.load(
            self.store.folder(run) / "models" / "bundle", [self.folder / "keys" / "signing.pub"], seal=seal
        )
        return loaded.files["model.onnx"][1]

    def torn(self) -> list[str]:
        """Return what a reader could take for whole and is not."""
        found = [f"run {run.id}" for run in self.store.runs() if self.store.problem(run.id)]
        for place in self.store.cache.glob("*/[!.]*"):
            record = json.loads((place / "stage.json").read_text())
            found += [f"{place.name}: {wrong}" for wrong in [difference(place / "files", record["files"])] if wrong]
        return found

    def leftovers(self) -> list[str]:
        return [path.name for path in self.store.artifacts.rglob(".tmp-*")]


@pytest.fixture
def ward(tmp_path, settings) -> Ward:
    ward = Ward(tmp_path, settings)
    ward.train(50)
    return ward


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_a_named_place_production_is_whole_and_the_next_run_mends_the_rest(place, ward):
    assert ward.train_and_die(7, place) == -9

    assert ward.trees_in_production() == (7 if place in MOVED else 50)
    assert ward.torn() == []
    assert ward.store.history()[-1].run == ward.store.production()

    run = ward.train(8)
    changes = [json.loads(line) for line in ward.store.book.read_text().splitlines()]
    assert ward.trees_in_production() == 8
    assert ward.leftovers() == []
    assert [change["why"] for change in changes] == ["50 trees", *(["7 trees"] if place in MOVED else []), "8 trees"]
    assert [change["n"] for change in changes] == list(range(1, len(changes) + 1))
    assert changes[-1]["run"] == run


@pytest.mark.parametrize("place", ["before-pointer", "after-pointer", "torn-history"])
def test_killed_while_rolling_back_production_is_whole(place, ward):
    ward.train(7)

    def roll_back() -> None:
        os.environ["VITALWATCH_FAILPOINT"] = place
        ward.store.rollback("worse")

    child = CHILD.Process(target=roll_back)
    child.start()
    child.join()

    assert child.exitcode == -9
    assert ward.trees_in_production() == (7 if place == "before-pointer" else 50)
    ward.train(8)
    assert ward.store.rollback("worse").run == ward.store.history()[-2].previous


def test_without_a_failpoint_the_child_lives(ward):
    assert ward.train_and_die(7, "nowhere") == 0
    assert ward.trees_in_production() == 7


def test_twenty_kills_at_any_moment_tear_nothing(ward):
    kill_at_random(ward, 20)


@pytest.mark.slow
def test_two_hundred_kills_at_any_moment_tear_nothing(ward):
    kill_at_random(ward, 200)


def kill_at_random(ward: Ward, times: int) -> None:
    rng, seconds = np.random.default_rng(times), time_of_one(ward)
    for n in range(times):
        before = ward.trees_in_production()
        after = 9 + n
        child = CHILD.Process(target=ward.train, args=(after,))
        child.start()
        time.sleep(rng.uniform(0, 1.2 * seconds))
        child.kill()
        child.join()

        assert ward.trees_in_production() in (before, after)
        assert ward.torn() == []
        assert ward.store.history()[-1].run == ward.store.production()
    ward.train(8)
    numbers = [json.loads(line)["n"] for line in ward.store.book.read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert ward.leftovers() == []


def time_of_one(ward: Ward) -> float:
    """Return the seconds that a child needs for one run."""
    clock = time.perf_counter()
    assert ward.train_and_die(3, "nowhere") == 0
    return time.perf_counter() - clock


def test_a_run_deleted_by_hand_is_told_and_rolling_back_finds_the_last_good_one(ward):
    ward.train(7)
    run = ward.store.production()
    shutil.rmtree(ward.store.folder(str(run)))

    with pytest.raises(Exception, match="which is gone"):
        ward.store.production()
    ward.store.rollback("deleted by hand")
    assert ward.trees_in_production() == 50
