"""The bytes of an image file -> an upright RGB image with 8 bits a channel, whatever the file's format and mode."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000
"""Twice the largest image of the ISIC Archive: a few kilobytes can claim gigapixels (a decompression bomb)."""

_DEEPEST = 65535


def decode(data: bytes, title: str) -> Image:
    """Return an image file as RGB, turned as its EXIF data say.

    Grey, palette, CMYK and 16-bit grey images are converted; what is transparent is laid on white. The content decides
    about the format, not the ending of the name.

    Args:
        data: The bytes of the file.
        title: What messages name.

    Raises:
        InputError: no image, a truncated one, more than 64 million pixels, or values that have no range (32 bits).
    """
    from PIL import ImageOps

    with _explained(data, title):
        return _rgb(ImageOps.exif_transpose(_opened(data)))


def decode_mask(data: bytes, title: str, size: tuple[int, int]) -> Image:
    """Return a mask file as an image of mode `L` and this (width, height), 1 where it is at least half bright.

    A mask of another size that shows the same field is brought to the image's.

    Raises:
        InputError: as `decode`, and a mask of another shape than its image.
    """
    from PIL import Image

    with _explained(data, title):
        # No EXIF turn: mask files are drawn over the pixels of the image as they are stored.
        mask = _rgb(_opened(data)).convert("L").point(lambda value: value >= 128)
    if abs(mask.width * size[1] - mask.height * size[0]) > 0.02 * mask.width * size[1]:
        raise InputError(f"{title}: the mask is {mask.width} x {mask.height} px, its image {size[0]} x {size[1]} px")
    return mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)


def _opened(data: bytes) -> Image:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is stricter
        image: Image.Image = Image.open(io.BytesIO(data))
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{image.width} x {image.height} px; at most {MOST_PIXELS:,} pixels are read")
    return image


def _rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith(("I", "F")):
        # Conversion to RGB would clip instead of scaling.
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > _DEEPEST:
            raise ValueError(f"values of mode {image.mode} have no known range; save it with 8 or 16 bits a channel")
        return Image.fromarray((values.astype(np.uint32) * 255 // _DEEPEST).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _explained(data: bytes, title: str) -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except UnidentifiedImageError:  # its text names a Python object, not the file
        raise InputError(f"{title}: {'is no image file' if data else 'is empty (0 bytes)'}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{title}: cannot be decoded ({' '.join(str(error).split())})") from None
