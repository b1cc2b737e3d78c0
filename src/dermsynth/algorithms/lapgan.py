"""LAPGAN (Denton, Chintala, Szlam, Fergus 2015, arXiv:1506.05751), with which paper 003 compares its DCGAN.

A Laplacian pyramid of GANs. An image I_k is the enlarged next coarser image, its low-pass l_k = u(d(I_k)), plus a
residual h_k. A GAN makes images of 8 px; at every finer level a generator G_k makes the residual from noise and l_k,
and a discriminator D_k sees l_k plus a real or a generated residual, summed before its first convolution. Training a
level needs real low-passes alone, so levels learn independently: two phases each. Sampling starts at 8 px and hands
every level's image to the next.

Networks and noise of the paper's section 4.1 and of its published code: at 8 px two hidden layers of 1,200 units in G
and of 600 with dropout in D; above, 7 x 7, 7 x 7 and 5 x 5 convolutions with 128 maps in G, two of 5 x 5 in D (without
padding, the second with stride 2), dropout and a linear layer; ReLU, no batch norm. Noise is uniform in [-1, 1], 100
values at 8 px and a fourth colour plane above. The class is a one-hot vector at 8 px; above, a linear layer and ReLU
turn it into one more plane of the input.

Choices of ours: u and d, which the paper calls smoothing, are bilinear interpolation and its antialiased counterpart,
both the kernel (1, 3, 3, 1) / 8. An image's levels are brought back into [-1, 1] when sampled. All levels learn in
every step and so for equally long. G_k's fake and D_k's real image of a step share their low-pass. Adam is the default:
one step size has to suit levels whose layers have from 100 to, at 256 px, two million inputs. The paper's momentum SGD
is `optimiser: sgd`, without its slow schedules (learning rate over 1 + 4e-5 per epoch, momentum 0.5 to 0.8).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import partial
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars, Sgd
from dermsynth.algorithms.layers import class_vector, doublings, he_init, with_class
from dermsynth.core.errors import InputError

_COARSEST_PX = 8


class LapganConfig(DiscriminatingConfig):
    """The paper's sizes for CIFAR-10; both widths shrink it for small machines."""

    batch_size: int = Field(128, ge=2, description="real images per step")
    latent: int = Field(100, ge=1, description="length of the noise of the 8 px level")
    width: int = Field(128, ge=1, description="maps of every convolution above 8 px")
    coarse_width: int = Field(1200, ge=2, multiple_of=2, description="hidden units of G at 8 px; D has half of them")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of D's last features that a step leaves out")
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float | None = Field(None, gt=0, description="without a value 2e-4 for adam, 0.02 for sgd")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's; SGD uses it as its momentum")


