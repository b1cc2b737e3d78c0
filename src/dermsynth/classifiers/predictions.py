"""Predictions: what a fit says about every image of validation and test, and the only thing a verdict reads.

One parquet file per fit: `image_id, lesion_id, split, label, p_<class>…`, the probability columns in class order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from dermsynth.core.artefacts import write_parquet
from dermsynth.core.errors import InputError

FILE = "predictions.parquet"
TOLERANCE = 1e-4
"""How far the probabilities of one image may sum from 1 (float32 softmax errs by about 1e-6)."""
_PREFIX = "p_"
_COLUMNS = ("image_id", "lesion_id", "split", "label")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The checked predictions of one fit on one split; row i of every array is the same image.

    Attributes:
        image_ids: N strings, unique.
        lesion_ids: N strings; photos of the same lesion share one.
        labels: int64 (N,), index into `classes`.
        probabilities: float64 (N, C), finite, in [0, 1], rows sum to 1 within `TOLERANCE`.
        classes: The C class names, in the order of indices and columns.
        where: The file and split, for messages; rows are counted from 1 within the split.

    Raises:
        InputError: any of the above does not hold; names the file, the row and the image.
    """

    image_ids: npt.NDArray[np.str_]
    lesion_ids: npt.NDArray[np.str_]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    classes: tuple[str, ...]
    where: str = "predictions"

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        if n == 0:
            raise InputError(f"{self.where}: holds no image; a fit predicts every image of validation and test")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"{self.where}: has classes {list(self.classes)}; expected two or more, each once")
        if not len(self.lesion_ids) == len(self.labels) == n or self.probabilities.shape != (n, len(self.classes)):
            shape = self.probabilities.shape
            raise InputError(
                f"{self.where}: {n} images, {len(self.lesion_ids)} lesions, {len(self.labels)} labels and "
                f"probabilities of shape {shape} do not fit together; expected ({n}, {len(self.classes)})"
            )
        first = np.unique(self.image_ids, return_index=True)[1]
        if len(first) < n:
            row = int(np.setdiff1d(np.arange(n), first)[0])
            raise InputError(f"{self.where}: {self._at(row)} occurs twice; predict each image once")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            row = int(np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))[0])
            raise InputError(
                f"{self.where}: {self._at(row)} has label {self.labels[row]} of {len(self.classes)} classes"
            )
        self._check_probabilities()

    def _check_probabilities(self) -> None:
        finite = np.isfinite(self.probabilities).all(axis=1)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise InputError(
                f"{self.where}: {self._at(row)} has a probability that is not finite; fit the classifier again"
            )
        outside = np.any((self.probabilities < -TOLERANCE) | (self.probabilities > 1 + TOLERANCE), axis=1)
        sums = self.probabilities.sum(axis=1)
        wrong = outside | (np.abs(sums - 1) > TOLERANCE)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            found = "lie outside 0 to 1" if outside[row] else f"sum to {sums[row]:.6g}"
            raise InputError(
                f"{self.where}: {self._at(row)} has probabilities that {found}, expected a sum of 1; write a softmax"
            )

    def _at(self, row: int) -> str:
        return f"row {row + 1} (image {self.image_ids[row]})"

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """int64 (N,): the most probable class; of equal ones the first in class order."""
        found: npt.NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return found

    def take(self, rows: npt.NDArray[np.int64]) -> Predictions:
        """Return these rows, in this order."""
        return Predictions(
            self.image_ids[rows],
            self.lesion_ids[rows],
            self.labels[rows],
            self.probabilities[rows],
            self.classes,
            self.where,
        )


def write_predictions(path: Path, splits: Mapping[str, Predictions]) -> None:
    """Write `{"val": …, "test": …}` as one parquet file, atomically; probabilities are stored as float32.

    Raises:
        InputError: no split, splits with different classes, or an image in two splits.
        ArtefactError: the disk is full.
    """
    if not splits:
        raise InputError(f"{path}: no split to write")
    first = next(iter(splits.values()))
    for split, predictions in splits.items():
        if predictions.classes != first.classes:
            raise InputError(f"{path}: split '{split}' has classes {predictions.classes}, others {first.classes}")
    table = pl.concat([_table(split, predictions) for split, predictions in splits.items()])
    doubled = table.filter(pl.col("image_id").is_duplicated())
    if len(doubled):
        raise InputError(f"{path}: image {doubled['image_id'][0]} is in two splits; split the cohort again")
    write_parquet(path, table)


