"""Any CSV table beside images in folders or zip files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl
from pydantic import Field

from dermsynth.cohorts.cohort import PARTS
from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles, existing_folder, is_image
from dermsynth.cohorts.sources.tables import kept, read_table
from dermsynth.core.config import Config, nearest
from dermsynth.core.errors import InputError


class CsvConfig(Config):
    """A table, where the images are, and what the table's columns are called.

    Columns that are not named here are looked for under the names that a cohort uses, and may be absent.
    """

    kind: Literal["csv"] = "csv"
    root: str
    """Folder of the table and the images."""
    table: str
    """Of the table in `root`."""
    images: tuple[str, ...] = Field((".",), min_length=1)
    """Folders and zip files in `root`, read with what is below them."""
    image: str = "image_id"
    """Column of the images' names, with or without folders and ending."""
    label: str = "label"
    """Column of the classes."""
    lesion: str | None = None
    """Column of the lesions."""
    patient: str | None = None
    """Column of the patients."""
    part: str | None = None
    """Column of `train`, `val` or `test`, for the scheme `fixed` of a split."""
    mask: str | None = None
    """Column of the masks' names, with or without folders and ending."""


class CsvSource(FileSource):
    """Classes are the labels in alphabetical order; an image's id is its file name, or its path where names repeat.

    The table says which images belong to the data set. Further columns are kept; one whose name a cohort uses for
    something else (`split`, `source`, …) gets `given_` in front. Without a column of lesions, or where it is empty,
    every image counts as a lesion of its own.
    """

    table_chooses = True
    licence = "not stated: the images are the user's own"

    def __init__(self, config: CsvConfig) -> None:
        self.config = config
        self.root = existing_folder(expand(config.root), f"{config.table} and images")
        self._told = read_table(self.table, [config.image, config.label])
        self.classes = tuple(sorted(self._told[config.label].drop_nulls().unique()))
        self._columns = {name: self._column(name, given) for name, given in self._optional.items()}
        lesion = self._columns["lesion_id"]
        self.lesions = f"from column {lesion}" if lesion else "unknown: every image counts as a lesion of its own"

    @property
    def _optional(self) -> dict[str, str | None]:
        config = self.config
        return {"lesion_id": config.lesion, "patient_id": config.patient, "part": config.part, "mask": config.mask}

    def _column(self, usual: str, given: str | None) -> str | None:
        """Return the column that the table has for `usual`, or None."""
        if given is not None and given not in self._told.columns:
            raise InputError(f"{self.table}: has no column '{given}'; {nearest(given, self._told.columns)}")
        return given or (usual if usual in self._told.columns else None)

    @property
    def table(self) -> Path:
        """Return the table."""
        return self.root / self.config.table

    @cached_property
    def _everything(self) -> ImageFiles:
        """All image files, masks among them, by their paths."""
        return ImageFiles([self.root / place for place in self.config.images], str)

    @cached_property
    def _ids(self) -> list[str | None]:
        """The id of every row."""
        names = self._told[self.config.image]
        paths = [None if name is None else _without_ending(name) for name in names]
        stems = [path and path.name for path in paths]
        unique = max(Counter(stem for stem, path in set(zip(stems, paths, strict=True))).values()) == 1
        return [None if path is None else path.name if unique else str(path) for path in paths]

    @cached_property
    def files(self) -> ImageFiles:
        """The images that the table names."""
        return self._everything.renamed(self._found(self.config.image))

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The masks that the table names."""
        column = self._columns["mask"]
        return None if column is None else self._everything.renamed(self._found(column))

    def _found(self, column: str) -> dict[str, str]:
        """Return the path of the file that each row names in a column, by image_id; names without a file are left out.

        Raises:
            InputError: a name that fits several files, or a file that two rows name.
        """
        known = _by_stem(self._everything.ids)
        found: dict[str, str] = {}
        owner: dict[str, str] = {}
        for image_id, name, at in zip(self._ids, self._told[column], self._told["at"], strict=True):
            if image_id is None or name is None:
                continue
            fitting = [path for path in known[_without_ending(name).name] if _fits(_path(name), path)]
            if len(fitting) > 1:
                both = " and ".join(sorted(map(str, fitting))[:2])
                raise InputError(f"{at}: '{name}' may be {both}; write its folder or ending into column '{column}'")
            if fitting:
                path = str(fitting[0])
                if owner.setdefault(path, at) != at:
                    raise InputError(f"{at}: '{name}' is also named in {owner[path]}; keep one of them")
                found[image_id] = path
        return found

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The table's rows, with the columns of a cohort."""
        config, told = self.config, self._told
        named = {config.image: "image_id", config.label: "label"}
        named |= {column: name for name, column in self._columns.items() if column is not None}
        # A table may have a column of a cohort's name that is not the one that was chosen for it.
        passed_over = {name: f"given_{name}" for name in named.values() if name in told.columns and name not in named}
        rows = kept(told.rename(passed_over | named)).with_columns(image_id=pl.Series(self._ids, dtype=pl.String))
        rows = rows.with_columns(source=pl.lit(self.root.name))
        for name in ("lesion_id", "patient_id"):
            if name not in rows.columns:
                rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        if "part" in rows.columns:
            wrong = rows.filter(~pl.col("part").is_in(PARTS))
            if wrong.height:
                part = wrong["part"][0]
                raise InputError(f"{wrong['at'][0]}: part is '{part}', expected {', '.join(PARTS)}; correct it")
        return rows.with_columns(lesion_id=pl.coalesce("lesion_id", "image_id"))

    def check(self) -> pl.DataFrame:
        """Check the rows, and that the masks they name are there; see `Source.check`."""
        rows = super().check()
        if self.masks is None:
            return rows
        lost = rows.filter(pl.col("mask").is_not_null() & ~pl.col("image_id").is_in(list(self.masks.ids)))
        if lost.height:
            image_id, mask = lost.select("image_id", "mask").row(0)
            raise InputError(f"{self.table}: the mask '{mask}' of image '{image_id}' is missing; fetch it or clear it")
        return rows


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _without_ending(name: str) -> PurePosixPath:
    return _path(name).with_suffix("") if is_image(name) else _path(name)


def _by_stem(paths: Iterable[str]) -> defaultdict[str, list[PurePosixPath]]:
    known: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, paths):
        known[path.stem].append(path)
    return known


def _fits(name: PurePosixPath, path: PurePosixPath) -> bool:
    """Return whether a name in a table means the file `path`: folders that both have agree, an ending if it has one."""
    if is_image(name.name) and name.name != path.name:
        return False
    one, two = name.parts[-2::-1], path.parts[-2::-1]
    return all(a == b for a, b in zip(one, two, strict=False))
