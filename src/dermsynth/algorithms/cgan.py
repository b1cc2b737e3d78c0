"""Conditional GAN (Mirza and Osindero 2014, arXiv:1411.1784) on the networks of DCGAN.

Paper 004 names it beside DCGAN and ACGAN; paper 002's ACGAN is its descendant. Both players see the class. It enters G
as a one-hot vector beside the noise, which makes the weights that meet it in the first layer the class's learned
embedding. For D there are two ways:

- `concat`, the paper's: D's input has a map more per class, 1 everywhere for the image's own class and 0 elsewhere.
- `projection` (Miyato and Koyama 2018, arXiv:1802.05637): to D's score is added the inner product of a learned vector
  per class and the last layer's maps, summed over the image. That is the form of the log-likelihood ratio where class
  probabilities are a softmax of features, and a class of few images has few weights of its own.

`loss: hinge`, `spectral_norm` (Miyato et al. 2018, arXiv:1802.05957: every layer of D has unit norm, in place of batch
norm) and two learning rates (TTUR, Heusel et al. 2017, arXiv:1706.08500; 1e-4 for G and 4e-4 for D are common with
both) are what later work found to be more stable. The defaults are those of DCGAN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation
from dermsynth.algorithms.base import Phase
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig, Generator, halvings
from dermsynth.algorithms.layers import doubling_maps, doublings, normal_init, own_class
from dermsynth.core.errors import InputError


class CganConfig(DcganConfig):
    """DCGAN's settings, and how the discriminator learns of the class."""

    conditioning: Literal["concat", "projection"] = Field("concat", description="how the class enters D")
    loss: Literal["cross-entropy", "hinge"] = "cross-entropy"
    spectral_norm: bool = Field(False, description="D's layers have unit spectral norm, in place of batch norm")
    learning_rate: float = Field(2e-4, gt=0, description="the generator's")
    discriminator_learning_rate: float = Field(2e-4, gt=0, description="the discriminator's")


class Cgan(Dcgan):
    """A DCGAN whose discriminator is told the class of what it sees."""

    name = "cgan"
    Config = CganConfig
    config: CganConfig

    @classmethod
    def check(cls, config: DcganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError for one class alone, or unless `size_px` is 4 doubled at least twice."""
        if len(classes) < 2:
            raise InputError(
                f"cgan is told which class to make, and '{classes[0]}' is the only one; "
                "train it on two classes or more, or dcgan on one"
            )
        super().check(config, size_px, classes)

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator`, which is DCGAN's, and `discriminator`, with DCGAN's initial weights."""
        self.generator = Generator(self.config, self.size_px, self.condition)
        self.discriminator = Discriminator(self.config, self.size_px, self.condition)
        self.augmentation = Augmentation(self.config)
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "augmentation": self.augmentation,
        }

    def phases(self) -> list[Phase]:
        """Return DCGAN's two phases, each with its own learning rate."""
        discriminator, generator = super().phases()
        own = discriminator.optimiser.changed(learning_rate=self.config.discriminator_learning_rate)
        return [replace(discriminator, optimiser=own), generator]

    def feature_layers(self) -> nn.Sequential | None:
        """Return None where the class enters with the image, else the discriminator's layers but the last."""
        return None if self.config.conditioning == "concat" else super().feature_layers()

    def criteria(self) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Return D's loss of (real, fake) scores and G's of fake scores."""
        if self.config.loss == "hinge":
            return losses.discriminator_hinge, losses.generator_hinge
        return super().criteria()


class Discriminator(nn.Module):
    """Images N x 3 x size x size, labels N -> the logit of 'a real image of this class', N, float32."""

    def __init__(self, config: CganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.label_maps = condition if config.conditioning == "concat" else 0
        self.layers = halvings(config, size_px, channels=3 + self.label_maps, norm=not config.spectral_norm)
        maps = doubling_maps(config.width, doublings(size_px) or 0)[-1]
        self.score = nn.Linear(maps * 16, 1)
        self.class_score = None if self.label_maps else nn.Linear(maps, condition, bias=False)
        normal_init(self)
        if config.spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d | nn.Linear):
                    spectral_norm(module)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one logit per image, in float32."""
        if self.label_maps:
            own = F.one_hot(labels, self.label_maps).to(images.dtype)[:, :, None, None]
            images = torch.cat([images, own.expand(-1, -1, *images.shape[2:])], dim=1)
        features = self.layers(images.contiguous(memory_format=torch.channels_last))
        score: Tensor = self.score(features.flatten(1)).squeeze(1).float()
        if self.class_score is not None:
            score = score + own_class(self.class_score(features.float().sum(dim=(2, 3))), labels).float()
        return score
