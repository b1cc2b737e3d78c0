"""Arms: recipes for a training set. Those that enlarge add the same number of images to each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.classifiers.balance import Balance
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.pools.mix import check_pool, mix

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """What arms are made of.

    Attributes:
        cohort: Real images with a split.
        wanted: Images that arms which enlarge add, per class.
        seed: Seed of the repeats and of the shuffled labels.
        pool: Synthetic images, at least as many per class as are wanted.
        oracle: New real images, likewise.
        augmentation: What `classical` does to every image each time it is seen.
    """

    cohort: Cohort
    wanted: Mapping[str, int]
    seed: int
    pool: Cohort | None = None
    oracle: Cohort | None = None
    augmentation: ClassicalAugmentation = field(default_factory=ClassicalAugmentation)


@dataclass(frozen=True)
class TrainingSet:
    """Images, the rows of one epoch (a row may stand in it several times), and how they are learnt from.

    Attributes:
        augmentation: Alters every image each time it is seen.
        balance: What the loss does about unequal classes.
    """

    cohort: Cohort
    rows: Rows
    augmentation: ClassicalAugmentation | None = None
    balance: Balance = "none"

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each class."""
        found = np.bincount(self.cohort.labels[self.rows], minlength=len(self.cohort.classes))
        return {name: int(found[number]) for number, name in enumerate(self.cohort.classes)}


def missing(cohort: Cohort, fill_to: int) -> dict[str, int]:
    """Return how many images each class of the train part lacks to reach `fill_to`."""
    return {name: max(0, fill_to - count) for name, count in cohort.part("train").counts().items()}


def amount(cohort: Cohort, fill_to: int | None, add: Mapping[str, int]) -> dict[str, int]:
    """Return how many images each class gets: what it lacks to reach `fill_to`, or what `add` says.

    Raises:
        InputError: `add` names a class that the cohort does not have.
    """
    for name in add:
        if name not in cohort.classes:
            raise InputError(f"add: unknown class '{name}'; {nearest(name, cohort.classes)}")
    return {name: add.get(name, 0) for name in cohort.classes} if fill_to is None else missing(cohort, fill_to)


def real(material: Material) -> TrainingSet:
    """Return the real training images as they are."""
    return _all_of(material.cohort.part("train"))


def oversampled(material: Material) -> TrainingSet:
    """Return the real images, those of small classes several times: the same class counts, nothing new to see."""
    train = material.cohort.part("train")
    labels = train.labels
    generator = numpy_generator(material.seed, "oversampled")
    rows = [np.arange(len(train))]
    for label, name in enumerate(train.classes):
        lacking = material.wanted.get(name, 0)
        members = np.flatnonzero(labels == label)
        rounds, rest = divmod(lacking, len(members))
        rows += [members] * rounds + [generator.choice(members, rest, replace=False)]
    return TrainingSet(train, np.concatenate(rows).astype(np.int64))


def weighted(material: Material) -> TrainingSet:
    """Return the real images, the loss of each weighted by the inverse of its class's size."""
    return replace(real(material), balance="weighted")


def focal(material: Material) -> TrainingSet:
    """Return the real images with the focal loss, to which images that are already right hardly count."""
    return replace(real(material), balance="focal")


def logit_adjusted(material: Material) -> TrainingSet:
    """Return the real images; the loss adds the logarithm of its class's share to every score (Menon et al. 2021)."""
    return replace(real(material), balance="logit-adjusted")


def classical(material: Material) -> TrainingSet:
    """Return `oversampled`, every image altered each time it is seen: the control of any synthesis."""
    return replace(oversampled(material), augmentation=material.augmentation)


def hybrid(material: Material) -> TrainingSet:
    """Return the real images and synthetic ones in place of the repeats."""
    return _filled(material, material.pool, "hybrid")


def placebo(material: Material) -> TrainingSet:
    """Return `hybrid` with the labels of the synthetic images shuffled: the same pixels and counts, no information.

    What placebo gains over the control is due to regularisation or noise, not to what the images show.
    """
    whole = _filled(material, material.pool, "placebo").cohort
    synthetic = np.flatnonzero((whole.table["origin"] == "synthetic").to_numpy())
    labels = whole.table["label"].to_numpy().copy()
    labels[synthetic] = numpy_generator(material.seed, "placebo").permutation(labels[synthetic])
    return _all_of(replace(whole, table=whole.table.with_columns(label=pl.Series(labels, dtype=pl.String))))


def oracle(material: Material) -> TrainingSet:
    """Return the real images and new real ones: the upper bound of what any synthesis can give."""
    return _filled(material, material.oracle, "oracle")


ARMS: dict[str, Callable[[Material], TrainingSet]] = {
    "real": real,
    "classical": classical,
    "oversampled": oversampled,
    "weighted": weighted,
    "focal": focal,
    "logit-adjusted": logit_adjusted,
    "hybrid": hybrid,
    "placebo": placebo,
    "oracle": oracle,
}
NEEDS_POOL = ("hybrid", "placebo")
ENLARGES = ("classical", "oversampled", *NEEDS_POOL, "oracle")
"""Arms that add images, or repeats of images, to the real ones."""
ALTERS = ("classical", "weighted", "focal", "logit-adjusted")
"""Arms that alter images or weight their losses: only a classifier that is trained in steps can learn from these."""


def _all_of(cohort: Cohort) -> TrainingSet:
    return TrainingSet(cohort, np.arange(len(cohort), dtype=np.int64))


def _filled(material: Material, extra: Cohort | None, arm: str) -> TrainingSet:
    if extra is None:
        raise InputError(f"arm '{arm}' needs a pool of images to add; give one")
    if arm != "oracle":
        check_pool(material.cohort, extra)  # before its size: drawing more would not help a pool that leaks
    labels = extra.labels
    rows = []
    for label, name in enumerate(material.cohort.classes):
        lacking = material.wanted.get(name, 0)
        found = np.flatnonzero(labels == label)[:lacking]
        if len(found) < lacking:
            raise InputError(
                f"{extra.path or 'pool'}: has {len(found)} images of class '{name}', arm '{arm}' needs {lacking}; "
                "sample more"
            )
        rows.append(found)
    chosen = extra.select(np.concatenate(rows))
    if arm == "oracle":
        train = material.cohort.part("train")
        return _all_of(Cohort.concat([train, replace(chosen, table=chosen.table.with_columns(split=pl.lit("train")))]))
    return _all_of(mix(material.cohort, chosen))
