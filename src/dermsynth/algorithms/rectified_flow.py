"""Rectified flow (Liu et al. 2022, arXiv:2209.03003; flow matching, Lipman et al. 2022, arXiv:2210.02747).

Noise z and an image x are joined by the straight line x_t = (1 - t)·z + t·x. A network learns the velocity x - z from
x_t and t by least squares; following the mean velocity from t = 0 to t = 1 turns noise into images (Liu et al.,
equations 1 and 2). There is one network and no game: the loss falls or something is wrong.

- Velocity is x_t's best linear estimate plus a U-Net's residual, scaled so that the U-Net's input and target have unit
  variance: the preconditioning of EDM (Karras et al. 2022, arXiv:2206.00364, table 1) carried over to the straight
  line; see `VelocityNetwork`. The loss is the plain velocity error of Liu et al., which weighs all times about alike.
- Training times are logit-normal (SD3, Esser et al. 2024, arXiv:2403.03206, section 3.1), but wider than SD3's: in
  pixels, unlike its latents, a skin's colour is decided at t = 0.07 and its grain at t = 0.98. They follow a
  low-discrepancy sequence, so that every batch covers them evenly (Kingma et al. 2021, arXiv:2107.00630, I.1).
- Sampling steps are even in the logit of t, which is half the log signal-to-noise ratio, and of second order: see
  `integrate` and `steps`.
- Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): labels are now and then replaced by 'no class'.
- The learning rate warms up, then falls linearly to zero (Bergsma et al. 2025, arXiv:2502.15938).
- Images are mirrored along both axes: a lesion has no upper side.

Where the U-Net works is what it costs: pixels are folded into channels first (2 x 2 at 64 px), so that it starts at
32 px. With `width` 32 it trains four times as fast as with 64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms.base import Adam, Algorithm, AlgorithmConfig, Batch, Phase, Scalars
from dermsynth.algorithms.layers import doubling_maps, doublings, embedded
from dermsynth.core.errors import InputError

_LAST_PX = 8
"""Side of the maps in the middle of the U-Net."""
_REFERENCE_PX = 64
_FIRST_LOGIT, _LAST_LOGIT = -4.0, 5.0
"""Logits of the times at 64 px before and after which the path is all but straight.

A pattern of root mean square r (in units in which noise has 1) is decided about t = 1 / (1 + r), logit -log r. In ISIC
2018 at 64 px that is -2.5 for the mean colour of an image and 3.9 for its finest grain. Mean colours, summed over more
pixels, stand out of stronger noise in larger images; the grain of a pixel does not.
"""
_FREQUENCIES = 32
_GOLDEN = 2654435769
"""2³² divided by the golden ratio: its multiples modulo 2³² cover that range evenly."""

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Points N x 3 x H x W and times N -> velocities N x 3 x H x W."""
Sampler = Literal["dpm", "euler", "heun"]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class RectifiedFlowConfig(AlgorithmConfig):
    """The method has no table of layers; these serve some thousands of images of 64 px."""

    batch_size: int = Field(32, ge=1, description="real images per step")
    width: int = Field(64, ge=4, description="maps next to the image; they double towards the 8 px end")
    blocks: int = Field(1, ge=1, description="residual blocks per resolution, on the way down and on the way up each")
    patch_px: int | None = Field(
        None, ge=1, description="side of the squares folded into channels; by default size / 32, at least 1, at most 4"
    )
    attention_px: Literal[0, 8, 16] = Field(8, description="largest maps with self-attention; 0: none")
    learning_rate: float = Field(1e-3, gt=0, description="after the warm-up; then it falls linearly to 0")
    warm_up: float = Field(0.05, ge=0, lt=1, description="share of the budget over which the learning rate rises")
    time_mean: float = Field(0.0, description="mean logit of the training times at 64 px; below 0: nearer to noise")
    time_deviation: float = Field(1.8, gt=0, description="standard deviation of that logit")
    label_dropout: float = Field(0.1, ge=0, lt=1, description="share of the labels replaced by 'no class'")
    mirrored: bool = Field(True, description="mirror images left to right and upside down at random")
    guidance: float = Field(
        1.0, ge=0, le=20, description="1 follows the class; more exaggerates it at twice the cost; 0 ignores it"
    )
    sampling_steps: int = Field(12, ge=4, le=1000, description="steps from noise to image")
    sampler: Sampler = Field("dpm", description="euler needs several times the steps; heun costs two evaluations each")


