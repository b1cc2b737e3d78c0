"""The scores on validation that choose among the states or candidates of a classifier."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dermsynth.metrics.scores import balanced_accuracy, macro_auc

Line = dict[str, float | int]
"""What is known of a scored state: `images_seen`, scores on val, and what was chosen or lost on the way there."""


def scores(
    choose_by: Literal["balanced_accuracy", "macro_auc"], labels: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> Line:
    """Return `val_balanced_accuracy`, and `val_macro_auc` where it chooses.

    Args:
        choose_by: The score that chooses.
        labels: int64 (N,).
        probabilities: N x C.
    """
    found: Line = {
        "val_balanced_accuracy": balanced_accuracy(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    }
    if choose_by == "macro_auc":
        found["val_macro_auc"] = macro_auc(labels, probabilities.astype(np.float64))
    return found