class Lapgan(Algorithm):
    """A pyramid of GANs with the class as a condition at every level; unconditional for one class."""

    name = "lapgan"
    Config = LapganConfig
    config: LapganConfig

    @classmethod
    def check(cls, config: LapganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless `size_px` is 8 doubled at least once."""
        if (doublings(size_px, _COARSEST_PX) or 0) < 1:
            raise InputError(
                f"lapgan doubles 8 px up to the image size, so it makes 16, 32, 64, 128, … px, not {size_px}; "
                "ingest the cohort at one of these sizes"
            )

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator`, `discriminator` and `augmentation`, lists of one network per level."""
        self.sizes = [_COARSEST_PX << level for level in range((doublings(self.size_px, _COARSEST_PX) or 0) + 1)]
        self.generator = Generator(self.config, self.sizes, self.condition)
        self.discriminator = nn.ModuleList(
            [CoarseDiscriminator(self.config, self.condition)]
            + [FineDiscriminator(self.config, size_px, self.condition) for size_px in self.sizes[1:]]
        )
        # What ADA learns of a level holds for that level.
        self.augmentation = nn.ModuleList(Augmentation(self.config) for _ in self.sizes)
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "augmentation": self.augmentation,
        }

    def phases(self) -> list[Phase]:
        """Return a discriminator and a generator step for every level from 8 px upwards."""
        optimiser = _optimiser(self.config)
        phases = []
        for level, size_px in enumerate(self.sizes):
            judge, maker = partial(self.discriminator_loss, level), partial(self.generator_loss, level)
            phases.append(Phase(f"discriminator_{size_px}px", self.discriminator[level], judge, optimiser))
            phases.append(Phase(f"generator_{size_px}px", self.generator.levels[level], maker, optimiser))
        return phases

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image: that of the 8 px level and a plane for every other."""
        return sum(self.generator.noise_lengths)

    def discriminator_loss(self, level: int, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return minus equation 1 (at 8 px) or equation 2 (above) for one level."""
        real = self._altered(self.real(batch, level), batch, level, "real")
        fake = self._altered(self.fake(batch, level).detach(), batch, level, "fake")
        score_real = self.discriminator[level](real, batch.labels)
        score_fake = self.discriminator[level](fake, batch.labels)
        loss = losses.discriminator_cross_entropy(score_real, score_fake)
        return loss, self._named(
            level,
            loss_discriminator=loss,
            score_real=score_real.mean(),
            score_fake=score_fake.mean(),
            **cast(Augmentation, self.augmentation[level]).observe(score_real, batch),
        )

    def generator_loss(self, level: int, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return one level's non-saturating loss of the same fake images under the updated discriminator."""
        fake = self._altered(self.fake(batch, level), batch, level, "generator")
        loss = losses.generator_cross_entropy(self.discriminator[level](fake, batch.labels))
        return loss, self._named(level, loss_generator=loss)

    def real(self, batch: Batch, level: int) -> Tensor:
        """Return I_k, the real images at a level's size; they are the sum of their low-pass and residual."""
        if level == len(self.sizes) - 1:
            return batch.images
        return batch.once(f"real {level}", lambda: halved(self.real(batch, level + 1)))

    def fake(self, batch: Batch, level: int) -> Tensor:
        """Return this step's fake images of a level: above 8 px, real low-passes with generated residuals."""
        return batch.once(f"fake {level}", lambda: self._fake(batch, level))

    def _fake(self, batch: Batch, level: int) -> Tensor:
        noise = self.generator.split(batch.noise)[level]
        network = self.generator.levels[level]
        if level == 0:
            return cast(Tensor, network(noise, batch.labels))
        low = doubled(self.real(batch, level - 1))
        return low + cast(Tensor, network(low, noise, batch.labels))

    def _altered(self, images: Tensor, batch: Batch, level: int, purpose: str) -> Tensor:
        return cast(Tensor, self.augmentation[level](images, batch, purpose))

    def _named(self, level: int, **scalars: Tensor) -> Scalars:
        """Return scalars with the level in their names; the finest, at which images are looked at, has none."""
        if level == len(self.sizes) - 1:
            return scalars
        return {f"{name}_{self.sizes[level]}px": value for name, value in scalars.items()}


def halved(images: Tensor) -> Tensor:
    """Return d(I): N x 3 x S x S blurred with (1, 3, 3, 1) / 8 in both directions and decimated to S / 2."""
    return F.interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)


def doubled(images: Tensor) -> Tensor:
    """Return u(I): N x 3 x S x S expanded to 2 S and smoothed with (1, 3, 3, 1) / 4 in both directions."""
    return F.interpolate(images, scale_factor=2, mode="bilinear")


