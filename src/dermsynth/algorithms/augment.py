"""Augmentation of what a discriminator sees, for training sets of a few thousand images.

DiffAugment (Zhao et al. 2020, arXiv:2006.10738) always alters real and fake images: colour, translation, cutout. ADA
(Karras et al. 2020, arXiv:2006.06676) alters them with a probability p that rises while the discriminator tells its
training images apart too well and falls again when it does not.

What keeps the alterations out of the generated images is that the generator's images are altered in the same way: it
wins only where the altered distributions agree, and a mixture that leaves enough images as they are can be undone. With
probability p of a random quarter turn an orientation's share is mixed by (1 - p) I + p / 4, whose smallest eigenvalue
is 1 - p: equal altered distributions mean equal distributions as long as p < 1, and noise is amplified by 1 / (1 - p).
Hence p stops at 0.8, where the paper saw leaks begin. `metrics.leakage` looks for leaks in the images.

For dermoscopy: it has no upright, so turns and flips would do no harm even if they leaked. Colour is diagnostic, and
whole circles of hue and inverted brightness show the discriminator lesions that do not exist (blue skin, a light lesion
on dark skin). A leak of these would be a false sign of disease, so ADA leaves that group, `recolour`, out unless asked.
The paper found most of the gain in pixel blitting and geometry.

ADA's geometry is one bilinear sampling with reflected borders, where the paper filters with wavelets against aliasing.
Turning HAM10000 images of 64 and 128 px so keeps half of the energy of the finest octave of frequencies, which has
under 1 % of all, and 0.82 of that of the next. The loss is the same for real and fake images, and those that no
geometry hits stay sharp. Bicubic sampling would keep 0.85 and cost eight times as much.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms.base import AlgorithmConfig, Batch, Scalars

_POLICIES = {
    "none": (),
    "diffaugment": ("colour", "translation", "cutout"),
    "ada": ("blit", "geometry", "colour", "recolour"),
}
_DEFAULTS = {**_POLICIES, "ada": ("blit", "geometry", "colour")}
_LARGEST_P = 0.8
"""Beyond it ADA's alterations leak (Karras et al. 2020, section 2.2)."""
_ADJUST_EVERY = 256
"""Real images between two adjustments of p: the paper's four minibatches of 64."""


class DiscriminatingConfig(AlgorithmConfig):
    """What every algorithm with a discriminator of images has."""

    augment: Literal["none", "diffaugment", "ada"] = Field("none", description="what the discriminator sees altered")
    augment_policy: tuple[str, ...] = Field(
        (),
        description="groups of alterations; empty: those that suit dermoscopy. diffaugment: colour, translation, "
        "cutout; ada: blit, geometry, colour, and recolour (inverted brightness, any hue), which is off by default",
    )
    ada_target: float = Field(0.6, gt=0, lt=1, description="ada: mean sign of the scores of real images to hold")
    ada_kimg: float = Field(500.0, gt=0, description="ada: thousands of images in which p can rise from 0 to 1")

    @model_validator(mode="after")
    def _known_policy(self) -> DiscriminatingConfig:
        known = _POLICIES[self.augment]
        for name in self.augment_policy:
            if name not in known:
                choice = f"choose from {', '.join(known)}" if known else "set augment to diffaugment or ada"
                raise ValueError(f"augment_policy '{name}' does not belong to augment '{self.augment}'; {choice}")
        return self


