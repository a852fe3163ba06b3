"""What a test needs and a machine may lack."""

from __future__ import annotations

import os

import pytest


def missing(reason: str) -> None:
    """Skip with the reason; under CI a missing part is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have this: {reason}")
    pytest.skip(reason)
