"""Losses, among them three that answer unequal classes. Each is a pure function of scores and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Balance = Literal["none", "weighted", "focal", "logit-adjusted"]
"""What a loss does about unequal classes."""
Loss = Callable[["Tensor", "Tensor"], "Tensor"]
"""(scores N x C, labels N or shares of the classes N x C) -> the mean over the images."""
FOCAL_GAMMA = 2.0
"""The best of Lin et al. 2017 (arXiv:1708.02002), table 1b."""
TEMPERING = 1.0
"""Tau of the logit adjustment: with 1, the smallest loss is that of the best balanced accuracy (Menon et al. 2021)."""


def loss_of(
    balance: Balance, train_counts: Mapping[str, int], label_smoothing: float, device: str | torch.device = "cpu"
) -> Loss:
    """Return the loss of a training set.

    Args:
        balance: `none`: cross entropy; `weighted`: each class weighted by the inverse of its size; `focal`; and
            `logit-adjusted`.
        train_counts: Images of each class in an epoch, in the order of classes.
        label_smoothing: Share of every label that is spread over all classes (Szegedy et al. 2016, section 7).
        device: Of the scores.

    Raises:
        InputError: the loss divides by the size of each class, and a class is empty.
    """
    import torch

    counts = np.array(list(train_counts.values()), dtype=np.int64)
    if balance in ("weighted", "logit-adjusted"):
        empty = [name for name, count in train_counts.items() if not count]
        if empty:
            raise InputError(
                f"class '{empty[0]}' has no image in train, so a {balance} loss has no weight for it; "
                "split the cohort again, or choose the arm real or oversampled"
            )
    if balance == "weighted":
        weights = torch.from_numpy(class_weights(counts)).float().to(device)
        return lambda scores, labels: weighted_cross_entropy(scores, labels, weights, label_smoothing)
    if balance == "focal":
        return lambda scores, labels: focal(scores, labels, FOCAL_GAMMA, label_smoothing)
    if balance == "logit-adjusted":
        shift = torch.from_numpy(TEMPERING * np.log(counts / counts.sum())).float().to(device)
        return lambda scores, labels: cross_entropy(scores + shift, labels, label_smoothing)
    return lambda scores, labels: cross_entropy(scores, labels, label_smoothing)


def class_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's weight, N / (C n_c): every class weighs the same, and an image 1 on average."""
    return np.asarray(counts.sum() / (len(counts) * counts), dtype=np.float64)


def cross_entropy(scores: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross entropy of scores N x C to labels (N), or to shares of the classes (N x C)."""
    import torch.nn.functional as F

    return F.cross_entropy(scores, labels, label_smoothing=label_smoothing)


def weighted_cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean over images of their cross entropy times the weight of their class.

    The sum is divided by the number of images. torch's mean divides by the sum of the batch's weights, so that an image
    would count for less the rarer its neighbours in the batch are.
    """
    import torch.nn.functional as F

    return F.cross_entropy(scores, labels, weights, reduction="none", label_smoothing=label_smoothing).mean()


def focal(scores: Tensor, labels: Tensor, gamma: float, label_smoothing: float = 0.0) -> Tensor:
    """Return the focal loss, the mean of -(1 - p)^gamma log p (Lin et al. 2017, arXiv:1708.02002, equation 4).

    Images that are already right hardly count; 0 makes it the cross entropy. Where labels are shares, each class's term
    has its share.
    """
    import torch.nn.functional as F

    shares = (labels if labels.ndim == 2 else F.one_hot(labels, scores.shape[1])).to(scores.dtype)
    shares = (1 - label_smoothing) * shares + label_smoothing / scores.shape[1]
    log_p = F.log_softmax(scores, dim=1)
    # 1 - p from the logarithm: the difference itself would round to 0 in float32 and has no slope there.
    missing = -log_p.expm1()
    return -(shares * missing.clamp(min=1e-12) ** gamma * log_p).sum(dim=1).mean()
