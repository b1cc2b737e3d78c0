"""Augmentation of what a discriminator sees, for training sets of a few thousand images: DiffAugment and ADA."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dermsynth.algorithms.base import AlgorithmConfig, Batch, Scalars


class DiscriminatingConfig(AlgorithmConfig):
    """What every algorithm with a discriminator of images has."""

    augment: Literal["none", "diffaugment", "ada"] = Field("none", description="what the discriminator sees altered")


class Augmentation(nn.Module):
    """Alters images before a discriminator sees them; with `augment: none` it hands them on as they are."""

    def __init__(self, config: DiscriminatingConfig) -> None:
        super().__init__()
        self.kind = config.augment

    def forward(self, images: Tensor, batch: Batch, purpose: str) -> Tensor:
        """Return altered images, differentiable; `purpose` names the draw: 'real', 'fake', 'generator'."""
        return images

    def observe(self, score_real: Tensor, batch: Batch) -> Scalars:
        """Learn from the scores of real images; returns what to log (ADA's r_t and p)."""
        return {}
