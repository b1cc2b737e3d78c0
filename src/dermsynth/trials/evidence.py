"""The predictions of all fits of a trial, checked to be about the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsynth.classifiers.aligned import read_aligned
from dermsynth.metrics import scores


@dataclass(frozen=True, eq=False)
class Evidence:
    """All fits on the same N images, sorted by image_id; fit f of F belongs to arm f // S and seed f % S."""

    arms: tuple[str, ...]
    n_seeds: int
    image_ids: npt.NDArray[np.str_]  # (N,)
    labels: npt.NDArray[np.int64]  # (N,)
    lesion_ids: npt.NDArray[np.str_]  # (N,)
    probabilities: npt.NDArray[np.float64]  # (F, N, C)
    classes: tuple[str, ...]

    @classmethod
    def read(
        cls, fits: Mapping[str, Mapping[int, Path]], seeds: Sequence[int], split: str, *, every_class: bool = True
    ) -> Evidence:
        """Read every arm's fit of every seed; raises InputError as `dermsynth.trials.verdict.judge` says.

        Unless `every_class`, a class may be without an image.
        """
        paths = (by_seed[seed] for by_seed in fits.values() for seed in seeds)
        found = read_aligned(paths, split, every_class=every_class)
        first, probabilities = found[0], np.stack([one.probabilities for one in found])
        return cls(
            tuple(fits), len(seeds), first.image_ids, first.labels, first.lesion_ids, probabilities, first.classes
        )

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """int64 (F, N): the class index that each fit gave each image."""
        return np.stack([scores.predicted_classes(one) for one in self.probabilities])

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """bool (N, F): did fit f give image n its class?"""
        return np.asarray((self.predicted == self.labels).T)

    def fits_of(self, arm: str) -> list[int]:
        """Return the indices of the arm's fits, in the order of seeds."""
        start = self.arms.index(arm) * self.n_seeds
        return list(range(start, start + self.n_seeds))
