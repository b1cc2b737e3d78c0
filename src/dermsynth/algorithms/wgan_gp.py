"""WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028) as Goren and Cinarer use it for dermoscopy (paper 001).

Paper 001 at 64 px: noise of 200 values from N(0, 1); transposed convolutions with 4 x 4 kernels to 1792 maps at 4 x 4,
then 896, 448, 224 and the image, batch norm and ReLU between them, tanh at the end: 39,473,507 parameters. The critic
halves the image four times with 4 x 4 kernels, affine instance norm and LeakyReLU(0.2), and a last 4 x 4 kernel turns
512 maps of 4 x 4 into one score. Batches of 32.

The paper prints two critics, with 64 maps next to the image (2,766,593 parameters, no bias in the first convolution)
and with 224 (33,767,777, with that bias), for inputs of 128 and 224 px. They are one architecture without a fixed
input: `critic_width` and `first_conv_bias` choose, and at the 64 px of its text both give one score. Biases before a
norm do nothing; they are kept because they are counted.

Its text contradicts its tables (batch norm in the critic, LeakyReLU in G); the tables count. It leaves out the learning
rate, Adam's betas, the critic steps per generator step and the weight of the penalty: those here are Gulrajani's. It
trains a network per class, which is what `classes: [mel]` gives: with a single class no label enters. With several
classes the class enters G as a one-hot vector beside the noise and leaves the critic as one score per class, of which
the image's own counts. Real, fake and the images between them share a label, so that every class has a Wasserstein
distance and a penalty of its own.

Instance norm right behind the first, linear layer hides from the critic what shifts or multiplies an image: brightness,
tint and contrast show only where its padded border does. The generator still finds them, but later: at 32 px, on 1,431
images of HAM10000 and in one run each, it reached the contrast of real images after 1,000 critic steps, and after 400
with `critic_norm: none`.

Other sizes have more or fewer doublings in G, with at most the paper's 1792 maps. The critic is the same at 64 px and
above, where it scores several overlapping windows of 94 px and the image's score is their mean; below, it halves down
to 4 x 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars
from dermsynth.algorithms.layers import doubling_maps, doublings, normal_init, own_class, with_class
from dermsynth.core.errors import InputError

_STAGES = 4
"""Doublings of the paper's generator, halvings of its critic: 4 px to 64 px."""


class WganGpConfig(DiscriminatingConfig):
    """Paper 001's settings, and Gulrajani's where it has none; paper 001's other critic is 224 with a bias."""

    batch_size: int = Field(32, ge=2, description="real images per step of the critic")
    latent: int = Field(200, ge=1, description="length of the noise vector")
    width: int = Field(224, ge=1, description="the generator's maps next to the image; they double towards 4 x 4")
    critic_width: int = Field(64, ge=1, description="the critic's maps next to the image; they double likewise")
    first_conv_bias: bool = Field(False, description="whether the critic's first convolution has a bias")
    critic_norm: Literal["instance", "none"] = Field("instance", description="what follows the critic's convolutions")
    n_critic: int = Field(5, ge=1, description="steps of the critic for each of the generator")
    penalty: float = Field(10.0, ge=0, description="weight of the gradient penalty")
    learning_rate: float = Field(1e-4, gt=0)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.9, ge=0, lt=1)


