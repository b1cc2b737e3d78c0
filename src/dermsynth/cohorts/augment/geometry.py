"""Flips, turns, rotation, shear, scale, translation and crop as one affine warp per image, resampled once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from dermsynth.cohorts.augment import ClassicalAugmentation, Draws


def moves(config: ClassicalAugmentation) -> bool:
    """Return whether these settings move anything."""
    ranges = (config.rotation_deg, config.shear_deg, config.translation_share)
    return any((config.flip, config.quarter_turns, *ranges, config.scale_max > 1, config.crop_side_min < 1))


def move(images: torch.Tensor, config: ClassicalAugmentation, draws: Draws) -> torch.Tensor:
    """Return warped images: bilinear, so within the range of their neighbours; outside an image is its reflection."""
    import torch.nn.functional as F

    grid = F.affine_grid(affine_maps(config, draws), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def affine_maps(config: ClassicalAugmentation, draws: Draws) -> torch.Tensor:
    """Return N x 2 x 3, float32: where each output position is read, in coordinates from -1 to 1 (x right, y down).

    The matrix is crop side over scale times rotation times shear times mirror; the last column is the crop's centre
    less the shift.
    """
    import torch

    signs_x, signs_y = (
        draws[name].lt(0.5).float().mul(2).sub(1) if config.flip else 1.0 for name in ("mirror_x", "mirror_y")
    )
    turn_deg = config.rotation_deg * draws["rotation"]
    if config.quarter_turns:
        turn_deg = turn_deg + 90 * (4 * draws["quarter"]).floor()
    angle = turn_deg.deg2rad()
    slope = (config.shear_deg * draws["shear"]).deg2rad().tan()
    side = 1 - (1 - config.crop_side_min) * draws["side"]
    step = side / config.scale_max ** draws["scale"]
    cosine, sine = step * angle.cos(), step * angle.sin()
    x, y = (
        (1 - side) * (2 * draws[f"centre_{axis}"] - 1) - 2 * config.translation_share * draws[f"shift_{axis}"]
        for axis in "xy"
    )
    rows = [
        torch.stack([cosine * signs_x, (cosine * slope - sine) * signs_y, x], dim=1),
        torch.stack([sine * signs_x, (sine * slope + cosine) * signs_y, y], dim=1),
    ]
    return torch.stack(rows, dim=1)


def views(images: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
    """Yield the first `count` of an image's eight mirrors and quarter turns, exactly, the image itself first.

    The first 2 (mirrored left-right), 4 (and up-down) and 8 are groups: a mean over them is the same for every member.

    Args:
        images: N x C x H x H.
        count: From 1 to 8.
    """
    for number in range(count):
        mirrored = [dim for bit, dim in ((1, 3), (2, 2)) if number & bit]
        yield (images.transpose(2, 3) if number & 4 else images).flip(mirrored)
