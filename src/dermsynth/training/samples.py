"""Images from a generator: grids of fixed noise while it trains."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dermsynth.algorithms.base import Algorithm
from dermsynth.core.artefacts import write_atomically
from dermsynth.core.randomness import torch_generator
from dermsynth.training.device import to_pixels

_COLUMNS = 8


@torch.no_grad()
def generate(generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
    """Return uint8 N x H x W x 3 for noise N x latent and labels N, in float32 arithmetic.

    float32, because an image must not depend on how many others were drawn beside it; the network is in eval mode.
    """
    return to_pixels(generator(noise, labels)).cpu()


def write_grid(path: Path, algorithm: Algorithm, generator: nn.Module, seed: int) -> None:
    """Write a PNG of the generator's images: a row per class, eight columns, the same noise in every row and grid."""
    device = next(generator.parameters()).device
    noise = torch.randn(
        _COLUMNS, algorithm.latent, generator=torch_generator(seed, "grid", device=device), device=device
    )
    labels = torch.arange(algorithm.classes, device=device).repeat_interleave(_COLUMNS)
    images = generate(generator, noise.repeat(algorithm.classes, 1), labels).numpy()
    size = algorithm.size_px
    rows = images.reshape(algorithm.classes, _COLUMNS, size, size, 3).transpose(0, 2, 1, 3, 4)
    sheet = Image.fromarray(np.ascontiguousarray(rows.reshape(algorithm.classes * size, _COLUMNS * size, 3)))
    encoded = io.BytesIO()
    sheet.save(encoded, format="PNG")
    write_atomically(path, encoded.getvalue())
