"""HAM10000 (Tschandl, Rosendahl, Kittler 2018, Sci. Data 5:180161): 10,015 images of 7,470 lesions in seven classes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, masks_in, places_of_images
from dermsynth.cohorts.sources.tables import read_table
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
MASKS = "HAM10000_segmentations_lesion_tschandl"


class Ham10000Config(Config):
    """The files as published: the metadata table and the images, in zips or unpacked."""

    kind: Literal["ham10000"] = "ham10000"
    root: str
    """Folder of the published files."""
    one_per_lesion: bool = False
    """Keep the first photo of every lesion (by image_id) only: 7,470 images."""


class Ham10000Source(FileSource):
    """`HAM10000_metadata` (with or without .csv) beside `HAM10000_images*` folders or zips.

    Where `HAM10000_segmentations_lesion_tschandl` lies there too, as a folder or a zip, the images have masks.
    """

    classes = CLASSES
    licence = "CC BY-NC 4.0. Tschandl, Rosendahl, Kittler, Sci. Data 5:180161 (2018)"

    def __init__(self, config: Ham10000Config) -> None:
        self.root = existing_folder(expand(config.root), "HAM10000_metadata.csv and HAM10000_images*.zip")
        self.one_per_lesion = config.one_per_lesion

    @property
    def table(self) -> Path:
        """Return the metadata file."""
        return find_metadata(self.root)

    @cached_property
    def files(self) -> ImageFiles:
        """The images of all parts."""
        return ImageFiles(places_of_images(self.root, "HAM10000_images"))

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The published segmentations."""
        return masks_in(self.root, MASKS)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image with the published age, sex, site and way of diagnosis."""
        return read_metadata(self.table).with_columns(
            patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("ham10000")
        )


def find_metadata(root: Path) -> Path:
    """Return the metadata file in `root`; the Dataverse serves it without an ending."""
    for name in ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab"):
        if (root / name).is_file():
            return root / name
    raise InputError(f"{root}: has no HAM10000_metadata.csv; fetch it from the HAM10000 Dataverse page")


def read_metadata(path: Path) -> pl.DataFrame:
    """Return image_id, label, lesion_id, age (years or null), sex, localization, dx_type."""
    table = read_table(path, ["image_id", "dx", "lesion_id", "age", "sex", "localization", "dx_type"])
    return table.select(
        "image_id",
        pl.col("dx").alias("label"),
        "lesion_id",
        pl.col("age").cast(pl.Float64, strict=False),
        "sex",
        "localization",
        "dx_type",
        "at",
    )
