"""Exports of the ISIC Archive (isic-archive.com): what `isic image download` or the gallery's zip holds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles
from dermsynth.cohorts.sources.places import Place
from dermsynth.cohorts.sources.tables import kept, parse_table
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

_TABLE = "metadata.csv"
_RENAMED = {"isic_id": "image_id", "age_approx": "age", "anatom_site_general": "localization"}
_IDS = ("patient_id", "lesion_id")


class IsicArchiveConfig(Config):
    """The folder or zip that was exported."""

    kind: Literal["isic-archive"] = "isic-archive"
    root: str
    """Folder or zip of an export."""
    label: str = "diagnosis_1"
    """The column of the class: `diagnosis_1` (benign, malignant, indeterminate) to `diagnosis_5`, ever finer; in older
    exports `benign_malignant` or `diagnosis`."""


class IsicArchiveSource(FileSource):
    """`metadata.csv` and images named by `isic_id`, at any depth.

    Classes are the values of the label column. Left out are images without a value there, and those whose `image_type`
    is known and not dermoscopic. All columns of the table are kept, the licence of every image among them.
    """

    table_chooses = True
    lesions = "from lesion_id and patient_id where an image has them; every other image counts as a lesion of its own"
    licence = "per image: columns copyright_license and attribution. ISIC Archive, isic-archive.com"

    def __init__(self, config: IsicArchiveConfig) -> None:
        self.config = config
        self.place = Place(expand(config.root))
        table = self.place.find(_TABLE)
        if table is None:
            raise InputError(f"{self.place.path}: has no {_TABLE}; expected an export of the ISIC Archive")
        self._table = table
        used = self.rows.filter(pl.col("left_out").is_null())
        self.classes = tuple(sorted(used["label"].unique()))

    @property
    def table(self) -> Path:
        """Return the metadata table."""
        return self.place.path / self._table

    @cached_property
    def files(self) -> ImageFiles:
        """The images."""
        return ImageFiles([self.place.path])

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image."""
        label = self.config.label
        table = parse_table(self.place.read(self._table), str(self.table), ["isic_id", label])
        absent = [name for name in (*_IDS, "image_type", "age_approx") if name not in table.columns]
        table = table.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)
        other = pl.col("image_type").is_not_null() & (pl.col("image_type") != "dermoscopic")
        reason = (
            pl.when(other)
            .then(pl.lit("no dermoscopic image"))
            .when(pl.col(label).is_null())
            .then(pl.lit(f"no value in column {label}"))
        )
        return kept(table.rename({old: new for old, new in _RENAMED.items() if old in table.columns})).with_columns(
            pl.col("age").cast(pl.Float64, strict=False),
            label=pl.col(label),
            lesion_id=pl.coalesce("lesion_id", "image_id"),
            source=pl.lit("isic-archive"),
            left_out=reason,
        )