class RectifiedFlow(Algorithm):
    """Rectified flow with classifier-free guidance; unconditional for one class, where guidance has no meaning."""

    name = "rectified-flow"
    Config = RectifiedFlowConfig
    config: RectifiedFlowConfig
    sampling = frozenset({"guidance", "sampling_steps", "sampler"})

    @classmethod
    def check(cls, config: RectifiedFlowConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError unless size / patch is 8 doubled at least once, up to 256 px."""
        patch_px = _patch_px(config, size_px)
        if not (doublings(size_px, 16) is not None and size_px <= 256):
            raise InputError(
                f"rectified-flow makes 16, 32, 64, 128 or 256 px, not {size_px}; ingest the cohort at one of these"
            )
        if not doublings(size_px // patch_px, _LAST_PX) or size_px % patch_px:
            whole = [2**power for power in range(8) if size_px // 2**power >= 2 * _LAST_PX]
            raise InputError(
                f"rectified-flow: patch_px {patch_px} does not leave 16, 32, 64, … px of {size_px}; "
                f"choose {' or '.join(map(str, whole))}"
            )

    def build(self) -> Mapping[str, nn.Module]:
        """Return the velocity network as `generator`."""
        self.velocity = VelocityNetwork(self.config, self.size_px, self.condition)
        return {"generator": self.velocity}

    def phases(self) -> list[Phase]:
        """Return the only phase; Adam's beta2 is that of EDM2 (Karras et al. 2024, arXiv:2312.02696)."""
        optimiser = Adam(learning_rate=self.config.learning_rate, beta2=0.99)
        return [Phase("generator", self.velocity, self.loss, optimiser, schedule=self.schedule)]

    @property
    def latent(self) -> int:
        """Return the number of values of an image: the path starts from noise of its shape."""
        return 3 * self.size_px**2

    def schedule(self, progress: float) -> float:
        """Return the factor of the learning rate: a linear rise, then a straight line to 0 at the end."""
        rise = 1.0 if not self.config.warm_up else min(1.0, 0.01 + progress / self.config.warm_up)
        return rise * (1 - progress)

    def loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return E‖v(x_t, t) - (x - z)‖² per value (Liu et al., equation 1), logged for thirds of the time as well."""
        images = self.mirror(batch) if self.config.mirrored else batch.images
        noise = self.start(batch.noise)
        times = self.times(batch)
        found = self.velocity(between(noise, images, times), times, self.dropped(batch))
        errors = (found - (images - noise)).square().mean(dim=(1, 2, 3))
        loss = errors.mean()
        third = (times * 3).long().clamp(max=2)
        return loss, {
            "loss_generator": loss,
            **{
                f"loss_{name}": _mean_where(third == number, errors)
                for number, name in enumerate(("near_noise", "halfway", "near_image"))
            },
        }

    def times(self, batch: Batch) -> Tensor:
        """Return this step's times, N, in [0, 1]."""
        total, rows = batch.draws.total, batch.draws.rows
        count = torch.arange(total, device=batch.images.device)[rows] + batch.draws.step * total
        even = (count * _GOLDEN % 2**32).float().add(0.5) / 2**32
        logit = self.config.time_mean + self.config.time_deviation * torch.special.ndtri(even)
        # Of the span of logits that matter, the end near noise moves with the size; its middle moves by half of that.
        return torch.sigmoid(logit - math.log(self.size_px / _REFERENCE_PX) / 2)

    def dropped(self, batch: Batch) -> Tensor:
        """Return the labels, N, with a share of them replaced by 'no class'."""
        if not self.condition:
            return batch.labels
        drop = batch.draws.uniform("label dropout") < self.config.label_dropout
        return torch.where(drop, self.condition, batch.labels)

    def mirror(self, batch: Batch) -> Tensor:
        """Return the batch's images, each mirrored left to right, upside down, both or not at all."""
        across, down = (batch.draws.uniform("mirror", 2) < 0.5).view(-1, 2, 1, 1, 1).unbind(dim=1)
        images = torch.where(across, batch.images.flip(3), batch.images)
        return torch.where(down, images.flip(2), images)

    def start(self, noise: Tensor) -> Tensor:
        """Return noise N x latent as points N x 3 x size x size."""
        return noise.view(-1, 3, self.size_px, self.size_px).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def draw(self, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images N x 3 x size x size, float32 in [-1, 1]: the ends of the paths that start in `noise`."""
        times = steps(self.config.sampling_steps, self.size_px)
        ends = integrate(self.guided(generator, labels), self.start(noise), times, self.config.sampler)
        return ends.clamp(-1, 1)

    def guided(self, network: Callable[..., Tensor], labels: Tensor) -> Velocity:
        """Return the velocity v(no class) + guidance·(v(class) - v(no class)) (Ho and Salimans, equation 6).

        Their strength w is our guidance - 1, so that guidance 1 is the plain conditional velocity.
        """
        guidance = self.config.guidance
        nothing = torch.full((len(labels),), self.condition, device=labels.device)
        if labels.is_floating_point():  # shares of classes, and none of "no class"
            labels, nothing = F.pad(labels, (0, 1)), F.one_hot(nothing, self.condition + 1).to(labels.dtype)

        def velocity(points: Tensor, times: Tensor) -> Tensor:
            if not self.condition or guidance == 1:
                return network(points, times, labels)
            if guidance == 0:
                return network(points, times, nothing)
            both = network(torch.cat([points, points]), torch.cat([times, times]), torch.cat([nothing, labels]))
            without, with_class = both.chunk(2)
            return torch.lerp(without, with_class, guidance)

        return velocity


def between(noise: Tensor, images: Tensor, times: Tensor) -> Tensor:
    """Return (1 - t)·noise + t·image for times N."""
    return torch.lerp(noise, images, times.view(-1, 1, 1, 1))


def steps(count: int, size_px: int) -> list[float]:
    """Return the ends of `count` steps from 0 to 1, those between even in the logit, `count` + 1 times in all."""
    first = _FIRST_LOGIT - math.log(size_px / _REFERENCE_PX)
    logits = [first + (_LAST_LOGIT - first) * number / (count - 2) for number in range(count - 1)]
    return [0.0, *(1 / (1 + math.exp(-logit)) for logit in logits), 1.0]


def integrate(velocity: Velocity, points: Tensor, times: Sequence[float], sampler: Sampler) -> Tensor:
    """Follow a velocity from the first of the rising `times`, all in [0, 1], to the last.

    `dpm` is DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2) with signal t and noise 1 - t: between
    two times the image that the velocity aims at is taken as linear in the logit of t, from its last two values, and
    the rest is solved exactly. For Gaussian images with the spectrum of ISIC 2018 at 64 px, 12 such steps leave 1/60
    of the squared error of 20 even Euler steps, which lose a quarter of the variation between images.

    Args:
        velocity: Of N points at N times.
        points: Where to start, N x 3 x H x W.
        times: The ends of all steps.
        sampler: `dpm` (second order, one evaluation per step), `euler` (first, one) or `heun` (second, two).
    """

    def at(points: Tensor, time: float) -> Tensor:
        return velocity(points, torch.full((len(points),), time, dtype=points.dtype, device=points.device))

    aim_before, length_before = points, math.inf
    for now, then in itertools.pairwise(times):
        slope = at(points, now)
        if sampler == "dpm":
            aim, length = points + (1 - now) * slope, _logit(then) - _logit(now)
            # At the first and the last time the logit is infinite: there, the aim is taken as it is.
            ahead = 0.0 if math.isinf(length) or math.isinf(length_before) else length / length_before / 2
            likely = torch.lerp(aim_before, aim, 1 + ahead)
            points = (1 - then) / (1 - now) * points - then * math.expm1(-length) * likely
            aim_before, length_before = aim, length
            continue
        reached = points + (then - now) * slope
        if sampler == "heun":
            reached = points + (then - now) * (slope + at(reached, then)) / 2
        points = reached
    return points


def _logit(time: float) -> float:
    return math.log(time / (1 - time)) if 0 < time < 1 else math.copysign(math.inf, time - 0.5)


def _mean_where(where: Tensor, errors: Tensor) -> Tensor:
    """Return the mean of the errors in a third of the time; of all where none is in it, as in tiny batches."""
    chosen = torch.where(where, errors, 0.0).sum() / where.sum().clamp(min=1)
    return torch.where(where.any(), chosen, errors.mean()).detach()


class VelocityNetwork(nn.Module):
    """Points N x 3 x S x S, times N, labels N (K: 'no class') -> velocities N x 3 x S x S, float32.

    With images of variance s² about 0 and noise of variance 1, x_t has variance d = t²s² + (1 - t)², and the best
    linear estimate of the velocity from it is (ts² - (1 - t)) / d · x_t, which leaves an error of variance s² / d. So
    the U-Net sees x_t / √d, and its output times s / √d is added to that estimate. At first its output is 0.
    """

    deviation = 0.5
    """s: root mean square of pixels in [-1, 1]; EDM's value. Dermoscopy at 64 px has 0.45."""

    def __init__(self, config: RectifiedFlowConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.patch_px = _patch_px(config, size_px)
        sides_px = [size_px // self.patch_px]
        while sides_px[-1] > _LAST_PX:
            sides_px.append(sides_px[-1] // 2)
        maps = doubling_maps(config.width, len(sides_px))
        features = 4 * config.width
        self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, features), nn.SiLU(), nn.Linear(features, features))
        self.label = nn.Embedding(condition + 1, features) if condition else None
        self.enter = nn.Conv2d(3 * self.patch_px**2, maps[0], 3, padding=1)
        self.down, self.up, self.lift = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, side_px in enumerate(sides_px):
            attends = side_px <= config.attention_px
            outer, inner = maps[max(0, level - 1)], maps[level]
            self.down.append(Stage(outer, inner, features, config.blocks, attends=attends))
            self.up.append(Stage(inner, inner, features, config.blocks, attends=attends))
            if level:
                self.lift.append(nn.Conv2d(inner, outer, 1))
        self.leave_norm = nn.GroupNorm(_parts(maps[0], 16), maps[0])
        self.leave = _zeroed(nn.Conv2d(maps[0], 3 * self.patch_px**2, 3, padding=1))

    def forward(self, points: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """Return velocities in float32, whatever the precision of the layers."""
        t = times.view(-1, 1, 1, 1)
        variance = (t * self.deviation).square() + (1 - t).square()
        linear = (t * self.deviation**2 - (1 - t)) / variance * points
        residual = self.unet(points * variance.rsqrt(), self.described(times, labels)).float()
        return linear + residual * variance.rsqrt() * self.deviation

    def described(self, times: Tensor, labels: Tensor) -> Tensor:
        """Return what all blocks are told about time and class, N x features."""
        octaves = torch.linspace(0, 7, _FREQUENCIES, device=times.device)
        phases = times[:, None] * torch.pi * 2**octaves
        found: Tensor = self.time(torch.cat([phases.cos(), phases.sin()], dim=1))
        return F.silu(found if self.label is None else found + embedded(self.label, labels))

    def unet(self, x: Tensor, told: Tensor) -> Tensor:
        """Return the residual, N x 3 x S x S. The ways across are added, which is cheaper than joining maps."""
        x = self.enter(F.pixel_unshuffle(x, self.patch_px).contiguous(memory_format=torch.channels_last))
        across = []
        for level, stage in enumerate(self.down):
            if level:
                x = F.avg_pool2d(x, 2)
            x = stage(x, told)
            across.append(x)
        for level in reversed(range(len(self.up))):
            if level < len(self.lift):
                x = F.interpolate(self.lift[level](x), scale_factor=2.0, mode="nearest") + across[level]
            x = self.up[level](x, told)
        return F.pixel_shuffle(self.leave(F.silu(self.leave_norm(x))), self.patch_px)


class Stage(nn.Module):
    """The residual blocks of one resolution, each followed by self-attention where it `attends`.

    N x before x H x W, N x features -> N x after x H x W.
    """

    def __init__(self, before: int, after: int, features: int, blocks: int, *, attends: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for number in range(blocks):
            self.layers.append(ResidualBlock(after if number else before, after, features))
            if attends:
                self.layers.append(Attention(after))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Return the maps after all layers."""
        for layer in self.layers:
            x = layer(x, told)
        return x


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; time and class scale and shift the maps between them (FiLM).

    N x before x H x W, N x features -> N x after x H x W (ADM, Dhariwal and Nichol 2021, arXiv:2105.05233, section 3).
    """

    def __init__(self, before: int, after: int, features: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_parts(before, 16), before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = nn.GroupNorm(_parts(after, 16), after, affine=False)
        self.film = _zeroed(nn.Linear(features, 2 * after))
        self.conv2 = _zeroed(nn.Conv2d(after, after, 3, padding=1))
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Return the shortcut plus the residual, which is 0 at first."""
        scale, shift = self.film(told)[:, :, None, None].chunk(2, dim=1)
        found = self.norm2(self.conv1(F.silu(self.norm1(x))))
        return torch.add(self.shortcut(x), self.conv2(F.silu(found * (1 + scale) + shift)))


class Attention(nn.Module):
    """Self-attention between all places of the maps, with heads of 32 maps; N x C x H x W -> the same shape."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.heads = _parts(maps, 32)
        self.norm = nn.GroupNorm(_parts(maps, 16), maps)
        self.ask = nn.Linear(maps, 3 * maps)
        self.answer = _zeroed(nn.Linear(maps, maps))

    def forward(self, x: Tensor, _told: Tensor) -> Tensor:
        """Return x plus what its places tell each other, which is nothing at first; time and class do not matter."""
        n, maps, height, width = x.shape
        places = self.norm(x).permute(0, 2, 3, 1).reshape(n, height * width, maps)
        split = self.ask(places).view(n, height * width, 3, self.heads, maps // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(n, height * width, maps)
        answer: Tensor = self.answer(mixed)
        return x + answer.view(n, height, width, maps).permute(0, 3, 1, 2)


def _patch_px(config: RectifiedFlowConfig, size_px: int) -> int:
    return config.patch_px or min(4, max(1, size_px // 32))


def _parts(maps: int, size: int) -> int:
    """Return into how many equal parts of about `size` maps divide."""
    return max(count for count in range(1, max(1, maps // size) + 1) if maps % count == 0)


def _zeroed(layer: Layer) -> Layer:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
