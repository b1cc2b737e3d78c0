"""Images for a report: contact sheets and snapshots as PNG in data URLs, pixels unchanged unless they are too many."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ArtefactError
from dermsynth.core.randomness import numpy_generator

TILE_PX = 128
"""Side at which an image is shown, in CSS pixels; larger ones are reduced to it."""
GAP_PX = 2
"""Between the images of a contact sheet, in pixels of the sheet."""


@dataclass(frozen=True)
class Picture:
    """A PNG as a data URL, and its size in pixels."""

    url: str
    width_px: int
    height_px: int


def sheet(cohort: Cohort, label: str, *, columns: int, rows: int, purpose: str) -> tuple[Picture | None, int]:
    """Return a contact sheet of at most columns x rows images of one class, and how many of them there are.

    The images are drawn at random, one per lesion while there are enough lesions, always the same ones for the same
    cohort and `purpose`. A class without an image gives (None, 0).
    """
    picked = drawn(cohort, label, count=columns * rows, purpose=purpose)
    return (tiled(cohort.images[picked], columns), len(picked)) if len(picked) else (None, 0)


def drawn(cohort: Cohort, label: str, *, count: int, purpose: str) -> npt.NDArray[np.int64]:
    """Return rows of at most so many images of one class, drawn as `sheet` says, ascending."""
    here = np.flatnonzero(cohort.labels == cohort.classes.index(label))
    here = numpy_generator(0, purpose, cohort.classes.index(label)).permutation(here)
    first = np.unique(cohort.table["lesion_id"].to_numpy()[here], return_index=True)[1]
    ordered = np.concatenate([here[np.sort(first)], np.delete(here, first)])
    return np.sort(ordered[:count]).astype(np.int64)


def tiled(shown: npt.NDArray[np.uint8], columns: int) -> Picture:
    """Return N x S x S x 3 images, at least one, as one picture of so many columns, transparent between them."""
    images = reduced(shown)
    size = images.shape[1]
    used, step = -(-len(images) // columns), size + GAP_PX
    page = np.zeros((used * step - GAP_PX, columns * step - GAP_PX, 4), np.uint8)
    for place, image in enumerate(images):
        y, x = step * (place // columns), step * (place % columns)
        page[y : y + size, x : x + size, :3] = image
        page[y : y + size, x : x + size, 3] = 255
    return encoded(page)


def reduced(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return N x H x W x 3 images no larger than `TILE_PX`, reduced by averaging areas."""
    if images.shape[1] <= TILE_PX:
        return images
    from PIL import Image

    small = [np.asarray(Image.fromarray(one).resize((TILE_PX, TILE_PX), Image.Resampling.BOX)) for one in images]
    return np.stack(small)


def snapshot(path: Path, classes: int) -> Picture:
    """Return the first columns of a grid of samples (a row per class), as many as fit into `TILE_PX` pixels.

    Raises:
        ArtefactError: the file cannot be read as an image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as grid:
            pixels = np.asarray(grid.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise ArtefactError(f"{path}: cannot be read as an image ({error}); train again") from None
    tile = max(1, pixels.shape[0] // classes)
    columns = max(1, TILE_PX // tile)
    part = pixels[:, : columns * tile]
    if part.shape[1] > TILE_PX:
        height = round(part.shape[0] * TILE_PX / part.shape[1])
        part = np.asarray(Image.fromarray(part).resize((TILE_PX, height), Image.Resampling.BOX))
    return encoded(part)


def encoded(pixels: npt.NDArray[np.uint8]) -> Picture:
    """Return H x W x 3 or 4 pixels as a PNG data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(url, pixels.shape[1], pixels.shape[0])
