"""The table is walked once; what is unchanged is skipped, and it is said why."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from vitalwatch.errors import NotFound, StoreError, UsageError
from vitalwatch.pipeline import Stage, StageEvent, Work, code_hashes, run_pipeline, source_of
from vitalwatch.settings import Settings, load_settings
from vitalwatch.store import Store

ROOT = Path(__file__).parent.parent
UNCHANGED = "unchanged: same schema, params, code and input"


def ingest(work: Work) -> dict:
    work.out("data/readings.txt").write_text("60 61 62")
    work.progress(3, 3)
    return {"rows": np.int64(3)}


def train(work: Work) -> dict:
    mean = np.mean([float(word) for word in work.path("data/readings.txt").read_text().split()])
    trees = work.settings.params.detector.trees
    work.out("models/unusual/model.txt").write_text(f"{mean} {trees}")
    return {"trees": trees, "undefined": float("nan")}


def evaluate(work: Work) -> dict:
    work.out("reports/evaluation.txt").write_text(f"{(work.path('models') / 'unusual' / 'model.txt').read_text()} good")
    return {"f1": 0.5}


TABLE = (
    Stage("ingest", ingest, (), ("data/readings.txt",), ("ingest",)),
    Stage("train", train, ("data/readings.txt",), ("models",), ("detector", "schema")),
    Stage("evaluate", evaluate, ("models", "data/readings.txt"), ("reports/evaluation.txt",), ("evaluation",)),
)


@pytest.fixture
def package(tmp_path) -> Path:
    for name in ("train.py", "report.html", "notes.txt", "api/routes.py"):
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    return tmp_path / "package"


class Bench:
    """A store and a table, run again and again."""

    def __init__(self, folder: Path, settings: Settings, package: Path) -> None:
        self.store, self.settings, self.package = Store(folder / "artifacts"), settings, package
        self.events: list[StageEvent] = []

    def run(self, table=TABLE, source="source", sets: tuple[str, ...] = (), **choices):
        self.events = []
        settings = load_settings(ROOT, environment="base", overrides=sets) if sets else self.settings
        choices = {"source_hash": source, "on_event": self.events.append, "package": self.package, **choices}
        return run_pipeline(table, settings, self.store, **choices)

    def told(self, *kinds: str) -> list[tuple[str, str]]:
        return [(event.stage, event.reason) for event in self.events if event.kind in kinds]


@pytest.fixture
def bench(tmp_path, settings, package) -> Bench:
    return Bench(tmp_path, settings, package)


def test_the_first_run_leaves_one_complete_folder(bench):
    result = bench.run()

    assert result.new
    assert result.run == result.identity[:12]
    assert {path.relative_to(result.folder).as_posix() for path in result.folder.rglob("*") if path.is_file()} == {
        "data/readings.txt",
        "models/unusual/model.txt",
        "reports/evaluation.txt",
        "manifest.json",
        "params.yaml",
        "schema.yaml",
    }
    assert (result.folder / "reports/evaluation.txt").read_text() == "61.0 50 good"
    assert bench.store.problem(result.run) == ""
    assert bench.store.production() is None


def test_the_manifest_ties_the_run_to_its_code_params_and_data(bench):
    manifest = json.loads((bench.run().folder / "manifest.json").read_text())

    assert set(manifest["identity"]) == {"sha256", "schema", "params", "code", "input"}
    assert manifest["stages"]["ingest"]["summary"] == {"rows": 3}
    assert manifest["stages"]["train"]["summary"] == {"trees": 50, "undefined": None}
    assert all(stage["seconds"] >= 0 and stage["peak_rss_mb"] > 1 for stage in manifest["stages"].values())
    assert manifest["libraries"]["numpy"] == np.__version__
    assert manifest["started"] <= manifest["finished"]


def test_each_stage_tells_that_it_starts_goes_on_and_ends(bench):
    bench.run()

    kinds = [(event.stage, event.kind) for event in bench.events]
    assert kinds[:4] == [("ingest", "started"), ("ingest", "progress"), ("ingest", "finished"), ("train", "started")]
    assert (bench.events[1].done, bench.events[1].total) == (3, 3)
    assert bench.told("started")[0] == ("ingest", "first time")


def test_the_same_again_does_nothing_and_gives_the_same_run(bench):
    first, again = bench.run(), bench.run()

    assert not again.new
    assert (again.run, again.folder) == (first.run, first.folder)
    assert bench.told("skipped", "started") == [(name, UNCHANGED) for name in ("ingest", "train", "evaluate")]
    assert [stage.key for stage in again.stages] == [stage.key for stage in first.stages]


def test_a_lost_run_is_linked_again_from_the_cache(bench):
    import shutil

    first = bench.run()
    shutil.rmtree(first.folder)
    again = bench.run()

    assert again.run == first.run
    assert bench.told("started") == []
    assert bench.store.problem(again.run) == ""


def test_a_changed_parameter_reruns_what_uses_it_and_what_follows(bench):
    first = bench.run()
    second = bench.run(sets=("detector.trees=7",))

    assert bench.told("skipped") == [("ingest", UNCHANGED)]
    assert bench.told("started") == [("train", "changed: params (detector.trees)"), ("evaluate", "changed: input")]
    assert second.run != first.run
    assert (second.folder / "models/unusual/model.txt").read_text() == "61.0 7"
    assert (first.folder / "models/unusual/model.txt").read_text() == "61.0 50"


def test_changed_code_reruns_all_and_names_the_file(bench):
    bench.run()
    (bench.package / "train.py").write_text("2")
    bench.run()

    assert bench.told("started")[0] == ("ingest", "changed: code (train.py)")
    assert len(bench.told("started")) == 3


def test_a_changed_schema_source_or_seed_is_named(bench):
    bench.run()
    bench.run(source="other")
    assert bench.told("started")[0] == ("ingest", "changed: input")
    bench.run(source="other", sets=("seed=1",))
    assert bench.told("started")[0] == ("ingest", "changed: params (seed)")
    bench.run(source="other", sets=("seed=1", "schema.step=10min"))
    assert bench.told("started")[0] == ("ingest", "changed: schema")


def test_where_it_runs_does_not_count(bench, settings):
    first = bench.run()
    config = settings.config.model_copy(update={"jobs": 16})
    bench.settings = dataclasses.replace(settings, config=config)

    assert not bench.run().new
    assert bench.run().run == first.run


def test_shells_and_other_files_do_not_count(package):
    assert set(code_hashes(package)) == {"train.py", "report.html"}


def test_force_makes_another_run_and_leaves_the_first(bench):
    first = bench.run()
    forced = bench.run(force=True)

    assert forced.run == f"{first.run}-2"
    assert bench.told("started") == [(name, "asked for") for name in ("ingest", "train", "evaluate")]
    assert bench.store.problem(first.run) == ""


def test_from_a_stage_runs_it_and_all_after(bench):
    bench.run()
    bench.run(start="train")

    assert bench.told("skipped") == [("ingest", UNCHANGED)]
    assert bench.told("started") == [("train", "asked for"), ("evaluate", "asked for")]


def test_one_stage_alone_uses_the_cache_and_makes_no_run(bench):
    bench.run()
    result = bench.run(only="train")

    assert (result.run, [stage.name for stage in result.stages]) == (None, ["train"])
    assert (result.stages[0].folder / "models/unusual/model.txt").read_text() == "61.0 50"
    assert len(bench.store.runs()) == 1


def test_one_stage_alone_without_the_one_before_says_what_to_do(bench):
    with pytest.raises(NotFound, match=r"python main\.py ingest"):
        bench.run(only="train")


@pytest.mark.parametrize("choice", ["only", "start"])
def test_an_unknown_stage_is_wrong_use(choice, bench):
    with pytest.raises(UsageError, match="Known: ingest, train, evaluate"):
        bench.run(**{choice: "trian"})


def test_a_dry_run_says_what_would_run_and_writes_nothing(bench):
    bench.run(dry_run=True)
    assert bench.told("planned") == [("ingest", "first time"), ("train", "first time"), ("evaluate", "first time")]
    assert not bench.store.artifacts.exists()

    bench.run()
    bench.run(dry_run=True)
    assert {reason for _, reason in bench.told("planned", "skipped")} == {UNCHANGED}
    bench.run(dry_run=True, sets=("evaluation.draws=7",))
    assert bench.told("planned")[-1] == ("evaluate", "changed: params (evaluation.draws)")
    assert bench.told("planned")[0] == ("ingest", UNCHANGED)


def test_a_damaged_cache_is_noticed_and_made_again(bench):
    first = bench.run()
    (first.stages[0].folder / "data/readings.txt").write_text("90 91 92")
    second = bench.run(sets=("detector.trees=7",))

    assert bench.told("started")[0] == (
        "ingest",
        "its cached result is damaged: data/readings.txt is not what was written",
    )
    assert (second.folder / "models/unusual/model.txt").read_text() == "61.0 7"


def test_a_rebuilt_result_that_differs_is_read_again(bench):
    bench.run()
    table = (dataclasses.replace(TABLE[0], run=ingest_differently), *TABLE[1:])
    bench.run(table, only="ingest")
    second = bench.run(table, start="evaluate")

    assert ("train", "changed: an earlier stage gave another result") in bench.told("started")
    assert (second.folder / "models/unusual/model.txt").read_text() == "71.0 50"


def ingest_differently(work: Work) -> dict:
    work.out("data/readings.txt").write_text("70 71 72")
    return {}


def test_a_stage_that_fails_leaves_the_earlier_ones_in_the_cache_and_no_run(bench):
    table = (*TABLE[:2], dataclasses.replace(TABLE[2], run=fail))
    with pytest.raises(ZeroDivisionError):
        bench.run(table)

    assert bench.store.runs() == []
    assert list(bench.store.artifacts.rglob(".tmp-*")) == []
    bench.run()
    assert bench.told("started") == [("evaluate", "first time")]


def fail(work: Work) -> dict:
    work.out("reports/evaluation.txt").write_text("half")
    return {"rate": 1 / 0}


def test_sigterm_unwinds_and_leaves_nothing_half_written(bench):
    def stop(work: Work) -> dict:
        work.out("reports/evaluation.txt").write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    with pytest.raises(SystemExit) as stopped:
        bench.run((*TABLE[:2], dataclasses.replace(TABLE[2], run=stop)))

    assert stopped.value.code == 143
    assert list(bench.store.artifacts.rglob(".tmp-*")) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_it_runs_in_a_thread_too(bench):
    results = []
    worker = threading.Thread(target=lambda: results.append(bench.run()))
    worker.start()
    worker.join()

    assert results[0].new


def test_two_pipelines_at_once_are_refused(bench):
    with bench.store.lock(), pytest.raises(StoreError, match="another run holds it"):
        bench.run()


@pytest.mark.parametrize(
    ("message", "stage"),
    [
        ("reads models, which no earlier", Stage("x", ingest, ("models",), ("x",))),
        ("writes data/readings.txt, as an earlier", Stage("x", ingest, (), ("data/readings.txt",))),
        ("uses trees, which is no block", Stage("x", ingest, (), ("x",), ("trees",))),
        ("same name", Stage("ingest", ingest, (), ("x",))),
        ("did not write y", Stage("x", lambda work: {}, (), ("y",))),
        ("which it does not declare", Stage("x", lambda work: {"n": work.out("z").write_text("")}, (), ())),
        ("not among the stage's reads", Stage("x", lambda work: {"n": work.path("data/readings.txt")}, (), ())),
    ],
)
def test_a_mistake_in_the_table_is_named(message, stage, bench):
    with pytest.raises(ValueError, match=message):
        bench.run((TABLE[0], stage))


def test_a_source_is_named_by_its_content_and_not_its_place(tmp_path):
    for place, text in (("a", "60"), ("b", "60"), ("c", "61")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "readings.csv").write_text(text)

    same, moved, other = (source_of([tmp_path / place]) for place in "abc")
    assert same == moved != other
    assert source_of([], {"seed": 1}) != source_of([], {"seed": 2})
