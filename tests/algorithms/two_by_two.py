"""A toy of two classes with two modes each, for methods that need classes: a class that lost a mode shows.

The class is whether images are blue, the mode whether they are red.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dermsynth.core.randomness import torch_generator

_LEVEL = 0.6


def two_by_two(labels: Tensor, size_px: int, step: int = 0, *, seed: int = 0) -> Tensor:
    """Return an image per label, in turn with and without red; stands in for `toy.coloured`."""
    mode = torch.arange(len(labels)) // 2 % 2
    colour = torch.stack([mode * 2.0 - 1, torch.zeros(len(labels)), labels * 2.0 - 1], dim=1) * _LEVEL
    colour += 0.2 * torch.randn(len(labels), 3, generator=torch_generator(seed, "two by two", step))
    images = colour[:, :, None, None].expand(-1, -1, size_px, size_px)
    return images.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Found:
    """The share of images of the colour of their class, and the smallest share of a mode in a class."""

    own_class: float
    rarest_mode: float


def found(images: Tensor, labels: Tensor) -> Found:
    """Return what images of two classes show; what lies between two modes counts for neither."""
    red, _, blue = images.float().mean(dim=(2, 3)).unbind(dim=1)
    own = (blue.sign() == labels * 2 - 1).float().mean().item()
    modes = [((red - level).abs() < 0.35)[labels == label] for level in (-_LEVEL, _LEVEL) for label in (0, 1)]
    return Found(own, min(share.float().mean().item() for share in modes))
