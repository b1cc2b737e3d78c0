"""ISIC 2017 Part 3 (Codella et al. 2018, arXiv:1710.05006): 2,750 images, three classes, three fixed parts."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, masks_in, places_of_images
from dermsynth.cohorts.sources.tables import read_published
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

_PARTS = {"Training": "train", "Validation": "val", "Test_v2": "test"}
_COLUMNS = ("melanoma", "seborrheic_keratosis")
_ONES = ("0", "0.0", "1", "1.0")


class Isic2017Config(Config):
    """The challenge's files."""

    kind: Literal["isic2017-task3"] = "isic2017-task3"
    root: str
    """Folder of the published files."""


class Isic2017Source(FileSource):
    """`ISIC-2017_<Training|Validation|Test_v2>_Part3_GroundTruth.csv` beside the folders or zips `…_<part>_Data*`.

    An image that is neither melanoma (`mel`) nor seborrheic keratosis (`sk`) is a naevus (`nv`). Where the masks of
    Part 1 (`…_<part>_Part1_GroundTruth*`) lie there too, the images have masks.
    """

    classes = ("mel", "nv", "sk")
    lesions = "unknown: every image counts as a lesion of its own"
    licence = "CC-0 (ISIC Archive). Codella et al., arXiv:1710.05006 (2018)"

    def __init__(self, config: Isic2017Config) -> None:
        self.root = existing_folder(expand(config.root), "ISIC-2017_Training_Part3_GroundTruth.csv and its images")

    @property
    def table(self) -> Path:
        """Return the folder: rows come from three tables."""
        return self.root

    @cached_property
    def files(self) -> ImageFiles:
        """The images of all parts, without the superpixels that lie among them."""
        places = [place for part in _PARTS for place in places_of_images(self.root, f"ISIC-2017_{part}_Data")]
        return ImageFiles(places, _photo)

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The masks of Part 1, which has the same images."""
        return masks_in(self.root, *(f"ISIC-2017_{part}_Part1_GroundTruth" for part in _PARTS))

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image; training first, test last."""
        rows = pl.concat([self._part(part) for part in _PARTS])
        return rows.with_columns(
            lesion_id=pl.col("image_id"), patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("isic2017-task3")
        )

    def _part(self, part: str) -> pl.DataFrame:
        table = read_published(self.root, f"ISIC-2017_{part}_Part3_GroundTruth", ["image_id", *_COLUMNS])
        known = pl.all_horizontal(pl.col(_COLUMNS).is_in(_ONES))
        melanoma, keratosis = (pl.col(column).cast(pl.Float64, strict=False) == 1 for column in _COLUMNS)
        wrong = table.filter(~known.fill_null(False) | (melanoma & keratosis))
        if wrong.height:
            at, image_id, *values = wrong.select("at", "image_id", *_COLUMNS).row(0)
            raise InputError(f"{at}: image '{image_id}' has {values}; expected 0 or 1 and not both 1; correct the row")
        label = pl.when(melanoma).then(pl.lit("mel")).when(keratosis).then(pl.lit("sk")).otherwise(pl.lit("nv"))
        return table.select("image_id", label.alias("label"), pl.lit(_PARTS[part]).alias("part"), "at")


def _photo(path: PurePosixPath) -> str | None:
    return None if path.stem.endswith("_superpixels") else path.stem
