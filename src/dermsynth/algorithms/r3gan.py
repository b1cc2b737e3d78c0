"""R3GAN, "a modern GAN baseline" (Huang, Gokaslan, Kuleshov, Tompkin 2024, arXiv:2501.05441).

The loss is relativistic: image i of the real batch is paired with image i of the fake batch, and the discriminator
learns the difference of their scores. R1 and R2, the squared gradients at real and at fake images, make it converge
where a relativistic loss alone does not. The networks are ResNets without normalisation and without StyleGAN's tricks:
blocks of a 1 x 1, a grouped 3 x 3 and a 1 x 1 convolution whose last one starts at zero (fix-up initialisation,
Zhang et al. 2019, arXiv:1901.09321), bilinear resampling, a learned 4 x 4 basis that the noise modulates. Adam has
beta1 0; learning rate and gamma fall along a cosine.

The defaults are those of a processor with two cores; the paper's networks for faces of 64 px are `width=384 widest=768
blocks=2 expansion=2 latent=64 batch_size=256`, and its gamma 2 -> 0.2 and learning rate 2e-4 -> 5e-5 are kept. Three
things differ. One forward and one backward pass of the discriminator give loss, R1 and R2, whose gradients are taken
at what the discriminator sees, that is behind an augmentation. Both phases of a step use the same fake images. And as
only differences of scores mean something here, ADA observes these: of a discriminator at its target of 0.6, with
scores spread normally, the pairs' differences have the mean sign 0.77, which is the default.

The batch's classes serve real and fake images alike, so that a pair is of one class. The class enters G as an embedding
beside the noise and D as the projection of its features (Miyato and Koyama 2018, arXiv:1802.05637).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars
from dermsynth.algorithms.convolution import Conv2d
from dermsynth.algorithms.layers import doublings, embedded
from dermsynth.core.errors import InputError

_FIRST_PX, _LARGEST_PX = 4, 256
_SLOPE = 0.2


class R3ganConfig(DiscriminatingConfig):
    """Settings for two processor cores; the module names the paper's."""

    latent: int = Field(64, ge=1, description="length of the noise vector")
    width: int = Field(32, ge=1, description="maps at the size of the image; they double towards the 4 x 4 end")
    widest: int = Field(256, ge=1, description="most maps of a stage")
    blocks: int = Field(1, ge=1, description="residual blocks of every stage")
    expansion: int = Field(1, ge=1, description="maps inside a block, in multiples of those outside")
    group: int = Field(16, ge=1, description="maps of one group of the 3 x 3 convolutions")
    learning_rate: float = Field(2e-4, gt=0)
    final_learning_rate: float = Field(5e-5, gt=0)
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's; the paper raises it from 0.9")
    gamma: float = Field(2.0, ge=0, description="weight of R1 and R2 at 64 px; it grows with the number of pixels")
    final_gamma: float = Field(0.2, ge=0)
    burn_in: float = Field(
        0.5, gt=0, le=1, description="share of the budget in which learning rate and gamma reach their final values"
    )
    penalty_every: int = Field(1, ge=1, description="steps from one penalty to the next, which weighs the more")
    ada_target: float = Field(0.77, gt=0, lt=1, description="ada: mean sign of score differences of pairs to hold")


