"""Shared fixtures: settings of the checkout, and the real recordings where a machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitalwatch.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent


def missing(reason: str) -> None:
    """Skip with the reason; under CI a missing part is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have this: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(ROOT, environment="base")


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("VITALWATCH_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        missing(f"no real recordings in {folder}; set VITALWATCH_REAL_DATA to their folder")
    return folder
