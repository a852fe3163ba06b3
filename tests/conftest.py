"""Shared fixtures: settings of the checkout, and the real recordings where a machine has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from presence import missing
from vitalwatch.settings import DATABASE_KEY, DATABASE_URL, Settings, load_settings

if TYPE_CHECKING:
    from postgres import Server
    from vitalwatch.monitor import Monitor

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
SERVING = (  # a circle of their own
    *("alerting", "api", "database", "ui"),
    *("test_alarming.py", "test_alike.py", "test_changes.py", "test_clearing.py", "test_closed.py", "test_devices.py"),
    *("test_discharged.py", "test_engine.py"),
    *(
        "test_guarding.py",
        "test_impossible_pairs.py",
        "test_meanwhile.py",
        "test_ordering.py",
        "test_production.py",
        "test_promotion.py",
    ),
    *("test_rehearsal.py", "test_replaying.py", "test_slow_ramps.py"),
    *("test_same_numbers.py", "test_system_alarms.py", "test_undelivered.py", "test_unit_swaps.py"),
)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).parts[0] in SERVING:
            item.add_marker(pytest.mark.serving)


@pytest.fixture(scope="session", autouse=True)
def no_database_of_a_developer() -> Iterator[None]:
    """No test may write into the database that the environment of whoever runs it names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (DATABASE_URL, DATABASE_KEY):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(ROOT, environment="base")


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("VITALWATCH_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        missing(f"no real recordings in {folder}; set VITALWATCH_REAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL server of this test process."""
    from postgres import binaries, running

    programs = binaries()
    if programs is None:
        missing("no PostgreSQL here; the wheel of requirements-dev.txt brings one")
        return
    with running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind; PostgreSQL among the slow tests, but for a few that take `both`."""
    return _empty(request, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, also in the fast circle."""
    return _empty(request, tmp_path)


def _empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ward.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of a small signed bundle, and the public key to trust."""
    from tiny import small_settings, write_tiny

    return write_tiny(tmp_path_factory.mktemp("tiny"), small_settings())


@pytest.fixture(scope="session")
def tiny_monitor(tiny_bundle: tuple[Path, Path]) -> Monitor:
    from vitalwatch.monitor import Monitor

    return Monitor.open(tiny_bundle[0], [tiny_bundle[1]])
