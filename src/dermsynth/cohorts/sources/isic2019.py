"""ISIC 2019 (Combalia et al. 2019, arXiv:1908.02288; Codella et al. 2018; Tschandl et al. 2018): eight classes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, places_of_images
from dermsynth.cohorts.sources.isic2018 import read_one_hot
from dermsynth.cohorts.sources.tables import read_published
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

CLASSES = ("mel", "nv", "bcc", "ak", "bkl", "df", "vasc", "scc")
_UNKNOWN = "unk"
_CLINICS = {"HAM": "ham10000", "BCN": "bcn20000", "MSK": "msk"}
_PARTS = {"Training": "train", "Test": "test"}


class Isic2019Config(Config):
    """The challenge's files; those of the test set may be absent."""

    kind: Literal["isic2019"] = "isic2019"
    root: str
    """Folder of the published files."""
    one_per_lesion: bool = False
    """Keep the first photo of every lesion (by image_id) only."""


class Isic2019Source(FileSource):
    """`ISIC_2019_<Training|Test>_<GroundTruth|Metadata>.csv` beside the folders or zips `ISIC_2019_<part>_Input*`.

    An image without `lesion_id` counts as a lesion of its own; so does every test image. Images of the class UNK, none
    of the eight and in the test set only, are left out. The column `source` says which clinic's collection a training
    image comes from (`ham10000`, `bcn20000`, `msk`, or `unknown` without lesion_id): the classes differ between them,
    and so do the cameras.
    """

    classes = CLASSES
    lesions = "known of 23,247 of the 25,331 training images; every other image counts as a lesion of its own"
    licence = (
        "CC BY-NC 4.0. Tschandl, Rosendahl, Kittler, Sci. Data 5:180161 (2018); "
        "Codella et al., arXiv:1710.05006 (2018); Combalia et al., arXiv:1908.02288 (2019)"
    )

    def __init__(self, config: Isic2019Config) -> None:
        self.root = existing_folder(expand(config.root), "ISIC_2019_Training_GroundTruth.csv and its images")
        self.one_per_lesion = config.one_per_lesion
        self.parts = ["Training", *(["Test"] if any(self.root.glob("ISIC_2019_Test_GroundTruth*")) else [])]

    @property
    def table(self) -> Path:
        """Return the folder: rows come from several tables."""
        return self.root

    @cached_property
    def files(self) -> ImageFiles:
        """The images of the parts whose ground truth is there."""
        return ImageFiles(
            [place for part in self.parts for place in places_of_images(self.root, f"ISIC_2019_{part}_Input")]
        )

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image, training first, with age (years), sex and localization."""
        rows = pl.concat([self._part(part) for part in self.parts], how="diagonal")
        clinic = pl.col("lesion_id").str.extract("^([A-Z]+)").replace_strict(_CLINICS, default="unknown")
        unknown = pl.when(pl.col("label") == _UNKNOWN).then(pl.lit("class UNK: none of the eight"))
        return rows.with_columns(
            lesion_id=pl.coalesce("lesion_id", "image_id"),
            source=clinic.fill_null("unknown"),
            patient_id=pl.lit(None, dtype=pl.String),
            left_out=unknown,
        )

    def _part(self, part: str) -> pl.DataFrame:
        labels = read_one_hot(self.root, f"ISIC_2019_{part}_GroundTruth", (*CLASSES, _UNKNOWN))
        known = ["lesion_id"] if part == "Training" else []
        table = f"ISIC_2019_{part}_Metadata"
        facts = read_published(self.root, table, ["image", *known, "age_approx", "sex", "anatom_site_general"])
        for problem, wrong in (
            ("stands in two rows; keep one", facts.filter(~pl.col("image").is_first_distinct())),
            (f"has no row in {table}; add it", labels.join(facts, left_on="image_id", right_on="image", how="anti")),
        ):
            if wrong.height:
                image_id = wrong[wrong.columns[0]][0]
                raise InputError(f"{wrong['at'][0]}: image '{image_id}' {problem}")
        facts = facts.select(
            pl.col("image").alias("image_id"),
            *known,
            pl.col("age_approx").cast(pl.Float64, strict=False).alias("age"),
            "sex",
            pl.col("anatom_site_general").alias("localization"),
        )
        rows = labels.join(facts, on="image_id", how="left", maintain_order="left")
        return rows.with_columns(part=pl.lit(_PARTS[part]))