def read_predictions(path: Path, split: str = "test") -> Predictions:
    """Return the checked predictions of one split.

    Args:
        path: The parquet file, or the folder of the fit that holds `predictions.parquet`.
        split: "val" or "test".

    Raises:
        InputError: the file is missing or unreadable, a column is missing, an empty value, a label without a
            probability column, no row of the split, or what `Predictions` refuses.
    """
    file, table = _opened(path)
    classes = tuple(name.removeprefix(_PREFIX) for name in table.columns if name.startswith(_PREFIX))
    missing = [name for name in _COLUMNS if name not in table.columns] or ([] if classes else ["p_<class>"])
    if missing:
        raise InputError(f"{file}: has no column '{missing[0]}'; columns: {', '.join(table.columns)}")
    part = table.filter(pl.col("split") == split)
    if not len(part):
        known = ", ".join(sorted(str(name) for name in table["split"].unique().to_list()))
        raise InputError(f"{file}: has no row of split '{split}'; splits: {known or 'none'}")
    return _checked(part, classes, f"{file}, split '{split}'")


def splits_of(path: Path) -> tuple[str, ...]:
    """Return the splits that a predictions file holds, sorted; raises InputError if it cannot be read or has none."""
    file, table = _opened(path)
    if "split" not in table.columns:
        raise InputError(f"{file}: has no column 'split'; columns: {', '.join(table.columns)}")
    return tuple(sorted(str(name) for name in table["split"].unique().to_list()))


def _opened(path: Path) -> tuple[Path, pl.DataFrame]:
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    try:
        table = pl.read_parquet(file, memory_map=False)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; fit the classifier first") from None
    except (PolarsError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: cannot be read as parquet ({reason}); fit the classifier again") from None
    return file, table


def _checked(part: pl.DataFrame, classes: tuple[str, ...], where: str) -> Predictions:
    columns = [_PREFIX + name for name in classes]
    for name in (*_COLUMNS, *columns):
        if part[name].null_count():
            row = int(part[name].is_null().arg_max() or 0)
            raise InputError(f"{where}: row {row + 1} (image {part['image_id'][row]}) has no {name}")
    for name in columns:
        if not part[name].dtype.is_numeric():
            raise InputError(f"{where}: column '{name}' holds {part[name].dtype}, expected probabilities")
    labels = part["label"].cast(pl.String).to_list()
    index = {name: i for i, name in enumerate(classes)}
    unknown = next((row for row, label in enumerate(labels) if label not in index), None)
    if unknown is not None:
        image = part["image_id"][unknown]
        raise InputError(
            f"{where}: row {unknown + 1} (image {image}) has label '{labels[unknown]}' but there is no column "
            f"'{_PREFIX}{labels[unknown]}'; classes: {', '.join(classes)}"
        )
    return Predictions(
        image_ids=np.array(part["image_id"].cast(pl.String).to_list(), dtype=np.str_),
        lesion_ids=np.array(part["lesion_id"].cast(pl.String).to_list(), dtype=np.str_),
        labels=np.array([index[label] for label in labels], dtype=np.int64),
        probabilities=part.select(columns).cast(pl.Float64).to_numpy(),
        classes=classes,
        where=where,
    )


def _table(split: str, predictions: Predictions) -> pl.DataFrame:
    names = np.array(predictions.classes)
    return pl.DataFrame(
        {
            "image_id": predictions.image_ids.tolist(),
            "lesion_id": predictions.lesion_ids.tolist(),
            "split": [split] * len(predictions),
            "label": names[predictions.labels].tolist(),
            **{
                _PREFIX + name: predictions.probabilities[:, i].astype(np.float32)
                for i, name in enumerate(predictions.classes)
            },
        }
    )
