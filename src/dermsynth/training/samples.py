"""Images from a generator: grids of fixed noise while it trains."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from dermsynth.algorithms.base import Algorithm
from dermsynth.core.artefacts import write_atomically
from dermsynth.core.randomness import torch_generator
from dermsynth.training.device import to_pixels

_COLUMNS = 8


@torch.no_grad()
def generate(algorithm: Algorithm, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
    """Return uint8 N x H x W x 3 for noise N x latent and labels N, in float32 arithmetic.

    float32, because an image must not depend on how many others were drawn beside it; the network is in eval mode.
    """
    return to_pixels(algorithm.draw(generator, noise, labels)).cpu()


@torch.no_grad()
def translate(algorithm: Algorithm, generator: nn.Module, images: Tensor) -> Tensor:
    """Return uint8 N x H x W x 3, the translations of images N x 3 x H x W in [-1, 1], in float32 arithmetic."""
    return to_pixels(algorithm.translate(generator, images)).cpu()


def draw_grid(algorithm: Algorithm, generator: nn.Module, seed: int) -> NDArray[np.uint8]:
    """Return uint8 K x 8 x H x W x 3: a row per class, the same noise in every row and at every call."""
    device = next(generator.parameters()).device
    noise = torch.randn(
        _COLUMNS, algorithm.latent, generator=torch_generator(seed, "grid", device=device), device=device
    )
    rows = [
        generate(algorithm, generator, noise, torch.full((_COLUMNS,), label, device=device)).numpy()
        for label in range(len(algorithm.classes))
    ]
    return np.stack(rows)


def write_grid(path: Path, images: NDArray[np.uint8]) -> None:
    """Write uint8 rows x columns x H x W x 3 as one PNG."""
    rows, columns, height, width, _ = images.shape
    sheet = images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(sheet)).save(encoded, format="PNG")
    write_atomically(path, encoded.getvalue())


def read_grid(path: Path, size_px: int) -> NDArray[np.uint8]:
    """Return uint8 rows x columns x H x W x 3 of what `write_grid` wrote."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows, columns = pixels.shape[0] // size_px, pixels.shape[1] // size_px
    return pixels.reshape(rows, size_px, columns, size_px, 3).transpose(0, 2, 1, 3, 4)
