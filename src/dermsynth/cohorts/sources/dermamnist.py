"""DermaMNIST (Yang et al. 2023, Sci. Data 10:41): HAM10000 as squares of 28 to 224 px in one .npz file."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import chain
from typing import IO, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import PARTS
from dermsynth.cohorts.sources.base import Picture, Source, check_rows, expand
from dermsynth.cohorts.sources.ham10000 import CLASSES
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

PUBLISHED = ("dermamnist.npz", "dermamnist_64.npz", "dermamnist_128.npz", "dermamnist_224.npz")


class DermaMnistConfig(Config):
    """The folder of the file, and its name."""

    kind: Literal["dermamnist"] = "dermamnist"
    root: str
    """Folder of the published files."""
    file: str = PUBLISHED[0]
    """28 px; `dermamnist_64.npz`, `dermamnist_128.npz`, `dermamnist_224.npz`, or another file of the same layout."""


class DermaMnistSource(Source):
    """`<train|val|test>_images` (N x H x W x 3, uint8) and `_labels` (N x 1): 0 to 6 are HAM10000's classes, in order.

    The arrays are read from the zip in one pass from front to back: memory holds the images of a chunk, whatever the
    size of the file.
    """

    classes = CLASSES
    lesions = "unknown: the ids were dropped; every image counts as a lesion of its own"
    licence = (
        "CC BY-NC 4.0. Yang et al., Sci. Data 10:41 (2023); Tschandl, Rosendahl, Kittler, Sci. Data 5:180161 (2018)"
    )

    def __init__(self, config: DermaMnistConfig) -> None:
        self.path = expand(config.root) / config.file
        if config.file in PUBLISHED:
            self.fixed_split = (
                "images were divided at random: about 35 % of the test images (62 % of the melanomas) show a lesion "
                "that is also in train; see Abhishek et al., Sci. Data 12:196 (2025), for files without that"
            )

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise InputError(
                f"{self.path}: no such file; fetch it with --download, or name another as 'file'"
            ) from None
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path}: cannot be read as an .npz file ({error}); fetch it again") from None

    def _opened(self, name: str) -> tuple[IO[bytes], tuple[int, ...]]:
        """Return an array of the file, positioned at its first value, and its shape."""
        at = f"{self.path}: {name}"
        try:
            member = self._archive.getinfo(f"{name}.npy")
            stream = self._archive.open(member)
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, in_columns, dtype = read(stream)
        except KeyError:
            raise InputError(f"{self.path}: has no array '{name}'; expected a file of DermaMNIST") from None
        except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{at}: cannot be read ({error}); fetch the file again") from None
        if dtype != np.uint8 or in_columns:
            raise InputError(f"{at}: holds {dtype}, expected uint8 in rows")
        values = int(np.prod(shape, dtype=np.int64))
        if member.file_size != stream.tell() + values:
            found = member.file_size - stream.tell()
            raise InputError(f"{at}: has {found:,} values, its shape {shape} says {values:,}; fetch the file again")
        return stream, shape

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of the images of each part."""
        shapes: dict[str, tuple[int, ...]] = {}
        for part in PARTS:
            stream, shape = self._opened(f"{part}_images")
            stream.close()
            if len(shape) != 4 or shape[3] != 3:
                raise InputError(f"{self.path}: {part}_images has shape {shape}, expected N x height x width x 3")
            shapes[part] = shape
        return shapes

    def _labels(self, part: str) -> NDArray[np.uint8]:
        name = f"{part}_labels"
        stream, shape = self._opened(name)
        images = self._shapes[part][0]
        if shape not in ((images,), (images, 1)):
            raise InputError(f"{self.path}: {name} has shape {shape}, expected {images} x 1, one for each image")
        with stream:
            labels = np.frombuffer(_read(stream, images, f"{self.path}: {name}"), np.uint8)
        if images and labels.max() >= len(CLASSES):
            raise InputError(f"{self.path}: {name} has the value {labels.max()}, expected 0 to {len(CLASSES) - 1}")
        return labels

    def fingerprint(self) -> str:
        """Return a hash of the arrays' names, sizes and checksums in the zip."""
        members = sorted((info.filename, info.file_size, info.CRC) for info in self._archive.infolist())
        return hashlib.sha256(str(members).encode()).hexdigest()

    def check(self) -> pl.DataFrame:
        """Check shapes and labels and return a row per image: train, val, test; see `Source.check`."""
        tables = []
        for part in PARTS:
            labels = [CLASSES[label] for label in self._labels(part)]
            ids = [f"{part}_{number:05}" for number in range(len(labels))]
            tables.append(pl.DataFrame({"image_id": ids, "label": labels, "part": part}))
        rows = pl.concat(tables).with_columns(
            lesion_id=pl.col("image_id"),
            patient_id=pl.lit(None, dtype=pl.String),
            source=pl.lit("dermamnist"),
            at=pl.lit(str(self.path)),
        )
        check_rows(rows, self.classes, self.path)
        return rows.drop("at")

    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]:
        """Yield the images one after the other, read as the iterator runs on; see `Source.pictures`."""
        wanted = set(rows["image_id"])
        everything = chain.from_iterable(self._images(part) for part in PARTS)
        return (partial(_picture, pixels) for image_id, pixels in everything if image_id in wanted)

    def _images(self, part: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        stream, (count, *shape) = self._opened(f"{part}_images")
        with stream:
            for number in range(count):
                image_id = f"{part}_{number:05}"
                data = _read(stream, int(np.prod(shape)), f"{self.path}: image {image_id}")
                yield image_id, np.frombuffer(data, np.uint8).reshape(shape)


def _read(stream: IO[bytes], count: int, at: str) -> bytes:
    try:
        data = stream.read(count)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{at}: cannot be read ({error}); fetch the file again") from None
    if len(data) != count:
        raise InputError(f"{at}: the file ends before it; fetch it again")
    return data


def _picture(pixels: NDArray[np.uint8]) -> Picture:
    from PIL import Image

    return Picture(Image.fromarray(pixels), sha256=hashlib.sha256(pixels.tobytes()).hexdigest())