class Augmentation(nn.Module):
    """Alters images before a discriminator sees them; with `augment: none` it hands them on as they are.

    Buffers (ADA only): `p`, the probability of each alteration; what was observed since its last adjustment; and the
    images seen by then.
    """

    p: Tensor
    signs: Tensor
    observed: Tensor
    adjusted_at: Tensor

    def __init__(self, config: DiscriminatingConfig) -> None:
        super().__init__()
        self.kind = config.augment
        self.policy = frozenset(config.augment_policy or _DEFAULTS[config.augment])
        self.target, self.speed = config.ada_target, 1 / (config.ada_kimg * 1000)
        if self.kind == "ada":
            self.register_buffer("p", torch.zeros(()))
            self.register_buffer("signs", torch.zeros(()))
            self.register_buffer("observed", torch.zeros(()))
            self.register_buffer("adjusted_at", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor, batch: Batch, purpose: str) -> Tensor:
        """Return altered images, N x 3 x H x W float32, channels last; may leave [-1, 1].

        Twice differentiable with respect to the images, so that a gradient penalty may reach through.

        Args:
            images: N x 3 x H x H.
            batch: Gives the draws; nothing else of it is read but how far the training is.
            purpose: Names the draw: 'real', 'fake', 'generator'.
        """
        if self.kind == "none":
            return images
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            if self.kind == "diffaugment":
                images = self._diffaugment(images, batch, purpose)
            else:
                self._adjust(batch)
                images = self._ada(images, batch, purpose)
            return images.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def observe(self, score_real: Tensor, batch: Batch) -> Scalars:
        """Learn from the scores of real images; returns what to log (ADA's r_t as `ada_sign`, and `ada_p`).

        p moves only between steps, so it does not matter into how many parts a step is divided.

        Args:
            score_real: Raw scores, N or N x …, whose zero lies between real and fake. Where only differences of scores
                have a meaning (relativistic losses, critics), those of real and fake images in pairs.
            batch: Its share of the step.
        """
        if self.kind != "ada":
            return {}
        self._adjust(batch)
        sign = batch.mean(score_real.detach().float().sign().mean())
        self.signs += sign * len(score_real)
        self.observed += len(score_real)
        return {"ada_sign": sign, "ada_p": self.p.clone()}

    @torch.no_grad()
    def _adjust(self, batch: Batch) -> None:
        """Move p towards the target by what was observed in earlier steps, at most once in a step."""
        elapsed = batch.images_seen - self.adjusted_at
        due = (elapsed >= _ADJUST_EVERY) & (self.observed > 0)
        mean = self.signs / self.observed.clamp(min=1)
        moved = self.p + (mean - self.target).sign() * elapsed * self.speed
        self.p.copy_(torch.where(due, moved.clamp(0, _LARGEST_P), self.p))
        self.signs.mul_(~due)
        self.observed.mul_(~due)
        self.adjusted_at.add_(elapsed * due)

    def _diffaugment(self, images: Tensor, batch: Batch, purpose: str) -> Tensor:
        size = images.shape[-1]
        draw = batch.draws.uniform(f"diffaugment {purpose}", 7)
        if "colour" in self.policy:
            brightness, saturation, contrast = draw[:, 0] - 0.5, draw[:, 1] * 2, draw[:, 2] + 0.5
            grey = images.mean(dim=(1, 2, 3))
            images = _recolour(images, contrast, contrast * saturation, None, grey * (1 - contrast) + brightness)
        if "translation" in self.policy:
            most = round(size / 8)
            images = shift(images, (draw[:, 3:5] * (2 * most + 1)).long() - most)
        if "cutout" in self.policy:
            side = round(size / 2)
            # The centre of the square may be any pixel, so that a part of it may lie outside.
            first = (draw[:, 5:7] * (size + 1 - side % 2)).long() - side // 2
            pixels = torch.arange(size, device=images.device)
            row, column = ((pixels >= at[:, None]) & (pixels < at[:, None] + side) for at in first.unbind(1))
            images = images * ~(row[:, None, :, None] & column[:, None, None, :])
        return images

    def _ada(self, images: Tensor, batch: Batch, purpose: str) -> Tensor:
        chance = batch.draws.uniform(f"ada {purpose} chance", 13)
        uniform = batch.draws.uniform(f"ada {purpose} uniform", 8)
        normal = batch.draws.normal(f"ada {purpose} normal", 7)
        if self.policy & {"blit", "geometry"}:
            images = warp(images, self._geometry(images.shape[-1], chance, uniform, normal))
        if self.policy & {"colour", "recolour"}:
            images = self._colours(images, chance[:, 8:], uniform, normal)
        return images

    def _geometry(self, size: int, chance: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        """Return N x 2 x 3: where in the input each output position is read, in units of half the image's side."""
        place = torch.eye(3, device=chance.device).repeat(len(chance), 1, 1)
        if "blit" in self.policy:
            hit = chance[:, :3] < self.p
            flip = torch.where(hit[:, 0] & (uniform[:, 0] < 0.5), -1.0, 1.0)
            quarter = torch.where(hit[:, 1], (uniform[:, 1] * 4).floor(), 0) * (math.pi / 2)
            pixels = torch.where(hit[:, 2:3], ((uniform[:, 2:4] * 2 - 1) * 0.125 * size).round(), 0)
            place = _scaling(flip, torch.ones_like(flip)) @ _rotation(quarter) @ _translation(pixels * 2 / size)
        if "geometry" in self.policy:
            # Two rotations of probability q have, together, the probability p of one: p = 1 - (1 - q)².
            turning = 1 - (1 - self.p).sqrt()
            zoom = torch.where(chance[:, 3] < self.p, (0.2 * normal[:, 0]).exp2(), 1)
            stretch = torch.where(chance[:, 4] < self.p, (0.2 * normal[:, 1]).exp2(), 1)
            before, after = torch.where(chance[:, 5:7] < turning, (uniform[:, 4:6] * 2 - 1) * math.pi, 0).unbind(1)
            moved = torch.where(chance[:, 7:8] < self.p, 0.125 * normal[:, 2:4], 0)
            place = place @ _rotation(before) @ _scaling(zoom * stretch, zoom / stretch) @ _rotation(after)
            place = place @ _translation(moved * 2)
        return place[:, :2]

    def _colours(self, images: Tensor, chance: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        one = torch.ones(len(images), device=images.device)
        value, chroma, hue, offset = one, one, None, torch.zeros_like(one)
        hit = chance < self.p
        if "colour" in self.policy:
            contrast = torch.where(hit[:, 1], (0.5 * normal[:, 5]).exp2(), 1)
            value, offset = contrast, contrast * torch.where(hit[:, 0], 0.2 * normal[:, 4], 0)
            chroma = contrast * torch.where(hit[:, 4], normal[:, 6].exp2(), 1)
        if "recolour" in self.policy:
            flip = torch.where(hit[:, 2] & (uniform[:, 6] < 0.5), -1.0, 1.0)
            value, offset = value * flip, offset * flip
            hue = torch.where(hit[:, 3], (uniform[:, 7] * 2 - 1) * math.pi, 0)
        return _recolour(images, value, chroma, hue, offset)


def warp(images: Tensor, place: Tensor) -> Tensor:
    """Return images read at affinely moved positions, bilinear, reflected at the borders; twice differentiable.

    Args:
        images: N x C x H x W float32.
        place: N x 2 x 3: (x, y) in [-1, 1] of the input for (x, y, 1) of the output, as in `affine_grid`.
    """
    grid = F.affine_grid(place, list(images.shape), align_corners=False)
    warped: Tensor = _Sampled.apply(images, grid)  # type: ignore[no-untyped-call]
    return warped


def shift(images: Tensor, by_px: Tensor) -> Tensor:
    """Return images N x C x H x H moved right and down by whole pixels, N x 2 int64; what comes in is 0."""
    shifted: Tensor = _Shifted.apply(images, by_px)  # type: ignore[no-untyped-call]
    return shifted


class _Shifted(torch.autograd.Function):
    """Its adjoint is the shift back: no scattered sums, so the same bits every time on a GPU too."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, by_px: Tensor) -> Tensor:
        ctx.save_for_backward(by_px)
        size = images.shape[-1]
        pixels = torch.arange(size, device=images.device)
        column, row = (pixels - by[:, None] for by in by_px.unbind(1))
        inside = ((row >= 0) & (row < size))[:, None, :, None] & ((column >= 0) & (column < size))[:, None, None, :]
        row, column = row.clamp(0, size - 1), column.clamp(0, size - 1)
        moved = images.gather(2, row[:, None, :, None].expand_as(images))
        return moved.gather(3, column[:, None, None, :].expand_as(images)) * inside

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (by_px,) = ctx.saved_tensors
        return _Shifted.apply(gradient, -by_px), None  # type: ignore[no-untyped-call]


class _Sampled(torch.autograd.Function):
    """`grid_sample` with a second derivative, which torch's lacks.

    Sampling is linear in the image and its gradient is the adjoint map, linear in the incoming gradient: each is the
    other's derivative.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.size = images.shape[2:]
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _SampledAdjoint.apply(gradient, grid, ctx.size), None  # type: ignore[no-untyped-call]


class _SampledAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, size: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        # Only the shape of the input matters for its own gradient.
        shaped = gradient.new_zeros(()).expand(*gradient.shape[:2], *size)
        bilinear, reflection, wanted = 0, 2, [True, False]
        found: tuple[Tensor, Tensor] = torch.ops.aten.grid_sampler_2d_backward(
            gradient, shaped, grid, bilinear, reflection, False, wanted
        )
        return found[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sampled.apply(gradient, grid), None, None  # type: ignore[no-untyped-call]


def _recolour(images: Tensor, value: Tensor, chroma: Tensor, hue: Tensor | None, offset: Tensor) -> Tensor:
    """Scale the grey part of every pixel and its difference from grey, turn that difference, and add `offset`.

    All of N values: one 3 x 3 matrix and one number per image.
    """
    n, channels, height, width = images.shape
    grey = torch.full((3, 3), 1 / 3, device=images.device)
    colour = torch.eye(3, device=images.device) - grey
    if hue is None:
        turned = colour.expand(n, 3, 3)
    else:
        # Rodrigues' formula around the grey axis.
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=images.device) / math.sqrt(3)
        turned = hue.cos()[:, None, None] * colour + hue.sin()[:, None, None] * cross
    matrix = value[:, None, None] * grey + chroma[:, None, None] * turned
    pixels = images.reshape(n, channels, height * width)
    return torch.baddbmm(offset[:, None, None], matrix, pixels).view(n, channels, height, width)


def _rotation(angle: Tensor) -> Tensor:
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _translation(by: Tensor) -> Tensor:
    matrix = torch.eye(3, device=by.device).repeat(len(by), 1, 1)
    matrix[:, :2, 2] = by
    return matrix
