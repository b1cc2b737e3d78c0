"""Several processes that train one network together, each on its share of every batch.

Gradients of the bare networks are summed up by one all-reduce after each phase's backward. Wrapping networks in
DistributedDataParallel instead would be silently wrong for losses with a gradient penalty: the penalty's second
backward bypasses its hooks, and every process would keep gradients of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Processes:
    """Which of how many processes this is, and what they do together. With one process everything here is free."""

    def __init__(self, fabric: Fabric) -> None:
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self._device = fabric.device

    @property
    def is_first(self) -> bool:
        """Return whether this process writes the files."""
        return self.rank == 0

    def shares(self, batch_size: int, accumulate: int) -> list[slice]:
        """Return the rows of a batch that this process computes, in `accumulate` parts.

        Raises:
            ConfigError: the batch cannot be divided evenly.
        """
        parts = self.count * accumulate
        if batch_size % parts:
            raise ConfigError(
                f"batch_size {batch_size} cannot be divided by {parts} (processes x accumulate); "
                f"choose {batch_size // parts * parts or parts} or {(batch_size // parts + 1) * parts}"
            )
        size = batch_size // parts
        first = self.rank * accumulate
        return [slice((first + part) * size, (first + part + 1) * size) for part in range(accumulate)]

    def mean(self, value: Tensor) -> Tensor:
        """Return the average of a tensor over all processes."""
        if self.count == 1:
            return value
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
        return value / self.count

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every process the average gradient; all processes have gradients for the same parameters."""
        if self.count == 1:
            return
        gradients: Sequence[Tensor] = [p.grad for p in parameters if p.grad is not None]
        if gradients:
            together = torch.cat([gradient.reshape(-1) for gradient in gradients])
            torch.distributed.all_reduce(together)
            together /= self.count
            averages = torch.split(together, [gradient.numel() for gradient in gradients])
            for gradient, average in zip(gradients, averages, strict=True):
                gradient.copy_(average.view(gradient.shape))

    def agree(self, wish: bool) -> bool:
        """Return whether any process wishes it, the same answer in all of them."""
        if self.count == 1:
            return wish
        told = torch.tensor([float(wish)], device=self._device)
        torch.distributed.all_reduce(told)
        return bool(told.item())

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()
