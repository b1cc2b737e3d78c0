"""A folder per class: ROOT/<class>/*.jpg."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, is_image
from dermsynth.cohorts.sources.tables import read_table
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

LESIONS = "lesions.csv"


class FolderConfig(Config):
    """Images in ROOT/<class>/, and optionally ROOT/lesions.csv with the columns image_id and lesion_id."""

    kind: Literal["folder"] = "folder"
    root: str
    """Folder with a folder of images for each class."""


class FolderSource(FileSource):
    """Classes are the names of the folders, in alphabetical order; an image's id is its file name without ending.

    Where a name stands in several class folders (nv/001.jpg and mel/001.jpg), the id of every image is CLASS/NAME
    (`nv/001`), also in `lesions.csv`.

    Without `lesions.csv` every image counts as a lesion of its own: photos of one lesion may then end up on both sides
    of a split.
    """

    licence = "not stated: the images are the user's own"

    def __init__(self, config: FolderConfig) -> None:
        self.root = existing_folder(expand(config.root), "a folder with one folder of images per class")
        folders = sorted(path for path in self.root.iterdir() if path.is_dir() and path.name[0] not in "._")
        self.classes = tuple(path.name for path in folders)
        if len(self.classes) < 2:
            raise InputError(f"{self.root}: has {len(self.classes)} class folders; expected at least 2, with images")
        known = (self.root / LESIONS).exists()
        self.lesions = f"from {LESIONS}" if known else "unknown: every image counts as a lesion of its own"

    @property
    def table(self) -> Path:
        """Return the root: there is no table."""
        return self.root

    @cached_property
    def files(self) -> ImageFiles:
        """The image files of all classes; raises InputError for one that lies beside the class folders."""
        loose = sorted(path for path in self.root.iterdir() if path.is_file() and is_image(path.name))
        if loose:
            raise InputError(f"{loose[0]}: lies beside the class folders; move it into the folder of its class")
        files = ImageFiles([self.root], self._name)
        short = {files.path(image_id).stem: image_id for image_id in files.ids}
        return files.renamed(short) if len(short) == len(files.ids) else files

    def _name(self, path: PurePosixPath) -> str | None:
        return f"{path.parts[0]}/{path.stem}" if path.parts[0] in self.classes else None

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image, classes one after the other."""
        found = [
            (image_id, self.files.path(image_id).parts[0], self.files.title(image_id))
            for image_id in sorted(self.files.ids, key=lambda image_id: (self.files.path(image_id).parts[0], image_id))
        ]
        table = pl.DataFrame(found, schema=dict.fromkeys(("image_id", "label", "at"), pl.String), orient="row")
        lesions = self.root / LESIONS
        if lesions.exists():
            table = table.join(self._lesions(lesions), on="image_id", how="left", maintain_order="left")
            unknown = table.filter(pl.col("lesion_id").is_null())
            if unknown.height:
                raise InputError(f"{unknown['at'][0]}: has no row in {lesions}; add its lesion_id")
        else:
            table = table.with_columns(lesion_id=pl.col("image_id"))
        return table.with_columns(patient_id=pl.lit(None, dtype=pl.String), source=pl.lit(self.root.name))

    def _lesions(self, path: Path) -> pl.DataFrame:
        """Return image_id and lesion_id, one row per image of the folders."""
        known = read_table(path, ["image_id", "lesion_id"])
        for problem, rows in (
            ("lesion_id is empty; fill it in", known.filter(pl.col("lesion_id").is_null())),
            ("image '{}' has two rows; keep one", known.filter(~pl.col("image_id").is_first_distinct())),
            ("image '{}' is missing; fetch it or remove the row", known.filter(~self._is_here(known))),
        ):
            if rows.height:
                raise InputError(f"{rows['at'][0]}: {problem.format(rows['image_id'][0])}")
        return known.select("image_id", "lesion_id")

    def _is_here(self, known: pl.DataFrame) -> pl.Series:
        return known["image_id"].is_in(list(self.files.ids)).fill_null(False)
