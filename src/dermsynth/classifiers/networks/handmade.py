"""The offline encoder as a backbone: features without a weight."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.network import Backbone
from dermsynth.core.errors import InputError
from dermsynth.encoders import handmade as encoder
from dermsynth.training.device import to_pixels


class Handmade(Backbone):
    """What `dermsynth.encoders.handmade` computes of an image: layout of colours, edges and spectrum."""

    kind = "handmade"
    dimensions = 236
    least_px = 16

    @property
    def settings(self) -> dict[str, Any]:
        """Return nothing: it has no setting."""
        return {}

    def blocks(self) -> list[nn.Module]:
        """Return nothing: it has no weight."""
        return []

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        found = encoder.encode(to_pixels(images).cpu().numpy())
        return torch.from_numpy(found).float().to(images.device)

    def check(self, size_px: int) -> None:
        """Raise InputError unless the side is a multiple of 8, from 16 px."""
        if not encoder.can_encode(size_px):
            raise InputError(
                f"images have {size_px} px, the handmade encoder needs a multiple of 8 from 16; ingest at such a size"
            )


def handmade(choice: NetworkConfig, argument: str, size_px: int) -> Handmade:
    """Return the backbone of the encoder `handmade`."""
    return Handmade()
