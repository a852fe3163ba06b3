"""Runs are folders, production is a pointer, and nothing half-written is ever seen."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import multiprocessing
import os
import signal
import subprocess
from pathlib import Path

import pytest

from vitalwatch.errors import NotFound, StoreError
from vitalwatch.store import Store, difference, file_list, link_tree, sweep, temporary, write_atomic

NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "artifacts", now=lambda: NOON, who="ward@laptop")


def make_run(store: Store, run: str, text: str = "weights") -> Path:
    with store.create_run(run) as folder:
        (folder / "model.onnx").write_text(f"{text} of {run}")
        manifest = {"run": run, "finished": f"2026-01-05T12:00:00.{run[-1]:0>3}Z", "files": file_list(folder)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return store.folder(run)


def test_opening_a_store_touches_nothing(store, tmp_path):
    assert store.production() is None
    assert store.history() == store.runs() == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_seen_when_it_is_complete_and_not_before(store):
    with store.create_run("run1") as folder:
        (folder / "manifest.json").write_text("{}")
        assert store.runs() == []

    assert [run.id for run in store.runs()] == ["run1"]


def test_a_complete_folder_is_moved_and_not_copied(store):
    with store.create_run("run1") as folder:
        before = folder.stat().st_ino

    assert store.folder("run1").stat().st_ino == before


def test_a_run_that_fails_leaves_nothing(store):
    with pytest.raises(KeyboardInterrupt), store.create_run("run1") as folder:
        interrupted_while_writing(folder)

    assert list(store.runs_folder.iterdir()) == []


def interrupted_while_writing(folder: Path) -> None:
    (folder / "half").write_text("half")
    raise KeyboardInterrupt


def test_a_run_that_stands_is_not_written_over(store):
    make_run(store, "run1")

    with pytest.raises(StoreError, match="is there already"):
        make_run(store, "run1", "other")
    assert (store.folder("run1") / "model.onnx").read_text() == "weights of run1"


def test_runs_are_listed_newest_first_and_the_live_one_is_marked(store):
    for run in ("run1", "run2", "run3"):
        make_run(store, run)
    store.promote("run2", "better")

    assert [(run.id, run.live) for run in store.runs()] == [("run3", False), ("run2", True), ("run1", False)]


@pytest.mark.parametrize("name", ["", "nowhere", "../runs/run1", ".", "..", "run1/../run1", ".tmp-run1-1-1"])
def test_only_a_plain_known_name_is_a_run(name, store):
    make_run(store, "run1")

    with pytest.raises(NotFound):
        store.folder(name)


def test_promoting_and_rolling_back_walk_up_and_down_the_same_stairs(store):
    for run in ("run1", "run2", "run3"):
        make_run(store, run)
        store.promote(run, "better")
    lived = [store.production()]
    for _ in range(2):
        store.rollback("worse on the ward")
        lived.append(store.production())
    store.promote("run3", "mended")
    store.rollback("not mended")

    assert lived == ["run3", "run2", "run1"]
    assert store.production() == "run1"
    with pytest.raises(NotFound, match="earlier good run"):
        store.rollback("further")


def test_every_change_is_a_line_that_says_who_what_when_and_why(store):
    make_run(store, "run1")
    make_run(store, "run2")
    store.promote("run1", "first")
    store.refuse("run2", "event F1 0.31 below 0.40")

    lines = [json.loads(line) for line in store.book.read_text().splitlines()]
    common = {"at": "2026-01-05T12:00:00.000Z", "who": "ward@laptop"}
    assert lines == [
        {"n": 1, "what": "promoted", "run": "run1", "previous": None, "why": "first", **common},
        {"n": 2, "what": "refused", "run": "run2", "previous": "run1", "why": "event F1 0.31 below 0.40", **common},
    ]
    assert store.production() == "run1"


def test_promoting_what_is_live_changes_nothing(store):
    make_run(store, "run1")
    store.promote("run1", "first")

    assert store.promote("run1", "again") is None
    assert len(store.history()) == 1


def test_a_run_judged_against_a_champion_that_went_is_not_promoted(store):
    for run in ("run1", "run2", "run3"):
        make_run(store, run)
    store.promote("run1", "first", champion=None)
    store.promote("run2", "better", champion="run1")

    with pytest.raises(StoreError, match="production moved from run1 to run2"):
        store.promote("run3", "better", champion="run1")
    assert store.production() == "run2"


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest"])
def test_a_damaged_run_is_neither_promoted_nor_rolled_back_to(damage, store):
    for run in ("run1", "run2", "run3"):
        make_run(store, run)
    store.promote("run1", "first")
    store.promote("run2", "better")
    store.promote("run3", "better")
    broken = store.folder("run2")
    if damage == "changed":
        (broken / "model.onnx").write_text("weightz of run2")
    elif damage == "missing":
        (broken / "model.onnx").unlink()
    else:
        (broken / "manifest.json").write_text("{")

    with pytest.raises(StoreError):
        store.promote("run2", "try")
    assert store.rollback("worse").run == "run1"
    assert store.production() == "run1"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run": "gone", "manifest_sha256": "0"}'])
def test_a_damaged_pointer_is_told_and_rolling_back_mends_it(content, store):
    for run in ("run1", "run2"):
        make_run(store, run)
        store.promote(run, "better")
    store.pointer.write_text(content)

    with pytest.raises(StoreError, match="rollback"):
        store.production()
    store.rollback("pointer damaged")
    assert store.production() == "run1"


def test_a_manifest_changed_after_promotion_is_noticed(store):
    folder = make_run(store, "run1")
    store.promote("run1", "first")
    (folder / "manifest.json").write_text("{}")

    with pytest.raises(StoreError, match="has changed since"):
        store.production()


@pytest.mark.parametrize("torn", [b'{"n": 3, "at": "20', b"\x00\xff", b"{}"])
def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next_change(torn, store):
    for run in ("run1", "run2", "run3"):
        make_run(store, run)
    store.promote("run1", "first")
    store.promote("run2", "better")
    with store.book.open("ab") as file:
        file.write(torn)

    assert [change.run for change in store.history()] == ["run1", "run2"]
    store.promote("run3", "better")
    assert [json.loads(line)["n"] for line in store.book.read_text().splitlines()] == [1, 2, 3]


def test_a_last_line_without_its_end_is_kept(store):
    for run in ("run1", "run2"):
        make_run(store, run)
    store.promote("run1", "first")
    store.book.write_bytes(store.book.read_bytes().rstrip(b"\n"))
    store.promote("run2", "better")

    assert [json.loads(line)["run"] for line in store.book.read_text().splitlines()] == ["run1", "run2"]


def test_a_lost_history_is_begun_again_from_the_pointer(store):
    for run in ("run1", "run2"):
        make_run(store, run)
        store.promote(run, "better")
    store.book.unlink()

    assert [(change.n, change.run) for change in store.history()] == [(2, "run2")]


def test_a_second_run_is_refused_and_told_who_holds_the_store(store):
    with (
        store.lock(),
        pytest.raises(StoreError, match=rf"another run holds it \(pid {os.getpid()}, since 2026-01-05T12:00:00"),
        store.lock(),
    ):
        pytest.fail("two runs at once")
    with store.lock():
        pass


def test_a_worker_that_outlives_a_killed_run_does_not_hold_the_store(store):
    reader, writer = os.pipe()
    run = os.fork()
    if run == 0:
        with store.lock():
            if os.fork() == 0:
                os.close(writer)
                os.read(reader, 1)  # lives until the test lets go
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(reader)
    os.waitpid(run, 0)

    with store.lock(wait=5.0):
        pass
    os.close(writer)


def test_rolling_back_does_not_wait_for_a_run(store):
    for run in ("run1", "run2"):
        make_run(store, run)
        store.promote(run, "better")
    with store.lock():
        store.rollback("at once")

    assert store.production() == "run1"


def test_eight_processes_promote_at_once_and_no_line_is_lost(store):
    runs = [f"run{n}" for n in range(1, 9)]
    for run in runs:
        make_run(store, run)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=promote_often, args=(store, runs[n:] + runs[:n])) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    changes = [json.loads(line) for line in store.book.read_text().splitlines()]
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert [change["n"] for change in changes] == list(range(1, len(changes) + 1))
    assert [change["previous"] for change in changes] == [None, *(change["run"] for change in changes[:-1])]
    assert store.production() == changes[-1]["run"]


def promote_often(store: Store, runs: list[str]) -> None:
    done = [store.promote(run, f"by {os.getpid()}") for run in runs]
    lines = store.book.read_text()
    assert all(f'"n": {change.n},' in lines for change in done if change is not None)


def test_leftovers_of_the_dead_are_swept_and_the_work_of_the_living_stays(store):
    dead = subprocess.Popen(["true"])
    dead.wait()
    mine = temporary("run1")
    names = [f".tmp-run2-{dead.pid}-12345", f".tmp-run3-{os.getpid()}-1", mine, ".tmp-of another program", "run4"]
    for name in names:
        (store.runs_folder / name).mkdir(parents=True)
    with store.lock():
        pass

    assert sorted(path.name for path in store.runs_folder.iterdir()) == sorted(names[2:])


def test_leftover_files_are_swept_too(tmp_path):
    (tmp_path / f".tmp-production.json-{os.getpid()}-1").write_text("{")

    sweep(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_tree_is_linked_and_not_copied(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x").write_text("x")
    link_tree(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "b" / "deep" / "x").stat().st_ino == (tmp_path / "a" / "deep" / "x").stat().st_ino


def test_a_difference_is_named(tmp_path):
    (tmp_path / "x").write_text("x")
    told = file_list(tmp_path)

    assert difference(tmp_path, told) == ""
    (tmp_path / "x").write_text("y")
    assert difference(tmp_path, told) == "x is not what was written"


def test_a_store_under_a_file_is_refused_with_the_next_step(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "artifacts")

    with pytest.raises(StoreError, match=r"a file stands where a folder is needed.*config\.artifacts"), store.lock():
        pytest.fail("it cannot be held")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB; only root can mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_production_as_it_was(small_disk):
    store = Store(small_disk / "artifacts", now=lambda: NOON)
    make_run(store, "run1")
    make_run(store, "run2")
    store.promote("run1", "first")
    with pytest.raises(StoreError, match="the disk is full"), store.create_run("run3") as folder:
        (folder / "model.onnx").write_bytes(b"x" * 300_000)
    fill(small_disk)

    with pytest.raises(StoreError, match="the disk is full"):
        store.promote("run2", "better")
    with pytest.raises(StoreError, match="the disk is full"):
        write_atomic(store.pointer, b"{}" * 9000)
    assert store.production() == "run1"
    assert [path.name for path in store.artifacts.rglob(".tmp-*")] == []
    assert [change.run for change in store.history()] == ["run1"]


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_read_only_disk_is_told_and_still_serves(small_disk):
    store = Store(small_disk / "artifacts", now=lambda: NOON)
    for run in ("run1", "run2"):
        make_run(store, run)
    store.promote("run1", "first")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(StoreError, match="read-only"):
        store.promote("run2", "better")
    with pytest.raises(StoreError, match="read-only"):
        make_run(store, "run3")
    assert store.production() == "run1"
    assert [run.id for run in store.runs()] == ["run2", "run1"]
