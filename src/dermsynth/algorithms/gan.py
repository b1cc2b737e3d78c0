"""GAN (Goodfellow et al. 2014, arXiv:1406.2661), with which paper 003 compares its DCGAN.

The paper: G and D are multilayer perceptrons; G of rectifiers with a sigmoid at its end, noise at its bottom layer
alone; D of maxout units, trained with dropout; momentum SGD; one D step per G step (k = 1); G maximises log D(G(z)).
tanh over [-1, 1] is its sigmoid over [0, 1] for images scaled as ours.

It prints no sizes. Those of its published code: noise of 100 values from N(0, 1); two hidden layers of 1,200 units in G
and of 240 maxout units of 5 pieces in D for MNIST (8,000 and 1,600 for CIFAR-10), so that the linear layers of both
have one `width`; dropout of 0.2 of D's input and 0.5 of its hidden units; uniform initial weights; batches of 100.

Choices of ours. Initial weights keep the variance of what passes (He et al. 2015), whatever the image size; the code's
small ones suit MNIST. Adam is the default: SGD's largest stable step shrinks as pixels are added and Adam's does not.
The code's rates, 0.1 for 784 values of an image and 0.025 for 3,072, are both 77 divided by that number; with the
larger initial weights that diverges on dermoscopic images of 16 px and a fifth of it learns, so `optimiser: sgd` takes
15 divided by it. With several classes the class is a one-hot vector at the input of both networks (Mirza and Osindero
2014, arXiv:1411.1784); dropout leaves D's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars, Sgd
from dermsynth.algorithms.layers import he_init, with_class
from dermsynth.core.errors import InputError

_PIECES = 5
_SMALLEST_PX = 8


class GanConfig(DiscriminatingConfig):
    """The sizes of the paper's code for MNIST; its CIFAR-10 network has `width` 8,000."""

    batch_size: int = Field(100, ge=2, description="real images per step")
    latent: int = Field(100, ge=1, description="length of the noise vector")
    width: int = Field(1200, ge=_PIECES, multiple_of=_PIECES, description="outputs of every hidden linear layer")
    dropout_input: float = Field(0.2, ge=0, lt=1, description="share of D's pixels that a step leaves out")
    dropout_hidden: float = Field(0.5, ge=0, lt=1, description="share of D's hidden units that a step leaves out")
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float | None = Field(
        None, gt=0, description="without a value 2e-4 for adam, 15 / (3 size_px²) for sgd"
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's; SGD uses it as its momentum")


class Gan(Algorithm):
    """The first GAN with the class as a condition; unconditional for one class."""

    name = "gan"
    Config = GanConfig
    config: GanConfig

    @classmethod
    def check(cls, config: GanConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError for images below 8 px."""
        if size_px < _SMALLEST_PX:
            raise InputError(f"gan makes images of {_SMALLEST_PX} px and more, not {size_px}; ingest larger ones")

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator` and `discriminator`."""
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
        optimiser = _optimiser(self.config, values=3 * self.size_px**2)
        return [
            Phase("discriminator", self.discriminator, self.discriminator_loss, optimiser),
            Phase("generator", self.generator, self.generator_loss, optimiser),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return minus the value function of equation 1."""
        fake = self.fake(batch).detach()
        score_real = self.discriminator(self.augmentation(batch.images, batch, "real"), batch.labels)
        score_fake = self.discriminator(self.augmentation(fake, batch, "fake"), batch.labels)
        loss = losses.discriminator_cross_entropy(score_real, score_fake)
        return loss, {
            "loss_discriminator": loss,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            **self.augmentation.observe(score_real, batch),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the non-saturating loss of section 3 for the same fake images under the updated discriminator."""
        fake = self.augmentation(self.fake(batch), batch, "generator")
        loss = losses.generator_cross_entropy(self.discriminator(fake, batch.labels))
        return loss, {"loss_generator": loss}

    def fake(self, batch: Batch) -> Tensor:
        """Return this step's fake images; both phases use the same ones, since G changes only after the second."""
        return batch.once("fake", lambda: self.generator(batch.noise, batch.labels))


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size in [-1, 1], float32."""

    def __init__(self, config: GanConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.condition, self.size_px = condition, size_px
        self.layers = nn.Sequential(
            nn.Linear(config.latent + condition, config.width),
            nn.ReLU(inplace=True),
            nn.Linear(config.width, config.width),
            nn.ReLU(inplace=True),
            nn.Linear(config.width, 3 * size_px**2),
        )
        he_init(self.layers, condition)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        pixels = self.layers(with_class(noise, labels, self.condition)).float().tanh()
        images: Tensor = pixels.view(-1, 3, self.size_px, self.size_px)
        return images.contiguous(memory_format=torch.channels_last)


class Discriminator(nn.Module):
    """Images N x 3 x size x size, labels N -> the logit of 'real', N, float32."""

    def __init__(self, config: GanConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.condition = condition
        self.input_dropout = nn.Dropout(config.dropout_input)
        units = config.width // _PIECES
        self.layers = nn.Sequential(
            Maxout(3 * size_px**2 + condition, units),
            nn.Dropout(config.dropout_hidden),
            Maxout(units, units),
            nn.Dropout(config.dropout_hidden),
            nn.Linear(units, 1),
        )
        he_init(self.layers, condition)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one logit per image, in float32."""
        pixels = self.input_dropout(images.flatten(1))
        scores: Tensor = self.layers(with_class(pixels, labels, self.condition))
        return scores.float().squeeze(1)


class Maxout(nn.Module):
    """N x before -> N x units: the largest of five linear functions each (Goodfellow et al. 2013, arXiv:1302.4389)."""

    def __init__(self, before: int, units: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, units * _PIECES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the units' values."""
        pieces: Tensor = self.linear(x)
        return pieces.view(len(x), -1, _PIECES).amax(dim=2)


def _optimiser(config: GanConfig, values: int) -> Adam | Sgd:
    if config.optimiser == "adam":
        return Adam(learning_rate=config.learning_rate or 2e-4, beta1=config.beta1)
    return Sgd(learning_rate=config.learning_rate or 15 / values, momentum=config.beta1)
