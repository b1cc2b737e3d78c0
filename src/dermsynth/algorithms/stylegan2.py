"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) with ADA (Karras et al. 2020, arXiv:2006.06676), for small data.

What is the papers': a mapping network with a learning rate 100 times lower turns noise into a style w; the synthesis
network starts from a learnt constant of 4 x 4, its convolutions are modulated by w and demodulated, and the image is
the sum of what every size adds (skip outputs); the discriminator is residual, with minibatch deviation before its last
layers; equalised learning rate everywhere; logistic non-saturating loss; lazy R1 in every 16th step and path-length
regularisation in every 4th, on half of the batch; style mixing for 90 % of the images; truncation towards the mean of
w; the class enters the mapping network as an embedding of the same length as the noise, and D by projection (Miyato and
Koyama 2018, arXiv:1802.05637); Adam with learning rate 2.5e-3, beta1 0, beta2 0.99, corrected for lazy regularisation;
two mapping layers and an R1 weight of 0.0002 · pixels / batch size (both of the ADA paper, for small images). What D
sees is augmented by ADA unless `augment` says otherwise, and R1 is taken at the images as D sees them.

Choices of ours:
- No noise inside the synthesis network, as in its successors (StyleGAN3, arXiv:2106.12423; R3GAN, arXiv:2501.05441): at
  16 to 256 px it adds little but time, and an image is a function of its own noise vector and label alone.
- Modulation scales what enters a convolution and demodulation what leaves it (section 2.2 of the paper says why that is
  the same as scaling the weights), so that one convolution serves the batch; grouped ones are far slower on CPUs.
- G convolves before it enlarges, by bilinear interpolation, which is the paper's filter [1, 3, 3, 1] in each direction;
  D averages 2 x 2 pixels before it convolves. Either costs what the paper's strided convolutions cost.
- The mean of w is kept per class: with truncation 0 all images of a class are that class's mean image.
- The mean path length starts at the first one measured, not at 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Literal

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
    embedded,
    pixel_norm,
)
from dermsynth.core.errors import InputError

_FIRST_PX = 4
_HE = math.sqrt(2)
"""He's gain, of all layers that a LeakyReLU follows."""


class StyleGan2Config(DiscriminatingConfig):
    """The papers' settings for images of 256 px and below. A small machine takes `width` 32 and `most_maps` 128."""

    batch_size: int = Field(32, ge=2, description="real images per step")
    augment: Literal["none", "diffaugment", "ada"] = Field("ada", description="what the discriminator sees altered")
    latent: int = Field(512, ge=1, description="length of the noise vector and of a style")
    mapping_layers: int = Field(2, ge=1, description="8 in the StyleGAN2 paper")
    width: int = Field(256, ge=1, description="maps at 64 px; twice as many at 32 px, half as many at 128 px, …")
    most_maps: int = Field(512, ge=1, description="maps are no more than this")
    learning_rate: float = Field(2.5e-3, gt=0)
    r1: float | None = Field(None, ge=0, description="gamma of R1; without a value 0.0002 · size² / batch_size")
    r1_every: int = Field(16, ge=1, description="steps between two R1 steps")
    path_length: float = Field(2.0, ge=0, description="weight of the path-length regularisation; 0 leaves it out")
    path_length_every: int = Field(4, ge=1, description="steps between two path-length steps")
    style_mixing: float = Field(0.9, ge=0, le=1, description="share of images that take later layers' style elsewhere")
    truncation: float = Field(1.0, ge=0, le=1, description="styles drawn: 1 all of them, 0 the mean of the class alone")


