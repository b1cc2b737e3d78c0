"""Classical augmentation: flips, rotation, shear and crop as one affine warp per image, resampled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from dermsynth.core.config import Config

if TYPE_CHECKING:
    import torch


class ClassicalAugmentation(Config):
    """How far images are moved; each image draws its own values, uniformly.

    The papers name the set (rotation, shear, flip, crop) and state no range: the defaults are ours.
    """

    flip: bool = True
    """Mirror left-right and up-down, each for half of the images: dermoscopy has no upright."""
    quarter_turns: bool = False
    """Turn by 0, 90, 180 or 270 degrees before the rotation below."""
    rotation_deg: float = Field(30.0, ge=0.0, le=180.0)
    """Largest turn to either side."""
    shear_deg: float = Field(10.0, ge=0.0, le=45.0)
    """Largest slant of the vertical to either side."""
    crop_side_min: float = Field(0.8, gt=0.0, le=1.0)
    """Side of the smallest crop as a share of the image's; the crop lies anywhere in the image, at the old size."""


def augment(images: torch.Tensor, config: ClassicalAugmentation, generator: torch.Generator) -> torch.Tensor:
    """Return warped images: bilinear, what lies outside an image is its reflection.

    Args:
        images: N x 3 x H x W, float32 in [-1, 1], any memory format and device, H = W.
        config: The ranges.
        generator: Source of the values. Every image takes the same number of draws whatever the ranges are, so two
            configurations that differ in one range move the images alike in all others.

    Returns:
        Images like the input; bilinear values lie between their neighbours, so the range is kept.
    """
    import torch
    import torch.nn.functional as F

    maps = affine_maps(len(images), config, generator).to(images.device)
    # The warp itself is faster channel by channel; the networks want channels last.
    planes = images.contiguous()
    grid = F.affine_grid(maps, list(planes.shape), align_corners=False)
    warped = F.grid_sample(planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return warped.contiguous(memory_format=torch.channels_last) if channels_last else warped


def affine_maps(count: int, config: ClassicalAugmentation, generator: torch.Generator) -> torch.Tensor:
    """Return count x 2 x 3, float32: where each output position is read, in coordinates from -1 to 1 (x right, y down).

    The matrix is crop side times rotation times shear times mirror; the last column is the crop's centre.
    """
    import torch

    draws = torch.rand(count, 8, generator=generator, device=generator.device)
    mirror_x, mirror_y, quarter, turn, slant, side, centre_x, centre_y = draws.unbind(1)
    signs_x, signs_y = ((draw < 0.5).float().mul(2).sub(1) if config.flip else 1.0 for draw in (mirror_x, mirror_y))
    turn_deg = config.rotation_deg * (2 * turn - 1)
    if config.quarter_turns:
        turn_deg = turn_deg + 90 * (4 * quarter).floor()
    angle = turn_deg.deg2rad()
    slope = (config.shear_deg * (2 * slant - 1)).deg2rad().tan()
    scale = 1 - (1 - config.crop_side_min) * side
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([cosine * signs_x, (cosine * slope - sine) * signs_y, (1 - scale) * (2 * centre_x - 1)], dim=1),
        torch.stack([sine * signs_x, (sine * slope + cosine) * signs_y, (1 - scale) * (2 * centre_y - 1)], dim=1),
    ]
    return torch.stack(rows, dim=1)
