"""Channel B: boosted trees on labelled episodes; one head says how likely an episode is, one names its kind.

Regularised so that it learns kinds and not people: a third of the columns a tree, strong L2, large leaves, and rows
weighted so that a long episode counts as much as a short one (figures in docs/decisions.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import params
from vitalwatch.export import boosted_to_onnx
from vitalwatch.tables import Floats

NAME = "episodes"
MOST_KIND_ROWS = 20_000


def fit(x: Floats, episode: NDArray[np.int64], chosen: params.Supervised, seed: int, threads: int) -> bytes:
    """Train the head that says how likely a row belongs to an episode; return it as ONNX.

    Args:
        x: Assessable rows of training people, `features.NAMES` columns, float32 (n, f).
        episode: Number of the episode a row is in, -1 for none, (n,).
        chosen: Hyperparameters.
        seed: For normal rows drawn and LightGBM.
        threads: Cores to use.
    """
    rows, weight = _rows(episode, chosen.normal_rows_per_episode_row, seed)
    options = {**_options(chosen, seed, threads), "objective": "binary"}
    used = x if len(rows) == len(x) else x[rows]  # a copy of everything would cost as much memory again
    return boosted_to_onnx(_train(used, episode[rows] >= 0, weight, options, chosen.rounds), x.shape[1])


def fit_kinds(
    x: Floats,
    episode: NDArray[np.int64],
    kind: NDArray[np.int64],
    kinds: int,
    chosen: params.Supervised,
    seed: int,
    threads: int,
) -> bytes | None:
    """Train the head that names the kind, on rows of episodes only; None with fewer than two kinds.

    Args:
        x: As in `fit`.
        episode: As in `fit`.
        kind: Index of the kind of a row's episode, -1 for none, (n,).
        kinds: How many kinds there are.
        chosen: Hyperparameters.
        seed: For LightGBM.
        threads: Cores to use.
    """
    if kinds < 2:
        return None
    rows = np.flatnonzero(episode >= 0)
    rows = rows[:: max(len(rows) // MOST_KIND_ROWS, 1)]  # neighbours say the same: every few rows are enough
    weight = _episode_weight(episode[rows])
    by_kind = np.bincount(kind[rows], weights=weight, minlength=kinds)
    weight *= (weight.sum() / kinds / np.maximum(by_kind, 1e-9))[kind[rows]]
    options = {**_options(chosen, seed, threads), "objective": "multiclass", "num_class": kinds}
    return boosted_to_onnx(_train(x[rows], kind[rows], weight, options, chosen.kind_rounds), x.shape[1])


def _rows(episode: NDArray[np.int64], ratio: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows to train on, all of episodes and a draw of the others, and their weights."""
    inside, outside = np.flatnonzero(episode >= 0), np.flatnonzero(episode < 0)
    most = min(len(outside), int(ratio * len(inside)))
    drawn = np.random.default_rng([seed, len(episode)]).choice(outside, most, replace=False)
    rows = np.sort(np.concatenate((inside, drawn)))
    weight = np.ones(len(rows))
    positive = episode[rows] >= 0
    weight[positive] = _episode_weight(episode[rows][positive])
    weight[~positive] = len(outside) / max(most, 1)
    weight[positive] *= len(inside) / max(weight[positive].sum(), 1e-9)
    return rows, weight


def _episode_weight(episode: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights that fall with the root of an episode's length, (n,)."""
    _, number, length = np.unique(episode, return_inverse=True, return_counts=True)
    return 1.0 / np.sqrt(length[number].astype(np.float64))


def _train(x: Floats, y: NDArray[Any], weight: NDArray[np.float64], options: dict[str, Any], rounds: int) -> Any:
    import lightgbm

    return lightgbm.train(options, lightgbm.Dataset(x, y.astype(np.float32), weight=weight), rounds)


def _options(chosen: params.Supervised, seed: int, threads: int) -> dict[str, Any]:
    return {
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.leaves,
        "min_data_in_leaf": chosen.min_rows_a_leaf,
        "feature_fraction": chosen.columns_a_tree,
        "lambda_l2": chosen.l2,
        "bagging_fraction": 0.6,
        "bagging_freq": 1,
        "max_bin": 63,
        "num_threads": threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
