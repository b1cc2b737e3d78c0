"""How a classifier is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.training.device import Precision


class FitConfig(NetworkConfig):
    """How a classifier is trained: the same in every arm, so that arms differ in their images alone.

    The defaults were chosen at 64 px on validation lesions from the ISIC 2018 training set and on the phantom.
    """

    budget_kimg: float = Field(40.0, gt=0)
    """Thousands of images seen. Not epochs: an enlarged set would get more steps. Oversampled, 24 and 48 were equal
    on validation."""
    batch_size: int = Field(16, ge=2)
    """Images of a step; batch norm needs two. For the same images seen, 16 gained 2 points over 32."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam at the first step; it falls to zero along a half cosine, which gained 2 to 5 points
    over a constant rate."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled from the gradient (AdamW), per unit of learning rate; 0.2 was neither better nor worse."""
    evaluations: int = Field(10, ge=1)
    """How many states, evenly spaced and the last one among them, are scored on validation to choose one."""
    tta: Literal[1, 2, 4, 8] = 1
    """Test-time augmentation: views of an image (itself, mirrored, turned by 90 degrees) whose probabilities are
    averaged, whenever the classifier predicts."""
    precision: Precision = "auto"
    """`auto` takes bf16 where the hardware has it."""
    seed: int = Field(0, ge=0)
    """Of the initial weights, the order of images and the augmentation."""

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps, whatever the size of the training set."""
        return max(1, round(self.budget_kimg * 1000 / self.batch_size))