class WganGp(Algorithm):
    """WGAN-GP with the class as a condition; unconditional for one class."""

    name = "wgan-gp"
    Config = WganGpConfig
    config: WganGpConfig

    # The gradient of the critic is part of its loss, and its scores have no zero: only their differences mean anything.
    twice_differentiated = frozenset({"critic"})
    scores_are_logits = False

    @classmethod
    def check(cls, config: WganGpConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless `size_px` is 4 doubled at least twice."""
        if (doublings(size_px) or 0) < 2:
            raise InputError(
                f"wgan-gp doubles 4 px up to the image size, so it makes 16, 32, 64, 128, … px, not {size_px}; "
                "ingest the cohort at one of these sizes"
            )

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator` and `critic` with DCGAN's initial weights."""
        stages = doublings(self.size_px) or 0
        self.generator = Generator(self.config, stages, self.condition)
        self.critic = Critic(self.config, min(stages, _STAGES), self.condition)
        self.augmentation = Augmentation(self.config)
        return {"generator": self.generator, "critic": self.critic, "augmentation": self.augmentation}

    def phases(self) -> list[Phase]:
        """Return one critic step, and a generator step after every `n_critic` of them."""
        config = self.config
        adam = Adam(learning_rate=config.learning_rate, beta1=config.beta1, beta2=config.beta2)
        return [
            Phase("critic", self.critic, self.critic_loss, adam),
            Phase("generator", self.generator, self.generator_loss, adam, every=config.n_critic),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return E[D(G(z))] - E[D(x)] + penalty · E[(‖∇D(x̂)‖ - 1)²], to be differentiated as one.

        The critic is held to unit slope where it looks: between the images that it sees, altered or not.
        """
        with torch.no_grad():
            fake = self.generator(batch.noise, batch.labels)
        real, fake = self.augmentation(batch.images, batch, "real"), self.augmentation(fake, batch, "fake")
        # Instance norm keeps images apart, so that one pass scores both sets.
        score_real, score_fake = self.critic(torch.cat([real, fake]), batch.labels.repeat(2)).chunk(2)
        mix = batch.draws.uniform("mix")
        penalty = losses.gradient_penalty(lambda images: self.critic(images, batch.labels), real, fake, mix)
        wasserstein = score_real.mean() - score_fake.mean()
        loss = self.config.penalty * penalty - wasserstein
        return loss, {
            "loss_critic": loss,
            "wasserstein": wasserstein,
            "penalty": penalty,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            **self.augmentation.observe(score_real - score_fake, batch),
        }

    def feature_layers(self) -> nn.Sequential | None:
        """Return the critic's layers but the last."""
        return nn.Sequential(*list(self.critic.layers)[:-1], nn.Flatten())

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return -E[D(G(z))] for noise that the critic has not seen, as algorithm 1 draws it."""
        fake = self.generator(batch.draws.normal("generator", self.latent), batch.labels)
        loss = -self.critic(self.augmentation(fake, batch, "generator"), batch.labels).mean()
        return loss, {"loss_generator": loss}


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size in [-1, 1], float32, of 4 · 2^stages px."""

    def __init__(self, config: WganGpConfig, stages: int, condition: int) -> None:
        super().__init__()
        self.condition = condition
        widest = config.width * 2 ** (_STAGES - 1)
        maps = [min(number, widest) for number in reversed(doubling_maps(config.width, stages))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(config.latent + condition, maps[0], 4)]
        for before, after in itertools.pairwise(maps):
            layers += [nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        layers += [nn.BatchNorm2d(maps[-1]), nn.ReLU(inplace=True), nn.ConvTranspose2d(maps[-1], 3, 4, 2, 1)]
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        first = with_class(noise, labels, self.condition)[:, :, None, None]
        images: Tensor = self.layers(first.contiguous(memory_format=torch.channels_last))
        return images.float().tanh()


class Critic(nn.Module):
    """Images N x 3 x H x W, labels N -> the score of each image as one of its own class, N, float32.

    `stages` is how often it halves the image; H and W are at least 4 · 2^stages px.
    """

    def __init__(self, config: WganGpConfig, stages: int, condition: int) -> None:
        super().__init__()
        maps = doubling_maps(config.critic_width, stages)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([3, *maps]):
            biased = bool(layers) or config.first_conv_bias
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=biased)]
            if config.critic_norm == "instance":
                # As group norm with a map per group; torch's instance norm copies channels-last maps to and fro.
                layers += [nn.GroupNorm(after, after)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Conv2d(maps[-1], condition or 1, 4)]
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one score per image: the mean of the windows' scores of its class."""
        return own_class(self.windows(images).mean(dim=(2, 3)), labels)

    def windows(self, images: Tensor) -> Tensor:
        """Return a score per class and window, N x K x h x w, float32: 1 x 1 for 64 px, 5 x 5 for 128, 11 x 11 for 224.

        K is the number of classes, 1 where the critic is unconditional.
        """
        scores: Tensor = self.layers(images)
        return scores.float()
