"""Random erasing (Zhong et al. 2017, arXiv:1708.04896): a rectangle of an image takes its mean colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from dermsynth.cohorts.augment import ClassicalAugmentation, Draws

AREA_MIN = 0.02
"""Smallest rectangle as a share of the image, as in the paper."""
_ASPECT_MAX = 1 / 0.3
"""Longest rectangle, as in the paper; log-uniform here, so that tall and wide ones are equally many."""


def erase(images: torch.Tensor, config: ClassicalAugmentation, draws: Draws) -> torch.Tensor:
    """Return images, some with a rectangle of their mean colour: black or noise would look like a sign.

    The paper draws again until a rectangle fits; this one is cut to the image, and lies in it.
    """
    import torch

    area = AREA_MIN + (config.erasing_area_max - AREA_MIN) * draws["area"]
    aspect = _ASPECT_MAX ** (2 * draws["aspect"] - 1)
    height, width = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    inside = boxes(images.shape[-1], draws["top"] * (1 - height), height, draws["left"] * (1 - width), width)
    hit = (draws["hit"] < config.erasing_chance)[:, None, None, None]
    return torch.where(inside & hit, images.mean(dim=(2, 3), keepdim=True), images)


def boxes(
    size_px: int, top: torch.Tensor, height: torch.Tensor, left: torch.Tensor, width: torch.Tensor
) -> torch.Tensor:
    """Return N x 1 x size_px x size_px, bool: the pixels whose centres lie in each box.

    The N edges and lengths are shares of the side; what lies outside the image is cut off.
    """
    import torch

    centres = (torch.arange(size_px, device=top.device) + 0.5) / size_px
    rows, columns = (
        (centres >= first[:, None]) & (centres < (first + length)[:, None])
        for first, length in ((top, height), (left, width))
    )
    return rows[:, None, :, None] & columns[:, None, None, :]
