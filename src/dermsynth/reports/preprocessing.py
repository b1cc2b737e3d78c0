"""A figure of what preprocessing does: a row per photo, a column per step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from dermsynth.cohorts.preprocess import Step
from dermsynth.cohorts.sources.base import Source
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.reports.sheets import Row

TILE_PX = 128


def rows(source: Source, chain: Sequence[Step], size_px: int, count: int = 6, seed: int = 0) -> list[Row]:
    """Return a row per photo: as it is in the source, then after each step.

    Args:
        source: Where the photos are from.
        chain: The steps.
        size_px: Side of the squares in the end.
        count: Photos; of every class in turn. Such as cannot be decoded are left out.
        seed: Another one shows other photos.

    Raises:
        InputError: what `Source.check` raises, or no photo that can be decoded.
    """
    table = source.check()
    order = numpy_generator(seed, "preview").permutation(table.height)
    turn = pl.int_range(pl.len()).over("label")
    chosen = table[order].with_columns(turn=turn).sort("turn", maintain_order=True)
    found: list[Row] = []
    # Photos are read in the order of their table, so each is asked for on its own.
    for image_id, label in islice(chosen.select("image_id", "label").iter_rows(), 4 * count):
        (read,) = source.pictures(table.filter(pl.col("image_id") == image_id), size_px)
        try:
            picture = read()
        except InputError:
            continue
        image, mask = picture.image, picture.mask
        stages, captions = [image], [f"{image.width} × {image.height} px"]
        for step in chain:
            image, mask = step.apply(image, mask, size_px)
            stages.append(image)
            captions.append(f"{step.step}, {size_px} px" if step.step == "resize" else step.step)
        found.append(Row(label, image_id if len(image_id) <= 20 else f"…{image_id[-19:]}", _together(stages), captions))
        if len(found) == count:
            break
    if not found:
        raise InputError("no photo of the source can be decoded")
    return found


def _together(stages: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Return images of any size as tiles of equal size, on white; small ones are enlarged by a whole number."""
    shown = []
    for stage in stages:
        scale = TILE_PX / max(stage.size)
        times = scale if scale < 1 else int(scale)
        way = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.NEAREST
        shown.append(stage.resize((round(stage.width * times), round(stage.height * times)), way))
    high = max(image.height for image in shown)
    tiles = np.full((len(shown), high, TILE_PX, 3), 255, np.uint8)
    for tile, image in zip(tiles, shown, strict=True):
        top, left = (high - image.height) // 2, (TILE_PX - image.width) // 2
        tile[top : top + image.height, left : left + image.width] = np.asarray(image)
    return tiles
