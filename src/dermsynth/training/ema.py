"""The exponential moving average of a network's weights: what is sampled, since it varies less than the last step."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

_WARM_UP_SHARE = 0.1
"""The average reaches back over at most this share of what was trained, or the first steps would linger in it."""


class Average(Generic[Network]):
    """The moving average of a network, with a half-life in thousands of images.

    Weights and float buffers (batch-norm statistics) are averaged; counters are copied.
    """

    def __init__(self, network: Network, halflife_kimg: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._halflife_kimg = halflife_kimg
        self._average, self._live = _floats(self.network), _floats(network)
        self._copies, self._counters = _others(self.network), _others(network)

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Move towards the live network after a step that brought the run to `images_seen`."""
        halflife = min(self._halflife_kimg * 1000, images_seen * _WARM_UP_SHARE)
        torch._foreach_lerp_(self._average, self._live, 1 - 0.5 ** (batch_size / halflife))
        if self._copies:
            torch._foreach_copy_(self._copies, self._counters)


def _floats(network: nn.Module) -> list[Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]


def _others(network: nn.Module) -> list[Tensor]:
    return [buffer for buffer in network.buffers() if not buffer.is_floating_point()]