class R3gan(Algorithm):
    """R3GAN with the class as a condition; unconditional for one class."""

    name = "r3gan"
    Config = R3ganConfig
    config: R3ganConfig
    sampling = frozenset()
    twice_differentiated = frozenset({"discriminator"})

    @classmethod
    def check(cls, config: R3ganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless `size_px` is 16 to 256 and 4 doubled, and groups divide the maps of all stages."""
        if (doublings(size_px, _FIRST_PX) or 0) < 2 or size_px > _LARGEST_PX:
            raise InputError(
                f"r3gan doubles 4 px up to the image size, so it makes 16, 32, 64, 128 or 256 px, not {size_px}; "
                "ingest the cohort at one of these sizes"
            )
        for maps in _maps(config, size_px):
            inside = maps * config.expansion
            if inside % min(config.group, inside):
                raise InputError(
                    f"r3gan: {inside} maps of a block cannot be divided into groups of {config.group}; "
                    "choose a power of two for --set width=…, widest=… and group=…"
                )

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator`, `discriminator` and what the discriminator's images are altered by."""
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
        adam = Adam(learning_rate=self.config.learning_rate, beta1=0, beta2=self.config.beta2)
        return [
            Phase("discriminator", self.discriminator, self.discriminator_loss, adam, schedule=self.rate),
            Phase("generator", self.generator, self.generator_loss, adam, schedule=self.rate),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    def rate(self, progress: float) -> float:
        """Return the factor of the learning rate."""
        return self._eased(1, self.config.final_learning_rate / self.config.learning_rate, progress)

    def gamma(self, progress: float) -> float:
        """Return the weight of the penalty at this share of the budget."""
        return self._eased(self.config.gamma, self.config.final_gamma, progress) * (self.size_px / 64) ** 2

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return E[softplus(D(fake) - D(real))] + gamma / 2 (R1 + R2) (equation 4)."""
        fake = self.augmentation(self.fake(batch).detach(), batch, "fake")
        seen = torch.cat([self.real(batch), fake])
        penalised = batch.draws.step % self.config.penalty_every == 0
        scores = self.discriminator(seen.requires_grad_(penalised), batch.labels.repeat(2))
        score_real, score_fake = scores.chunk(2)
        pairing = loss = losses.relativistic_pairing(score_real, score_fake)
        scalars = {}
        if penalised:
            # The mean over twice as many images is half of R1 + R2.
            penalty = 2 * losses.squared_gradient(scores, seen)
            loss = pairing + self.gamma(batch.progress) / 2 * self.config.penalty_every * penalty
            scalars = {"penalty": penalty}
        return loss, {
            "loss_discriminator": pairing,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            **scalars,
            **self.augmentation.observe(score_real - score_fake, batch),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return E[softplus(D(real) - D(fake))] of the same pairs under the updated discriminator."""
        fake = self.augmentation(self.fake(batch), batch, "generator")
        with torch.no_grad():
            score_real = self.discriminator(self.real(batch), batch.labels)
        loss = losses.relativistic_pairing(self.discriminator(fake, batch.labels), score_real)
        return loss, {"loss_generator": loss}

    def fake(self, batch: Batch) -> Tensor:
        """Return this step's fake images; both phases use the same ones, since G changes only after the second."""
        return batch.once("fake", lambda: self.generator(batch.noise, batch.labels))

    def feature_layers(self) -> nn.Sequential | None:
        """Return the discriminator's layers but the last."""
        net = self.discriminator
        return nn.Sequential(net.from_rgb, *net.stages, net.basis, nn.Flatten())

    def real(self, batch: Batch) -> Tensor:
        """Return this step's real images as the discriminator sees them."""
        return batch.once("real", lambda: self.augmentation(batch.images, batch, "real"))

    def draw(self, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in [-1, 1]; the generator has no tanh and may leave the range a little."""
        return super().draw(generator, noise, labels).clamp(-1, 1)

    def _eased(self, first: float, last: float, progress: float) -> float:
        """Return a value that falls from `first` to `last` along half a cosine in the burn-in."""
        done = min(progress / self.config.burn_in, 1)
        return last + (first - last) * (1 + math.cos(math.pi * done)) / 2


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size, float32, around [-1, 1]."""

    def __init__(self, config: R3ganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        maps = _maps(config, size_px)[::-1]
        self.embed = nn.Embedding(condition, config.latent) if condition else None
        inputs = config.latent * 2 if condition else config.latent
        self.modulate = nn.Linear(inputs, maps[0], bias=False)
        self.basis = nn.Parameter(torch.randn(1, maps[0], _FIRST_PX, _FIRST_PX))
        total = config.blocks * len(maps)
        stages: list[nn.Module] = [_blocks(config, maps[0], total)]
        for before, after in itertools.pairwise(maps):
            stages += [_Up(before, after), _blocks(config, after, total)]
        self.stages = nn.Sequential(*stages)
        self.to_rgb = nn.Conv2d(maps[-1], 3, 1)
        _fan_in_init(self.modulate, self.to_rgb)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        if self.embed is not None:
            noise = torch.cat([noise, embedded(self.embed, labels)], dim=1)
        first = self.basis * self.modulate(noise)[:, :, None, None]
        images: Tensor = self.to_rgb(self.stages(first.contiguous(memory_format=torch.channels_last)))
        return images.float()


class Discriminator(nn.Module):
    """Images N x 3 x size x size, labels N -> scores N, float32, of which only differences mean something."""

    def __init__(self, config: R3ganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        maps = _maps(config, size_px)
        total = config.blocks * len(maps)
        self.from_rgb = Conv2d(3, maps[0], 1)
        stages: list[nn.Module] = []
        for before, after in itertools.pairwise(maps):
            stages += [_blocks(config, before, total), _Down(before, after)]
        self.stages = nn.Sequential(*stages, _blocks(config, maps[-1], total))
        self.basis = Conv2d(maps[-1], maps[-1], _FIRST_PX, groups=maps[-1], bias=False)
        self.score = nn.Linear(maps[-1], 1, bias=False)
        self.embed = nn.Embedding(condition, maps[-1]) if condition else None
        _fan_in_init(self.from_rgb, self.basis, self.score)
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, 0, maps[-1] ** -0.5)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one score per image, in float32."""
        features = self.basis(self.stages(self.from_rgb(images))).flatten(1).float()
        direction = self.score.weight if self.embed is None else self.score.weight + self.embed(labels)
        scores: Tensor = (features * direction.float()).sum(dim=1)
        return scores


class _Block(nn.Module):
    """x + 1 x 1, grouped 3 x 3, 1 x 1; the last starts at zero, the others are scaled by (blocks in all)^(-1/4)."""

    def __init__(self, config: R3ganConfig, maps: int, total: int) -> None:
        super().__init__()
        inside = maps * config.expansion
        self.enter = Conv2d(maps, inside, 1)
        self.mix = Conv2d(inside, inside, 3, padding=1, groups=max(1, inside // config.group))
        self.leave = Conv2d(inside, maps, 1, bias=False)
        # He's gain for LeakyReLU; three layers in a branch give the exponent 1 / (2 * 3 - 2).
        _fan_in_init(self.enter, self.mix, gain=math.sqrt(2 / (1 + _SLOPE**2)) * total**-0.25)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        inside = F.leaky_relu_(self.enter(x), _SLOPE)
        added: Tensor = x + self.leave(F.leaky_relu_(self.mix(inside), _SLOPE))
        return added


class _Up(nn.Module):
    """Doubles height and width, bilinearly. The maps are mixed first: the order does not matter, and it is cheaper."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.mix = _one_by_one(before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Return N x after x 2 H x 2 W."""
        return F.interpolate(self.mix(x), scale_factor=2.0, mode="bilinear")


class _Down(nn.Module):
    """Halves height and width, bilinearly: at a factor of exactly two that is the mean of 2 x 2 pixels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.mix = _one_by_one(before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Return N x after x H / 2 x W / 2."""
        mixed: Tensor = self.mix(F.avg_pool2d(x, 2))
        return mixed


def _one_by_one(before: int, after: int) -> nn.Module:
    if before == after:
        return nn.Identity()
    layer = Conv2d(before, after, 1, bias=False)
    _fan_in_init(layer)
    return layer


def _blocks(config: R3ganConfig, maps: int, total: int) -> nn.Module:
    return nn.Sequential(*(_Block(config, maps, total) for _ in range(config.blocks)))


def _maps(config: R3ganConfig, size_px: int) -> list[int]:
    """Return the number of maps at size, size/2, …, 4 px: 32, 64, 128, 256, 256 for 64 px and the defaults."""
    stages = (doublings(size_px, _FIRST_PX) or 0) + 1
    return [min(config.width * 2**stage, config.widest) for stage in range(stages)]


def _fan_in_init(*layers: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Draw weights that keep the variance of their input times gain²; biases start at 0."""
    for layer in layers:
        nn.init.normal_(layer.weight, 0, gain / math.sqrt(layer.weight[0].numel()))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
