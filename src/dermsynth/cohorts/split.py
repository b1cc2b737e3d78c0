"""Split: cohort -> train, val and test, so that no lesion, patient, file or near-duplicate stands in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dermsynth.cohorts.cohort import PARTS, SPLIT, UNUSED, Cohort
from dermsynth.cohorts.split_files import write_split
from dermsynth.core.config import Config
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.core.randomness import numpy_generator

Pairs = Sequence[tuple[int, int]]
"""Row numbers of images that show the same."""


class SplitConfig(Config):
    """How a cohort is divided, and how much of its train part is used."""

    scheme: Literal["lesion", "kfold", "official", "fixed", "image"] = "lesion"
    """`lesion` draws val and test. `kfold` makes one of several folds the test. `official` keeps the parts that the
    publishers fixed, and leaves out training images that show what val or test show. `fixed` keeps them with such
    images, and `image` draws single images, as papers 001 and 002 did: both are marked as leaky."""
    val: float = Field(0.1, gt=0, lt=1)
    """Share of each class's lesions; with `kfold` and `official`, of those that are not in the test set."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of each class's lesions; `kfold`, `official` and `fixed` do not use it."""
    folds: int = Field(5, ge=2)
    """Of `kfold`."""
    fold: int = Field(0, ge=0)
    """Which of them is the test, from 0."""
    near_duplicates: bool = True
    """Search the pixels for images that show the same, and keep them together. The schemes `fixed` and `image` do not
    keep anything together."""
    train_fraction: float | None = Field(None, gt=0, le=1)
    """Use only this share of each class's training lesions: a smaller share is part of a larger one."""
    train_lesions: int | None = Field(None, ge=1)
    """Use at most this many training lesions of each class."""
    imbalance: Literal["exponential", "step"] | None = None
    """Thin out the training lesions to this profile: `exponential` falls evenly from the largest class to the smallest
    (Cui et al. 2019, arXiv:1901.05555); with `step` the smaller half of the classes is rare (Buda et al. 2018,
    arXiv:1710.05381)."""
    imbalance_ratio: float = Field(10.0, ge=1)
    """Training lesions of the largest class to those of the smallest."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.scheme in ("lesion", "image") and self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing to train on")
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold}: there are {self.folds} folds, numbered from 0")
        if self.train_fraction is not None and self.train_lesions is not None:
            raise ValueError("train_fraction and train_lesions are both set; choose one")
        return self


def split(path: Path | str, config: SplitConfig, *, seed: int = 0, force: bool = False) -> Cohort:
    """Divide the cohort in folder `path` and return it opened; its table then has the column `split`.

    Writes `split.parquet` (image_id, lesion_id, split) and `split.json` (scheme, shares, seed, counts, the hash of the
    assignment, and under `leaky` why test images are not new to a classifier, or null) into the folder.

    Raises:
        ArtefactError: no cohort, or it is split already and `force` is false.
        InputError, LeakageError: as `assign`.
    """
    folder = Path(path)
    cohort = Cohort.open(folder, with_split=False)
    if (folder / SPLIT).exists() and not force:
        raise ArtefactError(f"{folder}: is split already; --force to split it again")
    pairs = _near_duplicates(cohort) if config.near_duplicates and config.scheme != "image" else []
    parts = assign(cohort.table, cohort.classes, config, seed, where=str(folder), pairs=pairs)
    table = cohort.table.with_columns(split=parts)
    known = cohort.card.get("fixed_split") if config.scheme == "fixed" else None
    facts = {
        "config": config.canonical(),
        "seed": seed,
        "near_duplicates": len(pairs),
        "leaky": known or leak(table, pairs),
    }
    write_split(folder, table, cohort.classes, facts)
    return Cohort.open(folder)


def assign(
    table: pl.DataFrame,
    classes: tuple[str, ...],
    config: SplitConfig,
    seed: int,
    where: str,
    pairs: Pairs = (),
) -> pl.Series:
    """Return the part of every row: `train`, `val`, `test` or `unused`.

    Lesions that share a patient, an identical file or near-duplicates move together. Such a group counts for the rarest
    class in it; of each class the requested share of groups, and at least one, goes to every part. The order of the
    rows changes nothing.

    Args:
        table: A cohort's table.
        classes: All class names.
        config: Scheme, shares and what is used of the train part.
        seed: Another seed gives another draw.
        where: What messages name.
        pairs: Rows that show the same.

    Raises:
        InputError: a lesion with two labels, a class with too few lesions to stand in every part, or a scheme
            `official` or `fixed` where the publishers fixed no test set.
        LeakageError: an image is synthetic.
    """
    fake = table.filter(pl.col("origin") != "real")
    if fake.height:
        raise LeakageError(f"{where}: image '{fake['image_id'][0]}' is synthetic; only real images are split")
    if config.scheme in ("image", "fixed"):
        # Nothing is kept together, so every image is a group of its own.
        groups = table["image_id"].to_numpy().astype(str)
    else:
        _check_labels(table, where)
        groups = _groups(table, pairs)
    rows = _Rows(table, groups, _home_class(table, groups, classes), classes, seed, where)
    parts = _SCHEMES[config.scheme](rows, config)
    _thin_out(rows, parts, config)
    _check_parts(table, parts, classes, where)
    return pl.Series("split", parts.tolist(), dtype=pl.String)


def leak(table: pl.DataFrame, pairs: Pairs) -> str | None:
    """Return how many of the test images show what a training image shows, in words; None if no one does.

    Args:
        table: A cohort's table with the column `split`.
        pairs: Rows that show the same.
    """
    groups = pl.Series(_groups(table, pairs))
    test = groups.filter(table["split"] == "test")
    shown = test.is_in(groups.filter(table["split"] == "train").implode()).sum()
    if not shown:
        return None
    return f"{100 * shown / len(test):.1f} % of the test images show a lesion or a patient that is in train"


@dataclass(frozen=True, eq=False)
class _Rows:
    """What schemes divide: a table's rows, in groups that stay together, each with the class it counts for."""

    table: pl.DataFrame
    groups: NDArray[np.str_]
    home: Mapping[str, str]
    classes: tuple[str, ...]
    seed: int
    where: str

    def drawn(self, label: str, here: NDArray[np.bool_], purpose: str = "split") -> list[str]:
        """Return the groups of a class among the rows `here`, in the random order of a purpose."""
        members = sorted({group for group in self.groups[here].tolist() if self.home[group] == label})
        order = numpy_generator(self.seed, f"{purpose} {label}").permutation(len(members))
        return [members[index] for index in order]

    def put(self, parts: NDArray[np.str_], chosen: Sequence[str], part: str) -> None:
        """Give the rows of the chosen groups to a part."""
        parts[np.isin(self.groups, list(chosen))] = part


