"""A place for commands, empty or with one run in production."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_world import Place


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


@pytest.fixture
def served(place: Place, tiny_bundle: tuple[Path, Path]) -> Place:
    """One run, `first`, in production."""
    place.add_run("first", tiny_bundle)
    return place
