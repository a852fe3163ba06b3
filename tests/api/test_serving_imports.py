"""What answers requests is small: nothing that only training, the page, a cluster or a provider needs is imported."""

from __future__ import annotations

import subprocess
import sys

from tiny import ROOT

HEAVY = (
    "pandas",
    "sklearn",
    "keras",
    "jax",
    "lightgbm",
    "scipy",
    "pyspark",
    "streamlit",
    "matplotlib",
    "joblib",
    "onnx",
    "alembic",
    "httpx",
    "jwt",
)


def test_the_serving_process_imports_nothing_that_only_others_or_a_provider_need():
    ask = f"import sys, app; print([name for name in {HEAVY!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    assert "[]" == told.stdout.strip()
