"""The cohort: a set of images with one table row each, in a folder of three files.

`cohort.parquet` has a row per image, `images.npy` the pixels (uint8, N x H x W x 3, memory-mapped on opening),
`card.json` says where they come from. A phantom cohort also has `masks.npy` (uint8, N x H x W, 1 on the lesion).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.stack import ImageStack
from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError, InputError, LeakageError

TABLE, IMAGES, MASKS = "cohort.parquet", "images.npy", "masks.npy"
SPLIT, SPLIT_CARD = "split.parquet", "split.json"
COLUMNS = ("image_id", "label", "lesion_id", "patient_id", "source", "origin", "sha256")
ORIGINS = ("real", "synthetic")
PARTS = ("train", "val", "test")
UNUSED = "unused"
"""In the column `split`: in no part, because a split left the image out."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Images with one table row each; immutable, in memory or memory-mapped.

    Attributes:
        table: Row i describes `images[i]`. Columns: `image_id` (unique), `label` (one of `classes`), `lesion_id`,
            `patient_id` (may be null), `source`, `origin` (`real` or `synthetic`), `sha256` (of the file the image was
            read from, or of its pixels if it was drawn), then what the source offers (age, sex, …). After a split also
            `split`: `train`, `val`, `test` or `unused`.
        images: N x H x W x 3, uint8, RGB.
        classes: The class names in the order of class indices, everywhere.
        masks: None, or N x H x W, uint8, 1 on the lesion.
        card: What `card.json` says (empty for a cohort that was never saved).
        path: The folder it was opened from, or None.
        leaky: None, or in words how test images show what train shows, of a split that was asked to allow it.
    """

    table: pl.DataFrame
    images: ImageStack
    classes: tuple[str, ...]
    masks: ImageStack | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    leaky: str | None = None

    def __post_init__(self) -> None:
        where = str(self.path or "cohort")
        missing = [name for name in COLUMNS if name not in self.table.columns]
        if missing:
            raise InputError(f"{where}: the table has no column '{missing[0]}'; it needs {', '.join(COLUMNS)}")
        if len(self.images.shape) != 4 or self.images.shape[3] != 3:
            raise InputError(f"{where}: images have shape {self.images.shape}, expected N x height x width x 3")
        if self.images.shape[1] != self.images.shape[2]:
            raise InputError(
                f"{where}: images are {self.images.shape[2]} x {self.images.shape[1]} px, expected squares"
            )
        for name, stack in (("images", self.images), ("masks", self.masks)):
            if stack is not None and len(stack) != self.table.height:
                raise InputError(
                    f"{where}: {self.table.height} table rows but {len(stack)} {name}; ingest the cohort again"
                )
        for column in ("image_id", "lesion_id"):
            if self.table[column].null_count():
                row = self.table[column].is_null().arg_max()
                raise InputError(f"{where}: row {row} has no {column}; ingest the cohort again")
        twice = self.table.filter(pl.col("image_id").is_duplicated())
        if twice.height:
            raise InputError(f"{where}: image_id '{twice['image_id'][0]}' stands in {_times(twice)} rows, expected one")
        for column, allowed in (("label", self.classes), ("origin", ORIGINS), ("split", (*PARTS, UNUSED))):
            if column in self.table.columns:
                self._check_values(where, column, allowed)

    def _check_values(self, where: str, column: str, allowed: Sequence[str]) -> None:
        wrong = self.table.with_row_index("row").filter(~pl.col(column).is_in(allowed) | pl.col(column).is_null())
        if wrong.height:
            row, value = wrong["row"][0], wrong[column][0]
            raise InputError(f"{where}: row {row} has {column} {value!r}, expected one of {', '.join(allowed)}")

    @classmethod
    def in_memory(
        cls,
        table: pl.DataFrame,
        images: NDArray[np.uint8],
        classes: Iterable[str],
        masks: NDArray[np.uint8] | None = None,
    ) -> Cohort:
        """Return the cohort of arrays; `images` N x H x W x 3 uint8, `masks` N x H x W uint8."""
        return cls(table, ImageStack.of(images), tuple(classes), None if masks is None else ImageStack.of(masks))

    @classmethod
    def open(cls, path: Path | str, *, with_split: bool = True) -> Cohort:
        """Open a cohort or a pool; pixels stay on disk until they are read.

        Args:
            path: Its folder.
            with_split: Read the split too, if there is one.

        Raises:
            ArtefactError: the folder has no card, a file is missing or truncated, or the split is not the one that its
                card describes.
            InputError: table and images disagree.
        """
        path = Path(path)
        card = artefacts.read_card(path, "cohort")
        try:
            table = pl.read_parquet(path / TABLE)
            images = np.load(path / IMAGES, mmap_mode="r", allow_pickle=False)
            masks = np.load(path / MASKS, mmap_mode="r", allow_pickle=False) if (path / MASKS).exists() else None
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise ArtefactError(f"{path}: cannot be read ({' '.join(str(error).split())}); make it again") from None
        leaky = None
        if with_split and (path / SPLIT).exists():
            table, leaky = _with_split(table, path / SPLIT)
        stacks = [None if array is None else ImageStack.of(array) for array in (images, masks)]
        assert stacks[0] is not None
        return cls(table, stacks[0], tuple(card["classes"]), stacks[1], card, path, leaky)

    def save(self, out: Path | str, *, force: bool = False, facts: Mapping[str, Any] | None = None) -> Cohort:
        """Write the cohort as a folder and return it opened from there; `facts` go into its card.

        Raises:
            ArtefactError: `out` exists and `force` is false, or the disk is full.
        """
        with writing_cohort(Path(out), self.classes, force=force, facts=facts) as writer:
            for start in range(0, len(self), 256):
                rows = np.arange(start, min(start + 256, len(self)))
                masks = None if self.masks is None else self.masks[rows]
                writer.append(self.table[start : start + 256], self.images[rows], masks)
        return Cohort.open(out)

    def __len__(self) -> int:
        return self.table.height

    @property
    def size_px(self) -> int:
        """Return the side of the square images in pixels."""
        return int(self.images.shape[1])

    @property
    def labels(self) -> NDArray[np.int64]:
        """Return the class index of every image (N, int64)."""
        index = {name: number for number, name in enumerate(self.classes)}
        return self.table["label"].replace_strict(index, return_dtype=pl.Int64).to_numpy().astype(np.int64)

    def counts(self) -> dict[str, int]:
        """Return the number of images of every class, in class order."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(found[number]) for number, name in enumerate(self.classes)}

    def select(self, which: pl.Expr | NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]) -> Cohort:
        """Return the images that an expression over the table, a boolean mask or row numbers pick (no copy)."""
        if isinstance(which, pl.Expr):
            rows = self.table.select(which.alias("picked"))["picked"].arg_true().to_numpy()
        else:
            rows = np.asarray(which)
            if rows.dtype == np.bool_:
                if rows.shape != (len(self),):
                    raise InputError(f"a mask of shape {rows.shape} cannot pick from {len(self)} images")
                rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        masks = None if self.masks is None else self.masks.take(rows)
        return replace(self, table=self.table[rows], images=self.images.take(rows), masks=masks)

    def part(self, name: str) -> Cohort:
        """Return the `train`, `val` or `test` part.

        Raises:
            InputError: the cohort has no split, or the part is empty.
            LeakageError: val or test has a synthetic image.
        """
        where = self.path or "cohort"
        if "split" not in self.table.columns:
            raise InputError(f"{where}: has no split; run 'dermsynth split {where}' first")
        part = self.select(pl.col("split") == name)
        if not len(part):
            raise InputError(f"{where}: the {name} part is empty; split the cohort again")
        fake = part.table.filter(pl.col("origin") != "real")
        if name != "train" and fake.height:
            raise LeakageError(f"{where}: synthetic image '{fake['image_id'][0]}' is in the {name} part; remove it")
        return part

    @staticmethod
    def concat(cohorts: Sequence[Cohort]) -> Cohort:
        """Return the images of several cohorts, one after the other (no pixel is copied).

        Raises:
            InputError: their classes or image sizes differ, or an `image_id` stands in two of them.
        """
        first = cohorts[0]
        for other in cohorts[1:]:
            if other.classes != first.classes:
                raise InputError(f"cannot join cohorts with classes {first.classes} and {other.classes}")
            if other.images.shape[1:] != first.images.shape[1:]:
                raise InputError(f"cannot join images of {first.size_px} px and {other.size_px} px; ingest at one size")
        masks = [cohort.masks for cohort in cohorts if cohort.masks is not None]
        return Cohort(
            pl.concat([cohort.table for cohort in cohorts], how="diagonal_relaxed"),
            ImageStack.concat([cohort.images for cohort in cohorts]),
            first.classes,
            ImageStack.concat(masks) if len(masks) == len(cohorts) else None,
        )

    @property
    def identity(self) -> str:
        """Return the SHA-256 of the content of a cohort, or of a selection from one, including its split."""
        columns = [name for name in ("image_id", "label", "split") if name in self.table.columns]
        rows = self.table.select(columns).write_csv()
        if self.path is not None:
            return hashlib.sha256(f"{artefacts.identity(self.card)}\n{rows}".encode()).hexdigest()
        pixels = hashlib.sha256(rows.encode())
        for start in range(0, len(self), 256):
            pixels.update(np.ascontiguousarray(self.images[start : start + 256]).data)
        return pixels.hexdigest()


