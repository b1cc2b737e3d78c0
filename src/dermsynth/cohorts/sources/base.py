"""What a source of images is: a list of photos that is checked first and read afterwards."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Picture:
    """One photo as it is in the source, at any size.

    Attributes:
        image: RGB, 8 bits a channel, upright.
        mask: None, or an image of mode `L` and the same size, 1 on the lesion.
        sha256: Of the file it was read from, or of its pixels in an array file; None if it was drawn.
    """

    image: Image
    mask: Image | None = None
    sha256: str | None = None


class Source(ABC):
    """A data set as its publishers lay it out.

    Attributes:
        classes: The class names in the order of class indices.
        licence: Terms and citation, for the card.
        lesions: What is known about which photos show the same lesion, for the card.
        fixed_split: None, or why the parts that the publishers fixed (the column `part`) leak lesions.
    """

    classes: tuple[str, ...]
    licence: str
    lesions: str = "known"
    fixed_split: str | None = None

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that changes when the input does; quickly, without decoding or reading whole archives."""

    @property
    def left_out(self) -> dict[str, int]:
        """Return why rows of the published tables are not used, each reason with their number."""
        return {}

    @abstractmethod
    def check(self) -> pl.DataFrame:
        """Check all that can be checked without decoding an image, and return a row per image.

        Returns:
            image_id, label, lesion_id, patient_id (may be null), source, then what the source offers; `part` (train,
            val or test) where the publishers fixed a split.

        Raises:
            InputError: a missing file, a row without image, an image without row, an unknown or an empty class, …
        """

    def has_masks(self, rows: pl.DataFrame) -> bool:
        """Return whether every image of `rows` comes with a mask of its lesion."""
        return False

    @abstractmethod
    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]:
        """Yield for each of `rows`, some of those that `check` returned in their order, a function that reads it.

        The functions are called on any thread, in about this order, while the iterator runs on; each raises InputError
        for an image that cannot be used. `size_px` is the side wanted in the end, for sources that draw.
        """


def expand(path: str) -> Path:
    """Return a path in which `~`, `${NAME}` and `${NAME:-default}` are replaced from the environment.

    Raises:
        InputError: a variable that is not set and has no default.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"], match["default"])
        if found is None:
            raise InputError(f"{path}: the environment variable {match['name']} is not set")
        return found

    return Path(re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value, path)).expanduser()


def check_rows(rows: pl.DataFrame, classes: tuple[str, ...], where: Path) -> None:
    """Check a table of image_id, label, lesion_id and `at`, which says where the row stands ('FILE: line 17').

    Raises:
        InputError: an empty image_id or lesion_id, an unknown class, an image in two rows, an empty class, or one
            lesion in all.
    """
    for column in ("image_id", "lesion_id"):
        blank = rows.filter(pl.col(column).is_null() | (pl.col(column) == ""))
        if blank.height:
            raise InputError(f"{blank['at'][0]}: {column} is empty; fill it in or remove the row")
    unknown = rows.filter(~pl.col("label").is_in(classes) | pl.col("label").is_null())
    if unknown.height:
        at, label = unknown["at"][0], unknown["label"][0]
        if label is None:
            raise InputError(f"{at}: the class is empty; {nearest('', classes)}")
        raise InputError(f"{at}: unknown class '{label}'; {nearest(label, classes)}")
    twice = rows.filter(pl.col("image_id").is_duplicated())
    if twice.height:
        first = twice["image_id"][0]
        places = " and ".join(twice.filter(pl.col("image_id") == first)["at"])
        raise InputError(f"image '{first}' stands in {places}; keep one of them")
    empty = [name for name in classes if name not in set(rows["label"])]
    if empty:
        raise InputError(f"{where}: class '{empty[0]}' has no image; a classifier cannot learn or be tested on it")
    if rows["lesion_id"].n_unique() < 2:
        raise InputError(
            f"{where}: all images show one lesion ('{rows['lesion_id'][0]}'), so nothing can be held out; "
            "check the lesion ids"
        )
