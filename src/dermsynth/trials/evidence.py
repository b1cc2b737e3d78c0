"""The predictions of all fits of a trial, checked to be about the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsynth.classifiers.predictions import Predictions, read_predictions
from dermsynth.core.errors import InputError
from dermsynth.metrics import scores


@dataclass(frozen=True, eq=False)
class Evidence:
    """All fits on the same N images, sorted by image_id; fit f of F belongs to arm f // S and seed f % S."""

    arms: tuple[str, ...]
    n_seeds: int
    labels: npt.NDArray[np.int64]  # (N,)
    lesion_ids: npt.NDArray[np.str_]  # (N,)
    probabilities: npt.NDArray[np.float64]  # (F, N, C)
    classes: tuple[str, ...]

    @classmethod
    def read(cls, fits: Mapping[str, Mapping[int, Path]], seeds: Sequence[int], split: str) -> Evidence:
        """Read every arm's fit of every seed; raises InputError as `dermsynth.trials.verdict.judge` says."""
        first: Predictions | None = None
        probabilities = []
        for by_seed in fits.values():
            for seed in seeds:
                found = read_predictions(by_seed[seed], split)
                found = found.take(np.argsort(found.image_ids, kind="stable"))
                if first is None:
                    first = found
                    _need_every_class(first)
                _need_same_images(first, found)
                probabilities.append(found.probabilities)
        assert first is not None  # a trial has at least two arms and one seed
        return cls(tuple(fits), len(seeds), first.labels, first.lesion_ids, np.stack(probabilities), first.classes)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """int64 (F, N): the class index that each fit gave each image."""
        return np.stack([scores.predicted_classes(one) for one in self.probabilities])

    def fits_of(self, arm: str) -> list[int]:
        """Return the indices of the arm's fits, in the order of seeds."""
        start = self.arms.index(arm) * self.n_seeds
        return list(range(start, start + self.n_seeds))


def _need_every_class(found: Predictions) -> None:
    counts = np.bincount(found.labels, minlength=len(found.classes))
    if (counts == 0).any():
        missing = found.classes[int(np.flatnonzero(counts == 0)[0])]
        raise InputError(
            f"{found.where}: class '{missing}' has no image, so its recall is unknown; "
            "split the cohort so that every class is in it, or leave the class out of the cohort"
        )


def _need_same_images(first: Predictions, found: Predictions) -> None:
    if found.classes != first.classes:
        raise InputError(
            f"{found.where}: has classes {', '.join(found.classes)}; {first.where} has {', '.join(first.classes)}"
        )
    odd = np.setxor1d(first.image_ids, found.image_ids)
    if len(odd):
        image = odd[0]
        has, lacks = (found, first) if image in found.image_ids else (first, found)
        raise InputError(
            f"{found.where}: other images than {first.where}: {image} is in {has.where} but not in {lacks.where}; "
            "fit every arm on the same split"
        )
    for what, here, there in (
        ("label", np.array(found.classes)[found.labels], np.array(first.classes)[first.labels]),
        ("lesion", found.lesion_ids, first.lesion_ids),
    ):
        differ = np.flatnonzero(here != there)
        if len(differ):
            row = int(differ[0])
            raise InputError(
                f"{found.where}: image {found.image_ids[row]} has {what} '{here[row]}', in {first.where} it has "
                f"'{there[row]}'; fit every arm on the same split"
            )
