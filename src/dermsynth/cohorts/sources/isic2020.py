"""ISIC 2020 (Rotemberg et al. 2021, Sci. Data 8:34): 33,126 images of 2,056 patients, 584 of them melanomas."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, places_of_images
from dermsynth.cohorts.sources.tables import read_table
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

log = logging.getLogger(__name__)

_TABLES = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv")
_DUPLICATES = "ISIC_2020_Training_Duplicates.csv"
_IMAGES = ("ISIC_2020_Training_JPEG", "ISIC_2020_Training_Input", "train")
_TARGETS = {"0": "benign", "1": "malignant"}


class Isic2020Config(Config):
    """The training files of the challenge, or those of its Kaggle competition (`train.csv` and `jpeg/train`)."""

    kind: Literal["isic2020"] = "isic2020"
    root: str
    """Folder of the published files."""


class Isic2020Source(FileSource):
    """The table of the training images, the official list of duplicates, and the images in folders or zips.

    Images that the list joins, also over others, count as one lesion, named like the first of their lesions. Where such
    a lesion has both labels its images are left out. The test set's labels are not published.
    """

    classes = ("benign", "malignant")
    licence = "CC BY-NC 4.0. Rotemberg et al., Sci. Data 8:34 (2021), doi:10.34970/2020-ds01"

    def __init__(self, config: Isic2020Config) -> None:
        self.root = existing_folder(expand(config.root), f"{_TABLES[0]} and its images")
        listed = (self.root / _DUPLICATES).is_file()
        known = f"from {_DUPLICATES}" if listed else f"unknown: {_DUPLICATES} is absent"
        self.lesions = f"{known}, and from lesion_id where the table has it; patients are known"

    @property
    def table(self) -> Path:
        """Return the first of the published tables that is there."""
        for name in _TABLES:
            if (self.root / name).is_file():
                return self.root / name
        raise InputError(f"{self.root}: has no {_TABLES[0]}; fetch it from challenge.isic-archive.com/data")

    @cached_property
    def files(self) -> ImageFiles:
        """The training images."""
        folders = ((self.root, stem) for stem in _IMAGES)
        found = (places_of_images(*where) for where in (*folders, (self.root / "jpeg", "train")))
        return ImageFiles(next((places for places in found if places), []))

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image with age (years), sex, localization and diagnosis."""
        table = read_table(self.table, ["image_name", "patient_id", "target", "diagnosis"])
        optional = {"lesion_id": "lesion_id", "age_approx": "age", "sex": "sex"}
        optional["anatom_site_general_challenge"] = "localization"
        table = table.with_columns(
            pl.lit(None, dtype=pl.String).alias(name) for name in optional.keys() - table.columns
        )
        wrong = table.filter(~pl.col("target").is_in(list(_TARGETS)) | pl.col("target").is_null())
        if wrong.height:
            raise InputError(f"{wrong['at'][0]}: target is '{wrong['target'][0]}', expected 0 or 1; correct it")
        rows = table.select(
            pl.col("image_name").alias("image_id"),
            pl.col("target").replace_strict(_TARGETS).alias("label"),
            "patient_id",
            "diagnosis",
            *(pl.col(name).alias(new) for name, new in optional.items()),
            "at",
        )
        rows = rows.with_columns(
            pl.col("age").cast(pl.Float64, strict=False),
            lesion_id=pl.coalesce("lesion_id", "image_id"),
            source=pl.lit("isic2020"),
        )
        return _reported(self._joined(rows))

    def _joined(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with one lesion_id for each connected component of the official duplicates."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not (self.root / _DUPLICATES).is_file():
            return rows
        pairs = read_table(self.root / _DUPLICATES, ["image_name_1", "image_name_2"])
        lesion_of = dict(rows.select("image_id", "lesion_id").iter_rows())
        known = pairs.filter(pl.all_horizontal(pl.col("image_name_1", "image_name_2").is_in(list(lesion_of))))
        names, numbers = np.unique(rows["lesion_id"].to_numpy().astype(str), return_inverse=True)
        number = dict(zip(rows["image_id"], numbers.tolist(), strict=True))
        one, two = ([number[image_id] for image_id in known[column]] for column in ("image_name_1", "image_name_2"))
        edges = coo_array((np.ones(len(one)), (one, two)), shape=(len(names), len(names)))
        component = connected_components(edges, directed=False)[1]
        first = {int(index): str(name) for index, name in zip(component[::-1], names[::-1], strict=True)}
        return rows.with_columns(lesion_id=pl.Series([first[int(component[index])] for index in numbers]))


def _reported(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the contradictions in lesions left out (labels) or told (patients)."""
    lesions = rows.group_by("lesion_id").agg(pl.col("label", "patient_id").n_unique())
    patients = lesions.filter(pl.col("patient_id") > 1)["lesion_id"].sort()
    if len(patients):
        log.warning(
            "%d lesions have images of several patients, who then count as one; the first: %s",
            len(patients),
            patients[0],
        )
    torn = lesions.filter(pl.col("label") > 1)["lesion_id"]
    reason = pl.when(pl.col("lesion_id").is_in(torn.to_list())).then(pl.lit("duplicates with different labels"))
    return rows.with_columns(left_out=reason)
