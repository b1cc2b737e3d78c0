"""What a run learns from: the train part of a cohort, less a few images that choose the best snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.algorithms.base import Algorithm, AlgorithmConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.config import nearest
from dermsynth.core.errors import ArtefactError, InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.training.config import TrainConfig
from dermsynth.training.partial import NETWORKS

IDENTIFIERS = ("image_id", "lesion_id", "patient_id", "sha256")
"""What `seen.parquet` says of every image that the networks saw: enough to find it again in another cohort."""
FEWEST = 16
"""Fewer held-out images than this say nothing about a snapshot."""


@dataclass(frozen=True)
class Start:
    """A finished run whose networks are trained further."""

    path: Path
    card: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str, algorithm: str) -> Start:
        """Return the run; raises ArtefactError if it is none or of another algorithm."""
        card = artefacts.read_card(Path(path), "run")
        found = card["config"]["algorithm"]
        if found != algorithm:
            raise ArtefactError(f"{path}: is a run of {found}, not of {algorithm}; start from one of {algorithm}")
        return cls(Path(path), card)

    @property
    def networks(self) -> Path:
        """Return the file with the weights."""
        return self.path / NETWORKS

    @property
    def sha256(self) -> str:
        """Return the hash of the weights."""
        return str(self.card["files"][NETWORKS]["sha256"])


@dataclass(frozen=True)
class TrainingImages:
    """The images of a run.

    Attributes:
        fitted: What the networks are trained on.
        held_out: Images of other lesions of the train part that choose the snapshot; empty if there are too few.
        classes: The classes of the networks, in the order of their labels.
        cohort_classes: The classes of the cohort, of which a run may learn some.
        seen: The identifiers of all of them, and of what the networks saw before.
    """

    fitted: Cohort
    held_out: Cohort
    classes: tuple[str, ...]
    cohort_classes: tuple[str, ...]
    seen: pl.DataFrame

    def labels(self, cohort: Cohort) -> NDArray[np.int64]:
        """Return the class index of every image as the networks count classes."""
        index = np.array([self.classes.index(name) for name in cohort.classes], dtype=np.int64)
        return np.asarray(index[cohort.labels])

    def shares(self, among: tuple[str, ...]) -> NDArray[np.float64]:
        """Return how often each class of the networks is fed, 0 for those not `among`; by the square root of its size.

        By size, a class of 1 % would get 1 % of the generator's practice; all alike, its few images would be seen so
        often that the discriminator learns them by heart. The square root is the usual compromise for long tails.
        """
        sizes = np.bincount(self.labels(self.fitted), minlength=len(self.classes))
        roots = np.sqrt(np.where([name in among for name in self.classes], sizes, 0).astype(np.float64))
        return np.asarray(roots / roots.sum())


def gather(
    cohort: Cohort,
    algorithm_class: type[Algorithm],
    settings: AlgorithmConfig,
    config: TrainConfig,
    start: Start | None,
) -> TrainingImages:
    """Return what a run learns from.

    Raises:
        InputError: the cohort has no split, lacks a class, has fewer images of a class than a batch asks for, or a
            size or classes that the algorithm cannot do with.
    """
    where = str(cohort.path or "cohort")
    part = _of_classes(cohort.part("train"), config.classes, where)
    classes = part.classes if start is None else tuple(start.card["classes"])
    strangers = [name for name in part.classes if name not in classes]
    if start is not None and strangers:
        raise InputError(
            f"{where}: class '{strangers[0]}' is unknown to {start.path}, whose classes are {', '.join(classes)}; "
            "choose some of them with --set classes=[…]"
        )
    algorithm_class.check(settings, part.size_px, classes)
    empty = [name for name, count in part.counts().items() if not count]
    if empty:
        raise InputError(
            f"{where}: class '{empty[0]}' has no image in the train part; "
            "split the cohort again or leave the class out when ingesting"
        )
    kept = hold_out(part, config.held_out, config.seed)
    # A generator that is trained further has seen what it saw before; one that learns from synthetic images of a
    # staged cohort, what made these saw; one that learns from ranked images, what the ranking classifier saw.
    seen = seen_with(part, start.path if start else None, cohort.path)
    material = TrainingImages(part.select(~kept), part.select(kept), classes, cohort.classes, seen)
    _check_batch(material, settings.batch_size, where)
    return material


def seen_with(part: Cohort, *folders: Path | None) -> pl.DataFrame:
    """Return the identifiers of the images of a part, and of those that the artefacts in these folders had seen."""
    seen = part.table.select(IDENTIFIERS)
    for folder in folders:
        if folder is not None and (folder / SEEN).exists():
            before = pl.read_parquet(folder / SEEN).select(IDENTIFIERS).cast(seen.schema)
            seen = pl.concat([seen, before]).unique(maintain_order=True)
    return seen


def hold_out(part: Cohort, most: int, seed: int) -> NDArray[np.bool_]:
    """Return which images choose the snapshot: whole lesions and patients, at most a tenth of any class.

    Classes share the `most` images by the square root of their size, as they are fed. Where fewer than 16 images come
    together, none is held out.
    """
    counts = np.array(list(part.counts().values()), dtype=np.float64)
    roots = np.sqrt(counts)
    room = np.minimum(counts // 10, most * roots / roots.sum()).astype(np.int64)
    owner = part.table.select(pl.coalesce("patient_id", "lesion_id"))["patient_id"].to_numpy()
    labels = part.labels
    kept = np.zeros(len(part), dtype=np.bool_)
    names, of_row = np.unique(owner.astype(str), return_inverse=True)
    rows_of = np.split(np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row))[:-1])
    for number in numpy_generator(seed, "held out").permutation(len(names)):
        rows = rows_of[number]
        wanted = np.bincount(labels[rows], minlength=len(counts))
        if (wanted <= room).all():
            room = room - wanted
            kept[rows] = True
    return kept if kept.sum() >= FEWEST else np.zeros_like(kept)


def _of_classes(part: Cohort, names: tuple[str, ...], where: str) -> Cohort:
    for name in names:
        if name not in part.classes:
            raise InputError(f"{where}: classes: no class '{name}'; {nearest(name, part.classes)}")
    if not names:
        return part
    chosen = part.select(pl.col("label").is_in(names))
    return replace(chosen, classes=tuple(name for name in part.classes if name in names))


def _check_batch(material: TrainingImages, batch_size: int, where: str) -> None:
    """Raise InputError where a batch would ask for more images of a class than there are."""
    counts = material.fitted.counts()
    shares = material.shares(material.fitted.classes)
    for name, count in counts.items():
        wanted = round(batch_size * shares[material.classes.index(name)])
        if count < wanted:
            fitting = max(2, int(batch_size * count / wanted))
            raise InputError(
                f"{where}: class '{name}' has {count} training images, fewer than the {wanted} that a batch of "
                f"{batch_size} takes from it; --set batch_size={fitting} or fewer"
            )
