"""Progressive GAN (Karras et al. 2018, arXiv:1710.10196), one of paper 004's candidates.

The paper: training starts with images of 4 x 4 px, and layers that double the side are added to G and D one pair after
the other. A new pair is faded in: the image is (1 - blend) times the enlarged one of the layers below plus blend times
that of the new layers, and D and the real images do likewise. Each size is faded in over 800,000 images and trained on
for as many. Equalised learning rate, pixel norm after every convolution of G, minibatch deviation before D's last
block, LeakyReLU(0.2), no activation at the image; WGAN-GP with one critic step per generator step and a drift term of
0.001; Adam with learning rate 1e-3, beta1 0 and beta2 0.99, batches of 16.

Images have the full size at every stage, with pixels of several pixels at first: so have the real ones that D is shown.
Hence the penalty's gradient is that with respect to the full-size image, and the critic's scale, a distance between
full-size images, does not jump when a stage is added.

Choices of ours: a run whose budget does not hold the paper's 800,000 images per phase divides the first half of it
evenly among the phases of growing; the rest is for the full size. The class is a one-hot vector beside the noise, as
long as the noise itself so that it is not lost among 512 values, and leaves D as one score per class, of which the
image's own counts: the paper's CIFAR-10 network is unconditional. One optimiser lives through all stages.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars
from dermsynth.algorithms.layers import (
    EqualisedConv2d,
    EqualisedLinear,
    MinibatchDeviation,
    capped_maps,
    doublings,
    own_class,
    pixel_norm,
    with_class,
)
from dermsynth.core.errors import InputError

_SMALLEST_PX = 4
_HE = math.sqrt(2)
"""He's gain, of all layers that a LeakyReLU follows."""


class ProgressiveConfig(DiscriminatingConfig):
    """The paper's settings; its network has `width` 256. A small machine takes 32 and `most_maps` 128."""

    batch_size: int = Field(16, ge=2, description="real images per step")
    latent: int = Field(512, ge=1, description="length of the noise vector")
    width: int = Field(256, ge=1, description="maps at 64 px; twice as many at 32 px, half as many at 128 px, …")
    most_maps: int = Field(512, ge=1, description="maps are no more than this")
    first_px: int = Field(4, ge=4, description="size at which training starts; the image size trains without growing")
    growing: float = Field(0.5, ge=0, le=1, description="share of the budget after which the full size is faded in")
    phase_kimg: float = Field(800, gt=0, description="most images to fade a size in, and to train on before the next")
    learning_rate: float = Field(1e-3, gt=0)
    penalty: float = Field(10.0, ge=0, description="weight of the gradient penalty")
    drift: float = Field(1e-3, ge=0, description="weight of the squared score of real images")


