"""DCGAN (Radford, Metz, Chintala 2016, arXiv:1511.06434) as Mutepe et al. 2021 use it for dermoscopy (paper 003).

Paper 003: noise of 128 values from N(0, 1); a projection to 4 x 4 x 512, then stride-2 transposed convolutions with
256, 128 and 64 maps to 64 x 64 x 3 and tanh; the discriminator mirrors it with 64, 128, 256 and 512 maps. ReLU in G,
LeakyReLU(0.2) in D, batch norm everywhere but in G's output and D's first and last layer, sigmoid cross-entropy, one D
and one G step, Adam with learning rate 2e-4 and beta1 0.5 (the abstract's value; the methods section prints 0.2). The
kernel is that of its code base, 5 x 5.

One conditional network serves all classes, where the paper trains on two classes without saying how they are told
apart. A network per class would see 60 images of the rarest class of HAM10000 and share nothing; one network learns
skin, light and hair from all of them. The class enters G as a one-hot vector beside the noise and leaves D as one logit
per class, of which the image's own counts. With a single class both vanish and the networks are the paper's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars, Sgd
from dermsynth.algorithms.layers import doubling_maps, doublings, normal_init, own_class, with_class
from dermsynth.core.errors import InputError

_FIRST_PX = 4


class DcganConfig(DiscriminatingConfig):
    """Paper 003's settings; `width` 64 is its network. Its ablations vary batch size, learning rate, optimiser."""

    latent: int = Field(128, ge=1, description="length of the noise vector")
    width: int = Field(64, ge=1, description="maps next to the image; they double towards the 4 x 4 end")
    kernel_px: int = Field(5, ge=3, description="side of every kernel; odd, so that stride 2 halves exactly")
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's; SGD uses it as its momentum")

    @field_validator("kernel_px")
    @classmethod
    def _odd(cls, kernel_px: int) -> int:
        if kernel_px % 2 == 0:
            raise ValueError("choose an odd number such as 5")
        return kernel_px


class Dcgan(Algorithm):
    """DCGAN with the class as a condition; unconditional for one class."""

    name = "dcgan"
    Config = DcganConfig
    config: DcganConfig
    generator: nn.Module
    discriminator: nn.Module

    @classmethod
    def check(cls, config: DcganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless `size_px` is 4 doubled at least twice."""
        if (doublings(size_px, _FIRST_PX) or 0) < 2:
            raise InputError(
                f"{cls.name} doubles 4 px up to the image size, so it makes 16, 32, 64, 128, … px, not {size_px}; "
                "ingest the cohort at one of these sizes"
            )

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator` and `discriminator` with DCGAN's initial weights."""
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
        rate, beta1 = self.config.learning_rate, self.config.beta1
        adam = Adam(learning_rate=rate, beta1=beta1)
        optimiser = adam if self.config.optimiser == "adam" else Sgd(learning_rate=rate, momentum=beta1)
        return [
            Phase("discriminator", self.discriminator, self.discriminator_loss, optimiser),
            Phase("generator", self.generator, self.generator_loss, optimiser),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return paper 003's d_loss_real + d_loss_fake."""
        fake = self.fake(batch).detach()
        score_real = self.discriminator(self.augmentation(batch.images, batch, "real"), batch.labels)
        score_fake = self.discriminator(self.augmentation(fake, batch, "fake"), batch.labels)
        loss = self.criteria()[0](score_real, score_fake)
        return loss, {
            "loss_discriminator": loss,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            **self.augmentation.observe(score_real, batch),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the non-saturating loss of the same fake images under the updated discriminator."""
        fake = self.augmentation(self.fake(batch), batch, "generator")
        loss = self.criteria()[1](self.discriminator(fake, batch.labels))
        return loss, {"loss_generator": loss}

    def feature_layers(self) -> nn.Sequential | None:
        """Return the discriminator's layers but the last."""
        layers = self.discriminator.get_submodule("layers")
        assert isinstance(layers, nn.Sequential)
        return nn.Sequential(*layers, nn.Flatten())

    def criteria(self) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Return D's loss of (real, fake) scores and G's of fake scores."""
        return losses.discriminator_cross_entropy, losses.generator_cross_entropy

    def fake(self, batch: Batch) -> Tensor:
        """Return this step's fake images; both phases use the same ones, since G changes only after the second."""
        return batch.once("fake", lambda: self.generator(batch.noise, batch.labels))


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size in [-1, 1], float32."""

    def __init__(self, config: DcganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.condition = condition
        maps = _maps(config, size_px)[::-1]
        self.first_maps = maps[0]
        # Batch norm subtracts the mean, so a bias before it would do nothing.
        self.project = nn.Linear(config.latent + condition, maps[0] * _FIRST_PX**2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(maps[0]), nn.ReLU(inplace=True)]
        for before, after in itertools.pairwise(maps):
            layers += [doubling(before, after, config.kernel_px, bias=False), nn.BatchNorm2d(after)]
            layers += [nn.ReLU(inplace=True)]
        layers += [doubling(maps[-1], 3, config.kernel_px, bias=True)]
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        projected = self.project(with_class(noise, labels, self.condition))
        first = projected.view(-1, self.first_maps, _FIRST_PX, _FIRST_PX)
        images: Tensor = self.layers(first.contiguous(memory_format=torch.channels_last))
        return images.float().tanh()


class Discriminator(nn.Module):
    """Images N x 3 x size x size, labels N -> the logit of 'real' for the image's own class, N, float32."""

    def __init__(self, config: DcganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.layers = halvings(config, size_px)
        self.score = nn.Linear(_maps(config, size_px)[-1] * _FIRST_PX**2, condition or 1)
        normal_init(self)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one logit per image, in float32."""
        return own_class(self.score(self.layers(images).flatten(1)).float(), labels)


def halvings(config: DcganConfig, size_px: int, *, channels: int = 3, norm: bool = True) -> nn.Sequential:
    """Return the discriminator's layers: N x channels x size x size -> N x 8 · width x 4 x 4 for 64 px.

    `norm` False leaves out batch norm, whose place another norm takes; the biases that it makes useless then return.
    """
    maps = _maps(config, size_px)
    layers: list[nn.Module] = [halving(channels, maps[0], config.kernel_px, bias=True), nn.LeakyReLU(0.2, inplace=True)]
    for before, after in itertools.pairwise(maps):
        layers += [halving(before, after, config.kernel_px, bias=not norm)]
        layers += [nn.BatchNorm2d(after)] if norm else []
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers)


def _maps(config: DcganConfig, size_px: int) -> list[int]:
    """Return the number of maps at size/2, size/4, …, 4 px: 64, 128, 256, 512 for 64 px and width 64."""
    return doubling_maps(config.width, doublings(size_px, _FIRST_PX) or 0)


def doubling(before: int, after: int, kernel_px: int, *, bias: bool) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles the side exactly; `kernel_px` is odd."""
    return nn.ConvTranspose2d(before, after, kernel_px, 2, kernel_px // 2, output_padding=1, bias=bias)


def halving(before: int, after: int, kernel_px: int, *, bias: bool) -> nn.Conv2d:
    """Return a convolution that halves an even side exactly; `kernel_px` is odd."""
    return nn.Conv2d(before, after, kernel_px, 2, kernel_px // 2, bias=bias)
