"""Split: cohort -> train, val and test, so that no lesion, patient or file stands in two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dermsynth.cohorts.cohort import PARTS, SPLIT, SPLIT_CARD, Cohort, assignment_hash
from dermsynth.core import artefacts
from dermsynth.core.config import Config
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.core.randomness import numpy_generator


class SplitConfig(Config):
    """How a cohort is divided."""

    scheme: Literal["lesion", "official"] = "lesion"
    """`lesion` draws val and test; `official` keeps the test set that the publishers fixed and draws val alone."""
    val: float = Field(0.1, gt=0, lt=1)
    """Share of each class's lesions; with `official`, of the lesions that are not in the test set."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of each class's lesions; `official` does not use it."""

    @model_validator(mode="after")
    def _train_is_left(self) -> Self:
        if self.scheme == "lesion" and self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing to train on")
        return self


def split(path: Path | str, config: SplitConfig, *, seed: int = 0, force: bool = False) -> Cohort:
    """Divide the cohort in folder `path` and return it opened; its table then has the column `split`.

    Writes `split.parquet` (image_id, lesion_id, split) and `split.json` (scheme, shares, seed, counts and the hash of
    the assignment) into the folder.

    Raises:
        ArtefactError: no cohort, or it is split already and `force` is false.
        InputError, LeakageError: as `assign`.
    """
    folder = Path(path)
    cohort = Cohort.open(folder, with_split=False)
    if (folder / SPLIT).exists() and not force:
        raise ArtefactError(f"{folder}: is split already; --force to split it again")
    parts = assign(cohort.table, cohort.classes, config, seed, where=str(folder))
    table = cohort.table.select("image_id", "lesion_id").with_columns(split=parts)
    counted = cohort.table.with_columns(split=parts).group_by("split", "label").len()
    counts = {(part, label): n for part, label, n in counted.iter_rows()}
    card = {
        "config": config.canonical(),
        "seed": seed,
        "counts": {part: {label: counts.get((part, label), 0) for label in cohort.classes} for part in PARTS},
        "sha256": assignment_hash(table),
    }
    artefacts.write_together(
        {folder / SPLIT_CARD: artefacts.json_bytes(card), folder / SPLIT: artefacts.parquet_bytes(table)}
    )
    return Cohort.open(folder)


def assign(table: pl.DataFrame, classes: tuple[str, ...], config: SplitConfig, seed: int, where: str) -> pl.Series:
    """Return the part of every row: `train`, `val` or `test`.

    Lesions that share a patient or an identical file move together. Such a group counts for the rarest class in it; of
    each class the requested share of groups, and at least one, goes to val and to test. The order of the rows changes
    nothing.

    Args:
        table: A cohort's table.
        classes: All class names.
        config: Scheme and shares.
        seed: Another seed gives another draw.
        where: What messages name.

    Raises:
        InputError: a lesion with two labels, a class with too few lesions to stand in every part, or a scheme
            `official` without official test images or with lesions on both sides.
        LeakageError: an image is synthetic.
    """
    fake = table.filter(pl.col("origin") != "real")
    if fake.height:
        raise LeakageError(f"{where}: image '{fake['image_id'][0]}' is synthetic; only real images are split")
    _check_labels(table, where)
    groups = _groups(table)
    parts = np.full(table.height, "train", dtype="<U5")
    free = np.ones(table.height, dtype=np.bool_)
    if config.scheme == "official":
        free = ~_official_test(table, groups, where)
        parts[~free] = "test"
    shares = {"val": config.val} if config.scheme == "official" else {"val": config.val, "test": config.test}
    home = _home_class(table, groups, classes)
    for label in classes:
        members = sorted({group for group, here in zip(groups, free, strict=True) if here and home[group] == label})
        order = numpy_generator(seed, f"split {label}").permutation(len(members))
        start = 0
        for part, share in shares.items():
            count = max(1, round(share * len(members)))
            chosen = {members[index] for index in order[start : start + count]}
            parts[np.isin(groups, list(chosen)) & free] = part
            start += count
    _check_parts(table, parts, classes, where)
    return pl.Series("split", parts.tolist(), dtype=pl.String)


def _check_labels(table: pl.DataFrame, where: str) -> None:
    labels = table.group_by("lesion_id").agg(pl.col("label").unique().sort()).filter(pl.col("label").list.len() > 1)
    if labels.height:
        lesion, found = labels.sort("lesion_id").row(0)
        raise InputError(f"{where}: lesion '{lesion}' is labelled {' and '.join(found)}; correct its labels")


def _groups(table: pl.DataFrame) -> NDArray[np.str_]:
    """Return for every row the name of its group: the first lesion among those that share patients or files."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, lesion = np.unique(table["lesion_id"].to_numpy().astype(str), return_inverse=True)
    starts, ends, size = [], [], len(names)
    for column in ("patient_id", "sha256"):
        owner = table[column].cast(pl.String).replace("", None)
        known = owner.is_not_null().to_numpy()
        numbers = owner.rank("dense").drop_nulls().cast(pl.Int64).to_numpy()
        starts.append(lesion[known])
        ends.append(numbers - 1 + size)
        size += int(numbers.max(initial=0))
    start, end = np.concatenate(starts), np.concatenate(ends)
    edges = coo_array((np.ones(len(start)), (start, end)), shape=(size, size))
    component = connected_components(edges, directed=False)[1][: len(names)]
    first = {int(number): names[index] for index, number in reversed(list(enumerate(component)))}
    return np.array([first[int(component[index])] for index in lesion])


def _home_class(table: pl.DataFrame, groups: NDArray[np.str_], classes: tuple[str, ...]) -> dict[str, str]:
    sizes = dict(table.group_by("label").agg(pl.col("lesion_id").n_unique()).iter_rows())
    rank = {label: (sizes.get(label, 0), number) for number, label in enumerate(classes)}
    home: dict[str, str] = {}
    for group, label in zip(groups.tolist(), table["label"], strict=True):
        home[group] = min(home.get(group, label), label, key=rank.__getitem__)
    return home


def _official_test(table: pl.DataFrame, groups: NDArray[np.str_], where: str) -> NDArray[np.bool_]:
    if "part" not in table.columns or not (table["part"] == "test").any():
        raise InputError(f"{where}: its source fixes no test set; use --scheme lesion")
    test = (table["part"] == "test").fill_null(False).to_numpy()
    both = sorted(set(groups[test].tolist()) & set(groups[~test].tolist()))
    if both:
        raise InputError(
            f"{where}: lesion '{both[0]}', its patient or a file of it is in the official test and in training"
        )
    return test


def _check_parts(table: pl.DataFrame, parts: NDArray[np.str_], classes: tuple[str, ...], where: str) -> None:
    labels = table["label"].to_numpy()
    for label in classes:
        for part in PARTS:
            if not ((labels == label) & (parts == part)).any():
                lesions = table.filter(pl.col("label") == label)["lesion_id"].n_unique()
                raise InputError(
                    f"{where}: class '{label}' has too few lesions ({lesions}): none is left for {part}; "
                    "add lesions, change the shares, or leave the class out"
                )