class StyleGan2(Algorithm):
    """StyleGAN2 with the class as a condition; unconditional for one class.

    Its penalties call the networks' `forward` or parts of them, past what `torch.compile` makes of the networks: so
    these can be compiled although they are differentiated twice.
    """

    name = "stylegan2"
    Config = StyleGan2Config
    config: StyleGan2Config
    sampling = frozenset({"truncation"})

    @classmethod
    def check(cls, config: StyleGan2Config, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless `size_px` is 4 doubled at least twice."""
        if (doublings(size_px, _FIRST_PX) or 0) < 2:
            raise InputError(
                f"stylegan2 doubles 4 px up to the image size, so it makes 16, 32, 64, 128, … px, not {size_px}; "
                "ingest the cohort at one of these sizes"
            )

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
        """Return a discriminator and a generator step, each followed by its regularisation when its turn comes."""
        c = self.config
        adam_d, adam_g = _lazy_adam(c.learning_rate, c.r1_every), _lazy_adam(c.learning_rate, c.path_length_every)
        phases = [
            Phase("discriminator", self.discriminator, self.discriminator_loss, adam_d),
            Phase("r1", self.discriminator, self.r1_loss, adam_d, every=c.r1_every),
        ]
        if not c.path_length:
            adam = Adam(learning_rate=c.learning_rate, beta1=0.0, beta2=0.99)
            return [*phases, Phase("generator", self.generator, self.generator_loss, adam)]
        return [
            *phases,
            Phase("generator", self.generator, self.generator_loss, adam_g),
            Phase("path_length", self.generator, self.path_length_loss, adam_g, every=c.path_length_every),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    @property
    def r1(self) -> float:
        """Return gamma of R1."""
        if self.config.r1 is not None:
            return self.config.r1
        return 0.0002 * self.size_px**2 / self.config.batch_size

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the logistic loss."""
        fake = self.fake(batch).detach()
        self.generator.follow_mean_style(batch.noise, batch.labels, batch.mean)
        score_real = self.discriminator(self.real(batch), batch.labels)
        score_fake = self.discriminator(self.augmentation(fake, batch, "fake"), batch.labels)
        loss = losses.discriminator_cross_entropy(score_real, score_fake)
        return loss, {
            "loss_discriminator": loss,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            **self.augmentation.observe(score_real, batch),
        }

    def r1_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return gamma / 2 · E[‖∇D(x)‖²] for all the steps until the next one."""
        penalty = losses.zero_centred_penalty(
            lambda images: self.discriminator.forward(images, batch.labels), self.real(batch)
        )
        return self.r1 / 2 * self.config.r1_every * penalty, {"penalty": penalty}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the non-saturating loss of the same fake images under the updated discriminator."""
        fake = self.augmentation(self.fake(batch), batch, "generator")
        loss = losses.generator_cross_entropy(self.discriminator(fake, batch.labels))
        return loss, {"loss_generator": loss}

    def path_length_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return E[(‖Jᵀy‖ - a)²] for all the steps until the next one (StyleGAN2, equation 4).

        J is the derivative of an image with respect to its styles, y an image of noise, a the mean of the norm so far.
        """
        half = max(1, len(batch.noise) // 2)
        styles = self.generator.styles(batch.noise[:half], batch.labels[:half])
        images = self.generator.synthesis(styles)
        noise = batch.draws.normal("path length", 3, self.size_px, self.size_px)[:half] / self.size_px
        (slope,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        lengths = slope.float().square().sum(dim=2).mean(dim=1).sqrt()
        mean = self.generator.follow_path_length(batch.mean(lengths.detach().mean()))
        penalty = (lengths - mean).square().mean()
        loss = self.config.path_length * self.config.path_length_every * penalty
        return loss, {"path_length": mean, "path_length_penalty": penalty}

    def fake(self, batch: Batch) -> Tensor:
        """Return this step's fake images, styles mixed; both phases use the same ones."""
        return batch.once("fake", lambda: self._mixed(batch))

    def real(self, batch: Batch) -> Tensor:
        """Return the real images as the discriminator sees them in this step."""
        return batch.once("real", lambda: self.augmentation(batch.images, batch, "real"))

    def draw(self, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in [-1, 1]; the generator's own may exceed it a little."""
        return super().draw(generator, noise, labels).clamp(-1, 1)

    def _mixed(self, batch: Batch) -> Tensor:
        """Return images of which some take their style from another noise vector, from a random layer on."""
        layers = self.generator.synthesis.layers
        chosen, where = batch.draws.uniform("style mixing", 2).unbind(1)
        crossover = 1 + (where * (layers - 1)).long()
        swapped = (chosen < self.config.style_mixing)[:, None] & (
            torch.arange(layers, device=crossover.device) >= crossover[:, None]
        )
        images: Tensor = self.generator(
            batch.noise, batch.labels, batch.draws.normal("style mixing noise", self.latent), swapped
        )
        return images


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size around [-1, 1], float32.

    In eval mode styles are truncated. Buffers: `mean_style` (a row per class) and `path_length`, both moving means.
    """

    mean_style: Tensor
    path_length: Tensor

    def __init__(self, config: StyleGan2Config, size_px: int, condition: int) -> None:
        super().__init__()
        self.truncation = config.truncation
        self.mapping = Mapper(config, condition)
        self.synthesis = Synthesis(config, size_px)
        self.register_buffer("mean_style", torch.zeros(condition or 1, config.latent))
        self.register_buffer("path_length", torch.zeros(()))

    def forward(
        self, noise: Tensor, labels: Tensor, other: Tensor | None = None, swapped: Tensor | None = None
    ) -> Tensor:
        """Return images; with `other` noise N x latent, the layers `swapped` (N x layers, bool) take its styles."""
        styles = self.styles(noise, labels)
        if other is not None and swapped is not None:
            styles = torch.where(swapped[:, :, None], self.styles(other, labels), styles)
        images: Tensor = self.synthesis(styles)
        return images

    def styles(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return the style of every layer, N x layers x latent, float32."""
        style: Tensor = self.mapping(noise, labels)
        if not self.training and self.truncation < 1:
            style = self._mean_of(labels).lerp(style, self.truncation)
        return style[:, None].expand(-1, self.synthesis.layers, -1)

    @torch.no_grad()
    def follow_mean_style(self, noise: Tensor, labels: Tensor, mean: Callable[[Tensor], Tensor]) -> None:
        """Move the mean style of the classes at hand towards these images'; `mean` averages over processes."""
        style = self.mapping(noise, labels)
        member = F.one_hot(self._row(labels), len(self.mean_style)).to(style.dtype)
        total, share = mean(member.T @ style / len(style)), mean(member.mean(dim=0))
        # A class with an even share of the batch moves by 1 - 0.998, as in the paper's code; one that is absent stays.
        speed = 1 - 0.998 ** (share * len(self.mean_style))
        self.mean_style.lerp_(total / share.clamp(min=1e-8)[:, None], speed[:, None])

    @torch.no_grad()
    def follow_path_length(self, length: Tensor) -> Tensor:
        """Move the mean path length by a hundredth towards this one and return it."""
        moved = torch.where(self.path_length == 0, length, self.path_length.lerp(length, 0.01))
        self.path_length.copy_(moved)
        return moved

    def _mean_of(self, labels: Tensor) -> Tensor:
        """Return N x latent, or 1 x latent where all classes have one mean."""
        if len(self.mean_style) == 1:
            return self.mean_style
        return labels @ self.mean_style if labels.is_floating_point() else self.mean_style[labels]

    def _row(self, labels: Tensor) -> Tensor:
        return labels if len(self.mean_style) > 1 else torch.zeros_like(labels)


class Mapper(nn.Module):
    """Noise N x latent, labels N -> style N x latent, float32 at any precision."""

    def __init__(self, config: StyleGan2Config, condition: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(condition, config.latent) if condition else None
        widths = [config.latent * (2 if condition else 1)] + [config.latent] * config.mapping_layers
        self.layers = nn.ModuleList(
            EqualisedLinear(before, after, gain=_HE, rate=0.01) for before, after in itertools.pairwise(widths)
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return styles."""
        with torch.autocast(noise.device.type, enabled=False):
            x = pixel_norm(noise)
            if self.embedding is not None:
                x = torch.cat([x, pixel_norm(embedded(self.embedding, labels))], dim=1)
            for layer in self.layers:
                x = F.leaky_relu(layer(x), 0.2)
        return x


class Synthesis(nn.Module):
    """Styles N x layers x latent -> images N x 3 x size x size, float32."""

    def __init__(self, config: StyleGan2Config, size_px: int) -> None:
        super().__init__()
        maps = _maps(config, size_px)
        self.constant = nn.Parameter(torch.randn(1, maps[0], _FIRST_PX, _FIRST_PX))
        self.first = ModulatedConv2d(maps[0], maps[0], config.latent)
        self.enlarging = nn.ModuleList(
            ModulatedConv2d(before, after, config.latent) for before, after in itertools.pairwise(maps)
        )
        self.refining = nn.ModuleList(ModulatedConv2d(count, count, config.latent) for count in maps[1:])
        self.to_rgb = nn.ModuleList(ToRgb(count, config.latent) for count in maps)
        self.layers = 2 * len(maps) - 1

    def forward(self, styles: Tensor) -> Tensor:
        """Return images, channels last; the convolutions of a size take a style each, its RGB that of the second."""
        each = styles.unbind(1)
        x = self.constant.expand(len(styles), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.first(x, each[0]), 0.2, inplace=True)
        images: Tensor = self.to_rgb[0](x, each[0])
        sizes = zip(self.enlarging, self.refining, self.to_rgb[1:], each[1::2], each[2::2], strict=True)
        for enlarging, refining, to_rgb, style, next_style in sizes:
            x = F.leaky_relu(_enlarge(enlarging(x, style)), 0.2, inplace=True)
            x = F.leaky_relu(refining(x, next_style), 0.2, inplace=True)
            images = _enlarge(images) + to_rgb(x, next_style)
        return images


class ModulatedConv2d(nn.Module):
    """A 3 x 3 convolution whose weights are scaled per image and input map by its style, then to unit length.

    N x before x H x W, styles N x latent -> N x after x H x W; a bias is added, and outputs have He's gain.
    """

    def __init__(self, before: int, after: int, latent: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.bias = nn.Parameter(torch.zeros(after))
        self.style = EqualisedLinear(latent, before, bias=1.0)
        self.scale = 1 / math.sqrt(before * 9)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return the convolution of every image with its own weights."""
        with torch.autocast(x.device.type, enabled=False):
            modulation = self.style(style)
            weight = self.weight * self.scale
            squares = modulation.square() @ weight.square().sum(dim=(2, 3)).T
            demodulation = _HE * (squares + 1e-8).rsqrt()
        convolved = F.conv2d(x * _per_map(modulation, x), weight, padding=1)
        return torch.addcmul(self.bias.to(convolved.dtype)[:, None, None], convolved, _per_map(demodulation, convolved))


class ToRgb(nn.Module):
    """A modulated 1 x 1 convolution to three colours, not demodulated, in float32."""

    def __init__(self, before: int, latent: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, before))
        self.bias = nn.Parameter(torch.zeros(3))
        self.style = EqualisedLinear(latent, before, bias=1.0)
        self.scale = 1 / math.sqrt(before)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return N x 3 x H x W, channels last."""
        n, _, height, width = x.shape
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weight * self.style(style)[:, None] * self.scale
        # With so few outputs a matrix per image is faster than scaling all of its pixels first.
        colours = x.permute(0, 2, 3, 1).reshape(n, height * width, -1) @ weight.to(x.dtype).mT
        images: Tensor = (colours.float() + self.bias).view(n, height, width, 3).permute(0, 3, 1, 2)
        return images


class Discriminator(nn.Module):
    """Images N x 3 x size x size, labels N -> the logit of 'real' for the image's own class, N, float32.

    Minibatch deviation lets the score of an image depend a little on those beside it.
    """

    def __init__(self, config: StyleGan2Config, size_px: int, condition: int) -> None:
        super().__init__()
        maps = _maps(config, size_px)[::-1]
        self.from_rgb = EqualisedConv2d(3, maps[0], 1, gain=_HE)
        self.blocks = nn.ModuleList(Residual(before, after) for before, after in itertools.pairwise(maps))
        self.deviation = MinibatchDeviation()
        self.last = EqualisedConv2d(maps[-1] + 1, maps[-1], 3, gain=_HE)
        self.flat = EqualisedLinear(maps[-1] * _FIRST_PX**2, maps[-1], gain=_HE)
        self.score = EqualisedLinear(maps[-1], 1)
        self.embedding = nn.Embedding(condition, maps[-1]) if condition else None

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return one logit per image."""
        x = F.leaky_relu(self.from_rgb(images), 0.2, inplace=True)
        for block in self.blocks:
            x = block(x)
        x = F.leaky_relu(self.last(self.deviation(x)), 0.2, inplace=True)
        features = F.leaky_relu(self.flat(x.flatten(1)), 0.2).float()
        with torch.autocast(images.device.type, enabled=False):
            score: Tensor = self.score(features).squeeze(1)
            if self.embedding is not None:
                score = score + (features * self.embedding(labels)).sum(dim=1) / math.sqrt(features.shape[1])
        return score


class Residual(nn.Module):
    """N x before x H x W -> N x after x H/2 x W/2; the sum of both ways keeps the variance of one."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.keeping = EqualisedConv2d(before, before, 3, gain=_HE)
        self.halving = EqualisedConv2d(before, after, 3, gain=_HE * math.sqrt(0.5))
        self.skip = EqualisedConv2d(before, after, 1, gain=math.sqrt(0.5), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = F.leaky_relu(self.keeping(x), 0.2, inplace=True)
        y = F.leaky_relu(self.halving(F.avg_pool2d(y, 2)), 0.2, inplace=True)
        halved: Tensor = y + self.skip(F.avg_pool2d(x, 2))
        return halved


def _lazy_adam(learning_rate: float, every: int) -> Adam:
    """Return Adam for a network that takes an extra step in every `every`-th (StyleGAN2, section 3.1).

    It then takes every + 1 steps where it took `every`; rate and memory are corrected for that.
    """
    correction = every / (every + 1)
    return Adam(learning_rate=learning_rate * correction, beta1=0.0, beta2=0.99**correction)


def _maps(config: StyleGan2Config, size_px: int) -> list[int]:
    """Return the number of maps at 4, 8, …, size px."""
    stages = (doublings(size_px, _FIRST_PX) or 0) + 1
    return [capped_maps(config.width, config.most_maps, _FIRST_PX * 2**stage) for stage in range(stages)]


def _enlarge(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _per_map(scale: Tensor, x: Tensor) -> Tensor:
    return scale.to(x.dtype)[:, :, None, None]
