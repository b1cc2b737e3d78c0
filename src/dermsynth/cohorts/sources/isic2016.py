"""ISIC 2016 Task 3 (Gutman et al. 2016, arXiv:1605.01397): 900 training and 379 test images, benign or malignant."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, masks_in, places_of_images
from dermsynth.cohorts.sources.tables import read_published
from dermsynth.core.config import Config, nearest
from dermsynth.core.errors import InputError

_PARTS = {"Training": "train", "Test": "test"}
_LABELS = {
    **dict.fromkeys(("benign", "0", "0.0"), "benign"),
    **dict.fromkeys(("malignant", "1", "1.0"), "malignant"),
}


class Isic2016Config(Config):
    """The challenge's files."""

    kind: Literal["isic2016-task3"] = "isic2016-task3"
    root: str
    """Folder of the published files."""


class Isic2016Source(FileSource):
    """`ISBI2016_ISIC_Part3_<Training|Test>_GroundTruth.csv` beside the folders or zips `…_<part>_Data*`.

    The tables have no header; labels are words in the training table and 0.0 or 1.0 in the test table. Where the masks
    of Part 1 (`ISBI2016_ISIC_Part1_<part>_GroundTruth*`) lie there too, the images have masks.
    """

    classes = ("benign", "malignant")
    lesions = "unknown: every image counts as a lesion of its own"
    licence = "CC-0 (ISIC Archive). Gutman et al., arXiv:1605.01397 (2016)"

    def __init__(self, config: Isic2016Config) -> None:
        self.root = existing_folder(expand(config.root), "ISBI2016_ISIC_Part3_Training_GroundTruth.csv and its images")

    @property
    def table(self) -> Path:
        """Return the folder: rows come from two tables."""
        return self.root

    @cached_property
    def files(self) -> ImageFiles:
        """The images of both parts."""
        stems = [f"ISBI2016_ISIC_Part3_{part}_Data" for part in _PARTS]
        return ImageFiles([place for stem in stems for place in places_of_images(self.root, stem)])

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The masks of Part 1, which has the same images."""
        return masks_in(self.root, *(f"ISBI2016_ISIC_Part1_{part}_GroundTruth" for part in _PARTS))

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image; training first."""
        rows = pl.concat([self._part(part) for part in _PARTS])
        unknown = rows.filter(pl.col("label").is_null())
        if unknown.height:
            told = unknown["told"][0]
            raise InputError(f"{unknown['at'][0]}: unknown class '{told}'; {nearest(told or '', _LABELS)}")
        return rows.drop("told").with_columns(
            lesion_id=pl.col("image_id"), patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("isic2016-task3")
        )

    def _part(self, part: str) -> pl.DataFrame:
        name = f"ISBI2016_ISIC_Part3_{part}_GroundTruth"
        table = read_published(self.root, name, [], header=["image_id", "told"])
        return table.with_columns(label=pl.col("told").replace_strict(_LABELS, default=None), part=pl.lit(_PARTS[part]))
