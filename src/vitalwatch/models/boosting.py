"""What all boosted trees here have in common, whatever they learn: the same seed gives the same trees."""

from __future__ import annotations

from typing import Any


def steady(seed: int, threads: int) -> dict[str, Any]:
    """Return LightGBM's options for training that can be repeated, in silence.

    Args:
        seed: For the rows and columns that a tree sees.
        threads: Cores to use; their number changes no tree.
    """
    return {
        "bagging_freq": 1,
        "num_threads": threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