def _by_shares(rows: _Rows, parts: NDArray[np.str_], shares: Mapping[str, float]) -> NDArray[np.str_]:
    """Give of each class's groups in train a share, and at least one group, to the parts named."""
    free = parts == "train"
    for label in rows.classes:
        members, start = rows.drawn(label, free), 0
        for part, share in shares.items():
            count = max(1, round(share * len(members)))
            rows.put(parts, members[start : start + count], part)
            start += count
    return parts


def _all_in_train(rows: _Rows) -> NDArray[np.str_]:
    return np.full(rows.table.height, "train", dtype="<U6")


def _lesion(rows: _Rows, config: SplitConfig) -> NDArray[np.str_]:
    return _by_shares(rows, _all_in_train(rows), {"val": config.val, "test": config.test})


def _kfold(rows: _Rows, config: SplitConfig) -> NDArray[np.str_]:
    """Deal the groups of each class to the folds in turn; where one class ends, the next goes on."""
    parts, dealt = _all_in_train(rows), 0
    everywhere = np.ones(rows.table.height, dtype=np.bool_)
    for label in rows.classes:
        members = rows.drawn(label, everywhere)
        if len(members) < config.folds:
            raise InputError(
                f"{rows.where}: class '{label}' has {len(members)} lesions that can be parted, fewer than the "
                f"{config.folds} folds; choose fewer folds, or leave the class out"
            )
        rows.put(parts, members[(config.fold - dealt) % config.folds :: config.folds], "test")
        dealt += len(members)
    return _by_shares(rows, parts, {"val": config.val})


