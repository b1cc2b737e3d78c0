"""A sheet of images in rows, with the name of every row beside it and a caption below every image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsynth.reports.pictures import reduced
from dermsynth.reports.svg import INK, MUTED

_SQUARE_PX = 62
"""Smaller images are shown enlarged, by a whole number."""
_NAMES_PX, _LETTER_PX, _GAP_PX, _CAPTION_PX, _MARGIN_PX, _DPI = 136, 8, 6, 12, 10, 100


@dataclass(frozen=True, eq=False)
class Row:
    """A name, a setting in smaller letters, and images (N x H x W x 3, all rows of one width) with a caption each."""

    name: str
    setting: str
    images: npt.NDArray[np.uint8]
    captions: Sequence[str]


def drawn(shown: Sequence[Row]) -> bytes:
    """Return the rows as one PNG on white; its images are not resampled unless they are large or very small."""
    from matplotlib.figure import Figure

    tiles = [reduced(row.images) for row in shown]
    enlarged = -(-_SQUARE_PX // tiles[0].shape[2])
    side = enlarged * tiles[0].shape[2]
    below = [_CAPTION_PX * max(1 + text.count("\n") for text in row.captions) + _GAP_PX for row in shown]
    names_px = max(_NAMES_PX, *(_LETTER_PX * len(row.name) for row in shown))
    width = 2 * _MARGIN_PX + names_px + max(len(row.captions) for row in shown) * (side + _GAP_PX) - _GAP_PX
    height = 2 * _MARGIN_PX + enlarged * sum(images.shape[1] for images in tiles) + sum(below) - _GAP_PX
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")

    def write(text: str, x_px: float, y_px: float, points: float, **style: Any) -> None:
        figure.text(x_px / width, y_px / height, text, fontsize=points, **style)

    top = height - _MARGIN_PX
    for row, images, gap in zip(shown, tiles, below, strict=True):
        high = enlarged * images.shape[1]
        bottom = top - high
        write(row.name, _MARGIN_PX, bottom + high / 2 + 1, 8.5, va="bottom", weight="bold", color=INK)
        write(row.setting, _MARGIN_PX, bottom + high / 2 - 2, 7, va="top", color=MUTED)
        for place, (image, caption) in enumerate(zip(images, row.captions, strict=True)):
            left = _MARGIN_PX + names_px + place * (side + _GAP_PX)
            figure.figimage(image.repeat(enlarged, axis=0).repeat(enlarged, axis=1), left, bottom)
            write(caption, left + side / 2, bottom - 2, 6.5, ha="center", va="top", color=MUTED)
        top = bottom - gap
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()
