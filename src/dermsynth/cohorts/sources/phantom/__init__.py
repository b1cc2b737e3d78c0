"""The phantom: procedural dermoscopy of seven classes, the data set that needs no data.

It is an instrument. The true distribution is known, so new images of new lesions can be drawn without end, every image
comes with the mask of its lesion, and `overlap` says how hard the classes are to tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator

from dermsynth.cohorts.sources.base import Picture, Source
from dermsynth.cohorts.sources.phantom import census
from dermsynth.cohorts.sources.phantom.scene import photograph
from dermsynth.cohorts.sources.phantom.signs import CLASSES
from dermsynth.core.config import Config, nearest
from dermsynth.core.errors import ConfigError

__all__ = ["CLASSES", "DEFAULT_COUNTS", "PhantomConfig", "PhantomSource", "draw"]

DEFAULT_COUNTS = {"akiec": 120, "bcc": 160, "bkl": 240, "df": 90, "mel": 280, "nv": 800, "vasc": 110}
MIN_SIZE_PX, MAX_SIZE_PX = 16, 1024
DARK_SKIN = 0.4
"""Melanin density from which `skin_tone` says dark."""


class PhantomConfig(Config):
    """What to draw."""

    kind: Literal["phantom"] = "phantom"
    counts: dict[str, int] = Field(default_factory=lambda: dict(DEFAULT_COUNTS))
    """Images per class, each at least 1; a class that is not named is not drawn."""
    overlap: float = Field(0.15, ge=0.0, le=1.0)
    """How much the classes look alike: 0 all textbook cases, 1 every lesion is as likely to look like another class.

    `benchmarks/phantom.py --overlap 0 0.15 0.5` measured a small CNN's balanced accuracy on new lesions: 0.93 at 0,
    0.81 at the default, 0.62 at 0.5.
    """
    seed: int = Field(0, ge=0)
    """Of the lesions; in a trial, the trial's own."""
    first_lesion: int = Field(0, ge=0)
    """Number of the first lesion. Draws over disjoint ranges of numbers share no lesion; ranges that start at
    multiples of 1,000 share no patient either."""
    several_photos: float = Field(0.25, ge=0.0, le=1.0)
    """Share of lesions with two or three photos."""

    @field_validator("counts")
    @classmethod
    def _known_classes(cls, counts: dict[str, int]) -> dict[str, int]:
        if not counts:
            raise ValueError(f"names no class; known: {', '.join(CLASSES)}")
        for name, count in counts.items():
            if name not in CLASSES:
                raise ValueError(f"unknown class '{name}'; {nearest(name, CLASSES)}")
            if count < 1:
                raise ValueError(f"class '{name}' has {count} images; give at least 1 or leave the class out")
        return counts


@dataclass(frozen=True, eq=False)
class Photos:
    """A chunk of a draw.

    Attributes:
        table: Row i describes `images[i]`: image_id, label, lesion_id, patient_id, age, sex, localization, skin_tone.
        images: n x H x W x 3, uint8, RGB.
        masks: n x H x W, uint8, 1 on the lesion.
    """

    table: pl.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def draw(config: PhantomConfig, size_px: int, chunk: int = 256) -> Iterator[Photos]:
    """Draw the images of a configuration, in the order of lesion numbers, `chunk` at a time.

    An image depends on (seed, overlap, lesion number, photo number) and its size only. The draw takes, class by class,
    the photos of the first lesions from `first_lesion` on until the count is reached.

    Args:
        config: What to draw.
        size_px: Side of the square images, 16 to 1024. The same image at another size shows the same scene.
        chunk: Images held in memory at a time; it changes nothing else.

    Raises:
        ConfigError: a size or a chunk out of range.
    """
    _check_size(size_px)
    if chunk < 1:
        raise ConfigError(f"chunk is {chunk}: expected at least 1 image at a time")
    return _chunks(config, size_px, chunk)


class PhantomSource(Source):
    """The phantom behind the interface that all sources share."""

    licence = "Apache-2.0: drawn by dermsynth, no patient"

    def __init__(self, config: PhantomConfig) -> None:
        self.config = config
        self.classes = tuple(name for name in CLASSES if name in config.counts)

    def fingerprint(self) -> str:
        """Return the version of what is drawn: the same configuration then gives the same pixels."""
        return "phantom-1"

    def check(self) -> pl.DataFrame:
        """Return a row per image; the configuration has been checked already."""
        return _table(self.config, _listed(self.config)).with_columns(source=pl.lit("phantom"))

    def has_masks(self, rows: pl.DataFrame) -> bool:
        """Return True: the phantom knows its lesions."""
        return True

    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]:
        """Yield a function per row that draws it at `size_px`."""
        _check_size(size_px)
        shown = {
            _image_id(self.config, lesion, photo): (lesion, photo, label)
            for lesion, photo, label in _listed(self.config)
        }
        return (partial(self._picture, *shown[image_id], size_px) for image_id in rows["image_id"])

    def _picture(self, lesion: int, photo: int, label: str, size_px: int) -> Picture:
        from PIL import Image

        image, mask = _photograph(self.config, lesion, photo, label, size_px)
        return Picture(Image.fromarray(image), Image.fromarray(mask))


_Listed = list[tuple[int, int, str]]


def _check_size(size_px: int) -> None:
    if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise ConfigError(f"size_px is {size_px}: the phantom draws {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels; try 64")


def _listed(config: PhantomConfig) -> _Listed:
    return census.listed(config.counts, config.seed, config.first_lesion, config.several_photos)


def _image_id(config: PhantomConfig, lesion: int, photo: int) -> str:
    return f"PH_{config.seed}_{lesion:07d}_{photo + 1}"


def _owner(config: PhantomConfig, lesion: int) -> census.Patient:
    return census.patient(config.seed, census.patient_number(config.seed, lesion))


def _photograph(
    config: PhantomConfig, lesion: int, photo: int, label: str, size_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return photograph(config.seed, lesion, photo, label, config.overlap, _owner(config, lesion).skin, size_px)


def _chunks(config: PhantomConfig, size_px: int, chunk: int) -> Iterator[Photos]:
    listed = _listed(config)
    for start in range(0, len(listed), chunk):
        part = listed[start : start + chunk]
        drawn = [_photograph(config, *one, size_px) for one in part]
        yield Photos(
            _table(config, part), np.stack([image for image, _ in drawn]), np.stack([mask for _, mask in drawn])
        )


def _table(config: PhantomConfig, listed: _Listed) -> pl.DataFrame:
    rows = []
    for lesion, photo, label in listed:
        owner = _owner(config, lesion)
        rows.append(
            {
                "image_id": _image_id(config, lesion, photo),
                "label": label,
                "lesion_id": f"PHL_{config.seed}_{lesion:07d}",
                "patient_id": f"PHP_{config.seed}_{owner.number:07d}",
                "age": owner.age,
                "sex": owner.sex,
                "localization": census.localization_of(config.seed, lesion, label),
                "skin_tone": "dark" if owner.skin.melanin > DARK_SKIN else "light",
            }
        )
    return pl.DataFrame(rows)