class Generator(nn.Module):
    """Noise N x latent (standard normal), labels N -> images N x 3 x size x size in [-1, 1], float32."""

    def __init__(self, config: LapganConfig, sizes: list[int], condition: int) -> None:
        super().__init__()
        self.noise_lengths = [config.latent, *(size_px**2 for size_px in sizes[1:])]
        self.levels = nn.ModuleList([CoarseGenerator(config, condition)])
        self.levels.extend(FineGenerator(config, size_px, condition) for size_px in sizes[1:])

    def split(self, noise: Tensor) -> tuple[Tensor, ...]:
        """Return the noise of every level, N x length, uniform in [-1, 1]: the normal distribution function of it."""
        *ends, _ = itertools.accumulate(self.noise_lengths)
        return torch.erf(noise / math.sqrt(2)).tensor_split(ends, dim=1)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images sampled level by level (equation 5)."""
        coarsest, *planes = self.split(noise)
        image = self.levels[0](coarsest, labels).clamp(-1, 1)
        for network, plane in zip(itertools.islice(self.levels, 1, None), planes, strict=True):
            low = doubled(image)
            image = (low + network(low, plane, labels)).clamp(-1, 1)
        return cast(Tensor, image)


class CoarseGenerator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x 8 x 8, float32, not bounded."""

    def __init__(self, config: LapganConfig, condition: int) -> None:
        super().__init__()
        self.condition = condition
        self.layers = nn.Sequential(
            nn.Linear(config.latent + condition, config.coarse_width),
            nn.ReLU(inplace=True),
            nn.Linear(config.coarse_width, config.coarse_width),
            nn.ReLU(inplace=True),
            nn.Linear(config.coarse_width, 3 * _COARSEST_PX**2),
        )
        he_init(self.layers, condition)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        pixels = self.layers(with_class(noise, labels, self.condition)).float()
        images: Tensor = pixels.view(-1, 3, _COARSEST_PX, _COARSEST_PX)
        return images.contiguous(memory_format=torch.channels_last)


class FineGenerator(nn.Module):
    """Low-pass N x 3 x S x S, noise N x S², labels N -> residual N x 3 x S x S, float32."""

    def __init__(self, config: LapganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.plane = ClassPlane(size_px, condition)
        self.layers = nn.Sequential(
            nn.Conv2d(4 + self.plane.maps, config.width, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.width, config.width, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.width, 3, 5, padding=2),
        )

    def forward(self, low: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        """Return residuals in float32, whatever the precision of the layers."""
        maps = torch.cat([low, noise.view(-1, 1, *low.shape[2:])], dim=1)
        residual: Tensor = self.layers(self.plane(maps, labels))
        return residual.float()


class CoarseDiscriminator(nn.Module):
    """Images N x 3 x 8 x 8, labels N -> the logit of 'real', N, float32."""

    def __init__(self, config: LapganConfig, condition: int) -> None:
        super().__init__()
        self.condition = condition
        units = config.coarse_width // 2
        self.layers = nn.Sequential(
            nn.Linear(3 * _COARSEST_PX**2 + condition, units),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.Linear(units, units),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.Linear(units, 1),
        )
        he_init(self.layers, condition)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one logit per image, in float32."""
        scores: Tensor = self.layers(with_class(images.flatten(1), labels, self.condition))
        return scores.float().squeeze(1)


class FineDiscriminator(nn.Module):
    """Low-pass plus residual N x 3 x S x S, labels N -> the logit of 'real', N, float32."""

    def __init__(self, config: LapganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.plane = ClassPlane(size_px, condition)
        side = (size_px - 4 - 5) // 2 + 1
        self.layers = nn.Sequential(
            nn.Conv2d(3 + self.plane.maps, config.width, 5),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.width, config.width, 5, stride=2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width * side**2, 1),
        )

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one logit per image, in float32."""
        scores: Tensor = self.layers(self.plane(images, labels))
        return scores.float().squeeze(1)


class ClassPlane(nn.Module):
    """Appends a map that a linear layer and ReLU make of the class (section 4.1); without a condition nothing."""

    def __init__(self, size_px: int, condition: int) -> None:
        super().__init__()
        self.size_px, self.maps = size_px, min(condition, 1)
        self.linear = nn.Linear(condition, size_px**2) if condition else None

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Return N x (C + maps) x S x S."""
        if self.linear is None:
            return maps
        of_class = class_vector(labels, self.linear.in_features).to(maps.dtype)
        plane = self.linear(of_class).relu().view(-1, 1, self.size_px, self.size_px)
        return torch.cat([maps, plane.to(maps.dtype)], dim=1)


def _optimiser(config: LapganConfig) -> Adam | Sgd:
    if config.optimiser == "adam":
        return Adam(learning_rate=config.learning_rate or 2e-4, beta1=config.beta1)
    return Sgd(learning_rate=config.learning_rate or 0.02, momentum=config.beta1)
