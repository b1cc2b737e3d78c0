"""Any image file becomes upright RGB with 8 bits a channel, or one line."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dermsynth.cohorts.decode import decode, decode_mask
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import image_bytes


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_photo_is_turned_as_its_camera_says() -> None:
    pixels = np.zeros((8, 6, 3), dtype=np.uint8)
    pixels[0] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise shows it upright
    decoded = np.asarray(decode(saved(image, "PNG", exif=exif), "x"))
    assert decoded.shape == (6, 8, 3)
    assert decoded[0, :, 0].tolist() == [0] * 7 + [255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_the_content_decides_about_the_format(kind: str) -> None:
    colour = (200, 120, 90)
    decoded = np.asarray(decode(saved(Image.new("RGB", (16, 12), colour), kind), "named.jpg"))
    assert decoded.shape == (12, 16, 3)
    assert np.abs(decoded.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    grey = 255 if mode == "1" else 80
    image = Image.new("RGB", (9, 9), (grey,) * 3)
    converted = image.quantize(2) if mode == "P" else image.convert(mode)
    decoded = decode(saved(converted, "TIFF"), "x")
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded).astype(int) - grey).max() <= 1


def test_sixteen_bits_are_scaled_and_not_cut_off() -> None:
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        decoded = np.asarray(decode(saved(Image.fromarray(values), kind), "x"))
        assert decoded[0, :, 0].tolist() == [0, 100, 255]


def test_values_without_a_range_are_refused() -> None:
    data = saved(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF")
    with pytest.raises(InputError, match=r"x: cannot be decoded \(values of mode F have no known range; save it"):
        decode(data, "x")


def test_what_is_transparent_is_laid_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    image.putpixel((1, 0), (10, 20, 30, 0))
    assert np.asarray(decode(saved(image, "PNG"), "x")).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(InputError, match=r"x: cannot be decoded \(.*pixels"):
        decode(bomb, "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "p/a.jpg: is empty (0 bytes)"),
        (b"not an image", "p/a.jpg: is no image file"),
        (image_bytes(width=300, height=300)[:5000], "p/a.jpg: cannot be decoded (image file is truncated"),
        (image_bytes(kind="PNG")[:200], "p/a.jpg: cannot be decoded ("),
        (image_bytes()[:30], "p/a.jpg: "),
    ],
    ids=["empty", "text", "truncated-jpeg", "truncated-png", "header-only"],
)
def test_an_unreadable_image_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        decode(data, "p/a.jpg")
    assert str(error.value).startswith(message)
    assert "object at 0x" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mask_is_one_on_the_lesion_at_the_size_of_its_image() -> None:
    drawn = Image.new("L", (4, 2))
    drawn.paste(255, (0, 0, 2, 2))
    mask = np.asarray(decode_mask(saved(drawn, "PNG"), "m", (8, 4)))
    assert mask.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]] * 4


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="m: the mask is 4 x 4 px, its image 8 x 4 px"):
        decode_mask(saved(Image.new("L", (4, 4)), "PNG"), "m", (8, 4))
