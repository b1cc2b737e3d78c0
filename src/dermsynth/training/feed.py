"""Which rows a step sees, and how they reach the device. Every choice is a function of the step: nothing to save."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.randomness import numpy_generator

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

    from dermsynth.cohorts.stack import ImageStack

Rows = NDArray[np.int64]
Draw = Callable[[int], Rows]
"""The rows of a step's batch, as a function of the step's number (from 0)."""
_WHOLE = slice(None)
_AT_ONCE = 1024


def in_epochs(rows: Rows, batch_size: int, seed: int) -> Draw:
    """Return a draw that shows every row once before any row twice, each time in a new order.

    Args:
        rows: The rows of the training set; a row may stand in it several times.
        batch_size: Rows of one batch; a batch may reach from one epoch into the next.
    """
    orders: dict[int, Rows] = {}

    def order(epoch: int) -> Rows:
        if epoch not in orders:
            while len(orders) > 1:  # a batch needs its own epoch and at most the next
                orders.pop(min(orders))
            orders[epoch] = numpy_generator(seed, "feed", epoch).permutation(rows)
        return orders[epoch]

    def draw(step: int) -> Rows:
        positions = np.arange(step * batch_size, (step + 1) * batch_size)
        epochs = positions // len(rows)
        parts = [order(int(epoch))[positions[epochs == epoch] % len(rows)] for epoch in np.unique(epochs)]
        return np.concatenate(parts)

    return draw


def by_class(labels: Rows, shares: NDArray[np.float64], batch_size: int, seed: int, purpose: str = "feed") -> Draw:
    """Return a draw that picks each row's class with these probabilities, then any row of the class.

    Args:
        labels: The class index of every row (N).
        shares: The probability of every class (K, sums to 1); zero for a class without rows.
        batch_size: Rows of one batch.
        purpose: Another purpose gives other draws.
    """
    members = [np.flatnonzero(labels == label) for label in range(len(shares))]
    sizes = np.array([len(rows) for rows in members])
    table: Rows = np.concatenate(members)
    first = np.cumsum(sizes) - sizes

    def draw(step: int) -> Rows:
        generator = numpy_generator(seed, purpose, step)
        classes = generator.choice(len(shares), size=batch_size, p=shares)
        offsets = (generator.random(batch_size) * sizes[classes]).astype(np.int64)
        return np.asarray(table[first[classes] + offsets])

    return draw


class Feed:
    """Batches of a training set on the device, addressed by step.

    On a GPU all pixels stay there as bytes if they take less than half of its free memory; otherwise, and on a CPU,
    they stay where they are, memory-mapped, and a batch at a time is read.
    """

    def __init__(self, images: ImageStack, labels: Rows, draw: Draw, fabric: Fabric) -> None:
        self._images, self._labels, self._draw, self._fabric = images, labels, draw, fabric
        self._resident = _on_gpu(images, fabric)

    def batch(self, step: int, share: slice = _WHOLE) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (float32 N x 3 x H x W in [-1, 1], channels last) and labels (int64 N) of a step.

        `share` picks some of the step's rows.
        """
        import torch

        from dermsynth.training.device import to_network

        rows = self._draw(step)[share]
        if self._resident is None:
            pixels = torch.from_numpy(self._images[rows])
        else:
            pixels = self._resident[torch.from_numpy(rows).to(self._fabric.device, non_blocking=True)]
        labels = torch.from_numpy(self._labels[rows]).to(self._fabric.device, non_blocking=True)
        return to_network(pixels, self._fabric), labels


def _on_gpu(images: ImageStack, fabric: Fabric) -> torch.Tensor | None:
    import torch

    if fabric.device.type != "cuda":
        return None
    free_bytes, _ = torch.cuda.mem_get_info(fabric.device)
    if math.prod(images.shape) > free_bytes / 2:
        return None
    resident = torch.empty(images.shape, dtype=torch.uint8, device=fabric.device)
    for first in range(0, len(images), _AT_ONCE):
        resident[first : first + _AT_ONCE] = torch.from_numpy(images[first : first + _AT_ONCE])
    return resident