@contextlib.contextmanager
def writing_cohort(
    out: Path, classes: Sequence[str], *, force: bool = False, facts: Mapping[str, Any] | None = None
) -> Iterator[CohortWriter]:
    """Build the cohort folder `out` chunk by chunk; it appears, checked, when the block ends without an error.

    Memory does not grow with the number of images. `facts` go into the card.
    """
    with artefacts.creating(Path(out), "cohort", force=force) as draft:
        writer = CohortWriter(draft.path)
        try:
            yield writer
            table = writer.close()
        finally:
            writer.abandon()
        pixels = np.load(draft.path / IMAGES, mmap_mode="r", allow_pickle=False)
        whole = Cohort.in_memory(table, pixels, classes)  # checks every invariant before the folder appears
        draft.card.update(classes=list(classes), size_px=whole.size_px, images=len(whole), counts=whole.counts())
        draft.card.update(facts or {})


class CohortWriter:
    """Appends rows to the files of a cohort; made by `writing_cohort`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: list[pl.DataFrame] = []
        self._arrays: dict[str, _ArrayFile] = {}

    def append(self, table: pl.DataFrame, images: NDArray[np.uint8], masks: NDArray[np.uint8] | None = None) -> None:
        """Add n rows: `images` n x H x W x 3 uint8, `masks` n x H x W uint8 (in every chunk or in none)."""
        self._tables.append(table)
        for name, array in ((IMAGES, images), (MASKS, masks)):
            if array is not None:
                if name not in self._arrays:
                    self._arrays[name] = _ArrayFile(self.folder / name, array.shape[1:])
                self._arrays[name].append(array)

    def close(self) -> pl.DataFrame:
        """Complete the files and return the whole table."""
        if not self._tables:
            raise InputError("no images: the cohort would be empty")
        for array in self._arrays.values():
            array.close()
        table = pl.concat(self._tables, how="diagonal_relaxed")
        table = table.select(*COLUMNS, pl.exclude(*COLUMNS))
        artefacts.write_parquet(self.folder / TABLE, table)
        return table

    def abandon(self) -> None:
        """Close the files whatever state they are in; after `close` this does nothing."""
        for array in self._arrays.values():
            array.abandon()


class _ArrayFile:
    """An .npy file that grows: ordinary writes report a full disk, a memory map would kill the process."""

    _HEADER_BYTES = 128

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._file = path.open("wb")
        self._shape, self._rows = shape, 0
        self._file.write(b"\0" * self._HEADER_BYTES)

    def append(self, array: NDArray[np.uint8]) -> None:
        if array.dtype != np.uint8 or array.shape[1:] != self._shape:
            raise InputError(f"{self._file.name}: cannot add {array.dtype} {array.shape[1:]} to uint8 {self._shape}")
        self._file.write(np.ascontiguousarray(array).data)
        self._rows += len(array)

    def close(self) -> None:
        header = str({"descr": "|u1", "fortran_order": False, "shape": (self._rows, *self._shape)})
        text = header.ljust(self._HEADER_BYTES - 11) + "\n"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"))
        self._file.close()

    def abandon(self) -> None:
        # Closing flushes what is buffered, which fails again on a full disk; the folder is about to be deleted.
        with contextlib.suppress(OSError):
            self._file.close()


def assignment_hash(split: pl.DataFrame) -> str:
    """Return the SHA-256 that stands for who is in which part; columns image_id and split, in any order of rows."""
    rows = split.sort("image_id").select("image_id", "split").iter_rows()
    return hashlib.sha256("".join(f"{image_id} {part}\n" for image_id, part in rows).encode()).hexdigest()


def _with_split(table: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, str | None]:
    again = f"run 'dermsynth split {path.parent} --force'"
    try:
        split = pl.read_parquet(path)
        card = json.loads((path.parent / SPLIT_CARD).read_text(encoding="utf-8"))
        expected, leaky = card["sha256"], card.get("leaky")
        found = assignment_hash(split)
    except (OSError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        raise ArtefactError(f"{path}: cannot be read ({' '.join(str(error).split())}); {again}") from None
    if found != expected:
        raise ArtefactError(f"{path}: is not the split that {SPLIT_CARD} describes; {again}")
    if split.height != table.height or not (split["image_id"] == table["image_id"]).all():
        raise ArtefactError(f"{path}: does not fit the cohort's images; {again}")
    return table.with_columns(split["split"]), leaky


def _times(rows: pl.DataFrame) -> int:
    return rows.filter(pl.col("image_id") == rows["image_id"][0]).height
