"""ISIC 2018 Task 3 (Codella et al. 2019, arXiv:1902.03368): training images from HAM10000 and the official test."""

from __future__ import annotations

import contextlib
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, masks_in, places_of_images
from dermsynth.cohorts.sources.ham10000 import CLASSES, MASKS, find_metadata, read_metadata
from dermsynth.cohorts.sources.tables import read_published, read_table
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

_GROUPINGS = "ISIC2018_Task3_Training_LesionGroupings.csv"
_PARTS = {"Training": "train", "Test": "test"}


class Isic2018Config(Config):
    """The challenge's files; the training images' lesions stand in a table of their own."""

    kind: Literal["isic2018-task3"] = "isic2018-task3"
    root: str
    """Folder of the published files."""
    metadata: str | None = None
    """HAM10000's metadata or the folder it is in. By default `ISIC2018_Task3_Training_LesionGroupings.csv` or the
    metadata are looked for in the root and in `ham10000` beside it."""
    one_per_lesion: bool = False
    """Keep the first photo of every lesion (by image_id) only."""


class Isic2018Source(FileSource):
    """`ISIC2018_Task3_<Training|Test>_GroundTruth.csv` beside the folders or zips `ISIC2018_Task3_<part>_Input*`.

    The tables may also lie in the zips that the challenge serves. The column `part` keeps which images are the official
    test. Nothing is published about the lesions of the test images: each counts as a lesion of its own. HAM10000's
    segmentations, where they lie in the root, are masks of the training images only.
    """

    classes = CLASSES
    lesions = "known of the training images; every test image counts as a lesion of its own"
    licence = (
        "CC BY-NC 4.0. Codella et al., arXiv:1902.03368 (2019); Tschandl, Rosendahl, Kittler, Sci. Data 5:180161 (2018)"
    )

    def __init__(self, config: Isic2018Config) -> None:
        self.root = existing_folder(expand(config.root), "ISIC2018_Task3_Training_GroundTruth.csv and its images")
        self.one_per_lesion = config.one_per_lesion
        if config.metadata is None:
            self.metadata = _find_lesions(self.root)
        else:
            given = expand(config.metadata)
            self.metadata = find_metadata(given) if given.is_dir() else given

    @property
    def table(self) -> Path:
        """Return the folder: rows come from two tables."""
        return self.root

    @cached_property
    def files(self) -> ImageFiles:
        """The images of both parts."""
        return ImageFiles([place for part in _PARTS for place in places_of_images(self.root, _stem(part) + "_Input")])

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The segmentations of HAM10000."""
        return masks_in(self.root, MASKS)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image; training first."""
        lesions = _read_lesions(self.metadata)
        tables = []
        for part, name in _PARTS.items():
            labels = read_one_hot(self.root, f"{_stem(part)}_GroundTruth", CLASSES).with_columns(part=pl.lit(name))
            table = labels.join(lesions, on="image_id", how="left", maintain_order="left")
            if name == "train":
                unknown = table.filter(pl.col("lesion_id").is_null())
                if unknown.height:
                    first = unknown["image_id"][0]
                    raise InputError(f"{self.metadata}: has no row for training image '{first}', so no lesion_id")
            tables.append(table.with_columns(lesion_id=pl.coalesce("lesion_id", "image_id")))
        columns = ["at", "image_id", "label", "lesion_id", "part", "age", "sex", "localization"]
        whole = pl.concat(tables).select(columns)
        return whole.with_columns(patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("isic2018-task3"))


def read_one_hot(root: Path, name: str, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return image_id, label and `at` of an ISIC ground-truth table: a column `image`, then a 0/1 column per class.

    The table NAME may be packed; see `read_published`.

    Raises:
        InputError: a missing column, or a row that names no class or several.
    """
    columns = [label.upper() for label in classes]
    table = read_published(root, name, ["image", *columns])
    ones = table.select(pl.col(columns).cast(pl.Float64, strict=False).eq(1.0).fill_null(False)).to_numpy()
    wrong = (ones.sum(axis=1) != 1).nonzero()[0]
    if len(wrong):
        row = int(wrong[0])
        at, image_id = table["at"][row], table["image"][row]
        raise InputError(f"{at}: image '{image_id}' should have a 1 in one class column, has {ones[row].sum()}")
    labels = pl.Series("label", [classes[column] for column in ones.argmax(axis=1)], dtype=pl.String)
    return pl.DataFrame([table["image"].alias("image_id"), labels, table["at"]])


def _find_lesions(root: Path) -> Path:
    """Return the table in which the training images' lesions stand."""
    if (root / _GROUPINGS).is_file():
        return root / _GROUPINGS
    for folder in (root, root.absolute().parent / "ham10000"):
        with contextlib.suppress(InputError):
            return find_metadata(folder)
    raise InputError(
        f"{root}: which training images show the same lesion is unknown; put {_GROUPINGS} or HAM10000_metadata.csv "
        "there, or give its path as 'metadata'"
    )


def _read_lesions(path: Path) -> pl.DataFrame:
    """Return image_id, lesion_id, and age, sex and localization (null where the table does not have them)."""
    if path.name == _GROUPINGS:
        table = read_table(path, ["image", "lesion_id"]).rename({"image": "image_id"})
        unknown = {"age": pl.Float64, "sex": pl.String, "localization": pl.String}
        table = table.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in unknown.items())
    else:
        table = read_metadata(path)
    return table.select("image_id", "lesion_id", "age", "sex", "localization")


def _stem(part: str) -> str:
    return f"ISIC2018_Task3_{part}"
