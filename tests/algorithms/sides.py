"""A toy with two modes that differ in where an image is bright, for critics that see no overall brightness."""

from __future__ import annotations

import torch
from torch import Tensor

from dermsynth.core.randomness import torch_generator

_LEVEL = 0.6


def sides(n: int, size_px: int, step: int = 0, *, seed: int = 0) -> Tensor:
    """Return n images, in turn with a bright left and a bright right half; stands in for `toy.two_modes`."""
    mode = torch.arange(n) % 2 * 2.0 - 1
    left = torch.where(torch.arange(size_px) < size_px // 2, _LEVEL, -_LEVEL)
    noise = torch.randn(n, 3, size_px, size_px, generator=torch_generator(seed, "sides", step)) * 0.05
    return (mode[:, None, None, None] * left + noise).contiguous(memory_format=torch.channels_last)


def leaning(images: Tensor) -> Tensor:
    """Return half the difference of the means of an image's left and right half, N: 0.6 or -0.6 in the data."""
    half = images.shape[-1] // 2
    means = images.float().unflatten(3, (2, half)).mean(dim=(1, 2, 4))
    return (means[:, 0] - means[:, 1]) / 2
