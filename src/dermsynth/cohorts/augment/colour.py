"""Brightness, contrast, saturation and hue as one linear map of the colours per image."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from dermsynth.cohorts.augment import ClassicalAugmentation, Draws

_TO_YIQ = ((0.30, 0.59, 0.11), (0.599, -0.2773, -0.3217), (0.213, -0.5251, 0.3121))
"""NTSC's luma and two axes of chroma, as in Python's `colorsys`; hue is the angle between these."""


def recolours(config: ClassicalAugmentation) -> bool:
    """Return whether these settings change a colour."""
    return any((config.brightness, config.contrast, config.saturation, config.hue_deg))


def recolour(images: torch.Tensor, config: ClassicalAugmentation, draws: Draws) -> torch.Tensor:
    """Return images with other colours, cut off at -1 and 1; saturation and hue keep every pixel's luma.

    With x from -1 to 1 and y = (x + 1) / 2: y -> C (contrast * (gain * y - m) + m), where m is the image's mean luma
    times the gain and C scales and turns chroma.
    """
    import torch

    grey, chroma, turned = _bases(images.device)
    gain = 1 + config.brightness * draws["brightness"]
    contrast = 1 + config.contrast * draws["contrast"]
    saturation = 1 + config.saturation * draws["saturation"]
    angle = (config.hue_deg * draws["hue"]).deg2rad()
    along, across = saturation * angle.cos(), saturation * angle.sin()
    colours = grey + along[:, None, None] * chroma + across[:, None, None] * turned
    mean = images.mean(dim=(2, 3)) @ grey[0]
    offset = gain * (contrast + (1 - contrast) * (mean + 1)) - 1
    pixels = torch.baddbmm(offset[:, None, None], (gain * contrast)[:, None, None] * colours, images.flatten(2))
    return pixels.clamp_(-1, 1).view_as(images)


@cache
def _bases(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return 3 x 3 maps of RGB: to luma, to what luma leaves, and that turned by 90 degrees from red towards yellow."""
    import torch

    to_yiq = torch.tensor(_TO_YIQ, dtype=torch.float64)
    quarter = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    grey = to_yiq[0].expand(3, 3)
    turned = to_yiq.inverse() @ quarter @ to_yiq
    grey, chroma, turned = (basis.float().to(device) for basis in (grey, torch.eye(3) - grey, turned))
    return grey, chroma, turned