class Progressive(Algorithm):
    """Progressive GAN with the class as a condition; unconditional for one class."""

    name = "progressive"
    Config = ProgressiveConfig
    config: ProgressiveConfig
    # The generator's gradients are in no loss, but it would be compiled anew for every stage.
    twice_differentiated = frozenset({"generator", "discriminator"})
    scores_are_logits = False

    @classmethod
    def check(cls, config: ProgressiveConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless `size_px` is 4 doubled at least once, and `first_px` lies on the way."""
        if not doublings(size_px, _SMALLEST_PX):
            raise InputError(
                f"progressive doubles 4 px up to the image size, so it makes 8, 16, 32, 64, 128, … px, not {size_px}; "
                "ingest the cohort at one of these sizes"
            )
        if doublings(size_px, config.first_px) is None:
            raise InputError(
                f"progressive cannot grow from first_px {config.first_px} to images of {size_px} px; "
                f"set first_px to 4, 8, … or {size_px}"
            )

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator` and `discriminator` with all their layers, fully grown until `advance` says otherwise."""
        self.generator = Generator(self.config, self.size_px, self.condition)
        self.discriminator = Discriminator(self.config, self.size_px, self.condition)
        self.augmentation = Augmentation(self.config)
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "augmentation": self.augmentation,
        }

    def phases(self) -> list[Phase]:
        """Return one discriminator step, then one generator step."""
        optimiser = Adam(learning_rate=self.config.learning_rate, beta1=0.0, beta2=0.99)
        return [
            Phase("discriminator", self.discriminator, self.discriminator_loss, optimiser),
            Phase("generator", self.generator, self.generator_loss, optimiser),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    def growth(self, images_seen: int, budget: int) -> tuple[int, float]:
        """Return the stage (0 for 4 px, 1 for 8 px, …) and how far it is faded in, in [0, 1].

        Phases of equal length alternate: a size is trained on, the next one is faded in. The full size has the rest.
        """
        first, last = doublings(self.config.first_px, _SMALLEST_PX) or 0, self.generator.last
        sizes = last - first
        if not sizes or not self.config.growing:
            return last, 1.0
        length = min(self.config.phase_kimg * 1000, self.config.growing * budget / (2 * sizes))
        position = images_seen / length
        turn = int(position)
        stage = first + (turn + 1) // 2
        if stage > last:
            return last, 1.0
        return stage, position - turn if turn % 2 else 1.0

    def advance(self, networks: Iterable[nn.Module], images_seen: int, budget: int) -> None:
        """Set the stage and the blend of generators and discriminators."""
        stage, blend = self.growth(images_seen, budget)
        for network in networks:
            if isinstance(network, Generator | Discriminator):
                network.stage, network.blend = stage, blend

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return E[D(G(z))] - E[D(x)] + penalty + drift · E[D(x)²] (WGAN-GP; appendix A.1 of the paper)."""
        real = self.augmentation(self.real(batch.images), batch, "real")
        fake = self.augmentation(self.fake(batch).detach(), batch, "fake")
        score_real, score_fake = self.discriminator(real, batch.labels), self.discriminator(fake, batch.labels)
        penalty = losses.gradient_penalty(
            lambda images: self.discriminator(images, batch.labels), real, fake, batch.draws.uniform("mix")
        )
        distance = score_real.mean() - score_fake.mean()
        drift = score_real.square().mean()
        loss = self.config.penalty * penalty + self.config.drift * drift - distance
        return loss, {
            "loss_discriminator": loss,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            "wasserstein": distance,
            "penalty": penalty,
            # A critic's zero has no meaning, differences of its scores have.
            **self.augmentation.observe(score_real - score_fake, batch),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return -E[D(G(z))] of the same fake images under the updated discriminator."""
        fake = self.augmentation(self.fake(batch), batch, "generator")
        loss = -self.discriminator(fake, batch.labels).mean()
        return loss, {"loss_generator": loss}

    def fake(self, batch: Batch) -> Tensor:
        """Return this step's fake images; both phases use the same ones, since G changes only after the second."""
        return batch.once("fake", lambda: self.generator(batch.noise, batch.labels))

    def real(self, images: Tensor) -> Tensor:
        """Return real images as the generator could make them now: coarse, and blended while it grows."""
        stage, blend = self.discriminator.stage, self.discriminator.blend
        factor = 2 ** (self.discriminator.last - stage)
        seen = _coarse(images, factor)
        return seen if blend == 1 else _coarse(images, 2 * factor).lerp(seen, blend)

    def draw(self, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in [-1, 1]; the generator's own may exceed it a little."""
        return super().draw(generator, noise, labels).clamp(-1, 1)


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size around [-1, 1], float32.

    `stage` and `blend` are plain attributes: no parameter or buffer depends on them.
    """

    def __init__(self, config: ProgressiveConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.condition = condition
        maps = _maps(config, size_px)
        self.project = EqualisedLinear(config.latent + condition, maps[0] * _SMALLEST_PX**2, gain=_HE)
        self.first = _Convolution(maps[0], maps[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(_Convolution(before, after), _Convolution(after, after))
            for before, after in itertools.pairwise(maps)
        )
        self.to_rgb = nn.ModuleList(EqualisedConv2d(count, 3, 1) for count in maps)
        self.last = len(maps) - 1
        self.stage, self.blend = self.last, 1.0

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images of the full size, with the detail of the current stage."""
        # Noise of length 1 beside a one-hot class of length 1: either counts as much as the other.
        point = pixel_norm(with_class(F.normalize(noise), labels, self.condition))
        x = F.leaky_relu(self.project(point), 0.2).view(len(noise), -1, _SMALLEST_PX, _SMALLEST_PX)
        x = self.first(pixel_norm(x.contiguous(memory_format=torch.channels_last)))
        below = x
        for block in self.blocks[: self.stage]:
            below, x = x, block(_enlarge(x, 2))
        images: Tensor = self.to_rgb[self.stage](x).float()
        if self.blend < 1:
            images = _enlarge(self.to_rgb[self.stage - 1](below).float(), 2).lerp(images, self.blend)
        return _enlarge(images, 2 ** (self.last - self.stage))


class Discriminator(nn.Module):
    """Images N x 3 x size x size, labels N -> the score of the image's own class, N, float32.

    Minibatch deviation lets the score of an image depend a little on those beside it.
    """

    def __init__(self, config: ProgressiveConfig, size_px: int, condition: int) -> None:
        super().__init__()
        maps = _maps(config, size_px)
        self.from_rgb = nn.ModuleList(EqualisedConv2d(3, count, 1, gain=_HE) for count in maps)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                EqualisedConv2d(before, before, 3, gain=_HE),
                nn.LeakyReLU(0.2, inplace=True),
                EqualisedConv2d(before, after, 3, gain=_HE),
                nn.LeakyReLU(0.2, inplace=True),
                nn.AvgPool2d(2),
            )
            for after, before in itertools.pairwise(maps)
        )
        self.end = nn.Sequential(
            MinibatchDeviation(),
            EqualisedConv2d(maps[0] + 1, maps[0], 3, gain=_HE),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
            EqualisedLinear(maps[0] * _SMALLEST_PX**2, maps[0], gain=_HE),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.score = EqualisedLinear(maps[0], condition or 1)
        self.last = len(maps) - 1
        self.stage, self.blend = self.last, 1.0

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one score per image, of the image at the size of the current stage."""
        images = _reduce(images, 2 ** (self.last - self.stage))
        x = self._enter(images, self.stage)
        for stage in range(self.stage, 0, -1):
            x = self.blocks[stage - 1](x)
            if stage == self.stage and self.blend < 1:
                x = self._enter(_reduce(images, 2), stage - 1).lerp(x, self.blend)
        features = self.end(x)
        # The drift term and the distance need more digits than bfloat16 has.
        with torch.autocast(images.device.type, enabled=False):
            return own_class(self.score(features.float()), labels)

    def _enter(self, images: Tensor, stage: int) -> Tensor:
        return F.leaky_relu(self.from_rgb[stage](images), 0.2, inplace=True)


class _Convolution(nn.Module):
    """3 x 3 convolution, LeakyReLU, pixel norm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = EqualisedConv2d(before, after, 3, gain=_HE)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_norm(F.leaky_relu(self.convolution(x), 0.2, inplace=True))


def _maps(config: ProgressiveConfig, size_px: int) -> list[int]:
    """Return the number of maps at 4, 8, …, size px."""
    stages = (doublings(size_px, _SMALLEST_PX) or 0) + 1
    return [capped_maps(config.width, config.most_maps, _SMALLEST_PX * 2**stage) for stage in range(stages)]


def _enlarge(images: Tensor, factor: int) -> Tensor:
    return images if factor == 1 else F.interpolate(images, scale_factor=float(factor), mode="nearest")


def _reduce(images: Tensor, factor: int) -> Tensor:
    return images if factor == 1 else F.avg_pool2d(images, factor)


def _coarse(images: Tensor, factor: int) -> Tensor:
    return _enlarge(_reduce(images, factor), factor)