def _official(rows: _Rows, config: SplitConfig) -> NDArray[np.str_]:
    parts = _published(rows)
    held_out = parts != "train"
    # Test stays whole: where a group reaches into it, what is in training is left out.
    parts[~held_out & np.isin(rows.groups, rows.groups[held_out])] = UNUSED
    parts[(parts == "val") & np.isin(rows.groups, rows.groups[parts == "test"])] = UNUSED
    return parts if (parts == "val").any() else _by_shares(rows, parts, {"val": config.val})


def _fixed(rows: _Rows, config: SplitConfig) -> NDArray[np.str_]:
    parts = _published(rows)
    return parts if (parts == "val").any() else _by_shares(rows, parts, {"val": config.val})


def _published(rows: _Rows) -> NDArray[np.str_]:
    table = rows.table
    if "part" not in table.columns or not (table["part"] == "test").any():
        raise InputError(f"{rows.where}: its source fixes no test set; use --scheme lesion")
    return table["part"].fill_null("train").to_numpy().astype("<U6")


def _image(rows: _Rows, config: SplitConfig) -> NDArray[np.str_]:
    """Draw single images, so many of each class as paper 002 did.

    Train gets the rounded share, val and test share the rest; of the classes where one image is then left over, the
    larger ones give it to test and the smaller ones to val.
    """
    parts, to_test = _all_in_train(rows), config.test / (config.val + config.test)
    everywhere = np.ones(rows.table.height, dtype=np.bool_)
    drawn = {label: rows.drawn(label, everywhere) for label in rows.classes}
    rests = {
        label: len(images) - round((1 - config.val - config.test) * len(images)) for label, images in drawn.items()
    }
    odd = [label for label, rest in rests.items() if int(rest * to_test) + int(rest * (1 - to_test)) < rest]
    odd.sort(key=lambda label: -len(drawn[label]))
    favoured = odd[: -int(-len(odd) * to_test // 1)]
    for label, images in drawn.items():
        count = max(1, int(rests[label] * to_test) + (label in favoured))
        rows.put(parts, images[:count], "test")
        rows.put(parts, images[count : max(count + 1, rests[label])], "val")
    return parts


_SCHEMES = {"lesion": _lesion, "kfold": _kfold, "official": _official, "fixed": _fixed, "image": _image}


def _thin_out(rows: _Rows, parts: NDArray[np.str_], config: SplitConfig) -> None:
    """Mark as unused what the configuration leaves out of train: of one random order per class, the end."""
    train = parts == "train"
    members = {label: rows.drawn(label, train, "thin out") for label in rows.classes}
    kept = {label: len(groups) for label, groups in members.items()}
    if config.train_fraction is not None:
        kept = {label: max(1, round(config.train_fraction * count)) for label, count in kept.items()}
    if config.train_lesions is not None:
        kept = {label: min(config.train_lesions, count) for label, count in kept.items()}
    if config.imbalance:
        ordered = sorted(kept, key=lambda label: -kept[label])
        for rank, label in enumerate(ordered):
            fall = rank / max(1, len(ordered) - 1) if config.imbalance == "exponential" else 2 * rank // len(ordered)
            kept[label] = min(kept[label], max(1, round(kept[ordered[0]] * config.imbalance_ratio**-fall)))
    for label, groups in members.items():
        rows.put(parts, groups[kept[label] :], UNUSED)


def _near_duplicates(cohort: Cohort) -> list[tuple[int, int]]:
    from dermsynth.cohorts.duplicates import near_duplicates

    return list(near_duplicates(cohort.images).select("a", "b").iter_rows())


def _check_labels(table: pl.DataFrame, where: str) -> None:
    labels = table.group_by("lesion_id").agg(pl.col("label").unique().sort()).filter(pl.col("label").list.len() > 1)
    if labels.height:
        lesion, found = labels.sort("lesion_id").row(0)
        raise InputError(f"{where}: lesion '{lesion}' is labelled {' and '.join(found)}; correct its labels")


def _groups(table: pl.DataFrame, pairs: Pairs) -> NDArray[np.str_]:
    """Return for every row the name of its group: the first lesion among those that belong together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, lesion = np.unique(table["lesion_id"].to_numpy().astype(str), return_inverse=True)
    alike = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    starts, ends, size = [lesion[alike[:, 0]]], [lesion[alike[:, 1]]], len(names)
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
