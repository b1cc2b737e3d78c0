"""What the test lesions contribute to the uncertainty of scores: the lesion bootstrap, and placement values for areas.

Lesions are the unit: photos of one lesion stand or fall together. They are redrawn within their class, so no class ever
vanishes and class shares are those of the test set, and one redraw serves all fits, which is what makes comparisons
paired. The variance of redraws of k lesions is too small by (k-1)/k and is corrected in each class. What seeds
contribute, and what follows from both, is in `dermsynth.metrics.statistics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.metrics.scores import macro_auc_influences

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CELLS_AT_ONCE = 2_000_000  # bootstrap draws held in memory at a time (16 MB)


@dataclass(frozen=True, eq=False)
class Lesions:
    """Which lesion every image shows. A lesion labelled with two classes counts as one lesion in each.

    Attributes:
        of_image: int64 (N,), index of the image's lesion; lesions are sorted by class.
        stratum: int64 (G,), class index of each lesion.
        n_classes: C.
    """

    of_image: IntArray
    stratum: IntArray
    n_classes: int

    @classmethod
    def of(cls, labels: IntArray, lesion_ids: npt.NDArray[np.str_] | IntArray, n_classes: int) -> Lesions:
        """Group images by (label, lesion). Raises InputError if a class has no image."""
        _, codes = np.unique(lesion_ids, return_inverse=True)
        width = int(codes.max()) + 1 if len(codes) else 1
        keys, of_image = np.unique(labels * width + codes, return_inverse=True)
        lesions = cls(of_image.astype(np.int64), (keys // width).astype(np.int64), n_classes)
        if (lesions.counts == 0).any():
            missing = int(np.flatnonzero(lesions.counts == 0)[0])
            raise InputError(f"class {missing} has no lesion; intervals over {n_classes} classes need each")
        return lesions

    @property
    def counts(self) -> IntArray:
        """int64 (C,): lesions per class."""
        return np.bincount(self.stratum, minlength=self.n_classes).astype(np.int64)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum (N, F) values of images over each lesion: (G, F)."""
        total = np.zeros((len(self.stratum), values.shape[1]))
        np.add.at(total, self.of_image, values)
        return total


@dataclass(frozen=True, eq=False)
class Statistic:
    """One score of F fits on the same lesions, with what the lesions contribute to its uncertainty.

    Attributes:
        values: float64 (F,), the score of each fit.
        covariance: float64 (C, F, F), covariance of the scores over redraws of each class's lesions.
        lesions: int64 (C,), lesions per class.
        floor: The least variance of a mean over seeds; see the module.
    """

    values: FloatArray
    covariance: FloatArray
    lesions: IntArray
    floor: float


@dataclass(frozen=True, eq=False)
class Recalls:
    """The recall of every class in F fits: values float64 (C, F), covariance float64 (C, F, F), lesions int64 (C,)."""

    values: FloatArray
    covariance: FloatArray
    lesions: IntArray

    def of_class(self, index: int) -> Statistic:
        """Return one class's recall."""
        return self.combined(np.eye(len(self.lesions))[index])

    def balanced_accuracy(self) -> Statistic:
        """Return the mean of the recalls."""
        return self.combined(np.full(len(self.lesions), 1 / len(self.lesions)))

    def combined(self, weights: FloatArray) -> Statistic:
        """Return the weighted sum of recalls, (C,) weights; weights = shares of images give the accuracy."""
        return Statistic(
            values=(weights[:, None] * self.values).sum(axis=0),
            covariance=weights[:, None, None] ** 2 * self.covariance,
            lesions=self.lesions,
            floor=float(((weights / self.lesions) ** 2).sum()),
        )


def bootstrap_recalls(
    correct: npt.NDArray[np.bool_], lesions: Lesions, *, resamples: int = 2000, seed: int = 0
) -> Recalls:
    """Return all recalls of F fits and their covariance over redraws of lesions within classes.

    Args:
        correct: bool (N, F): did fit f give image n its class?
        lesions: The grouping of the same N images.
        resamples: Redraws, at least 2.
        seed: Of the redraws; the same seed and images give the same numbers bit for bit, in any order of images.
    """
    if resamples < 2:
        raise InputError(f"resamples is {resamples}; a variance needs at least 2")
    right = lesions.sums(correct.astype(np.float64))
    photos = lesions.sums(np.ones((len(correct), 1)))
    values = np.empty((lesions.n_classes, correct.shape[1]))
    covariance = np.zeros((lesions.n_classes, correct.shape[1], correct.shape[1]))
    for c, n in enumerate(lesions.counts):
        of_class = lesions.stratum == c
        values[c] = right[of_class].sum(axis=0) / photos[of_class].sum()
        if n > 1:
            # Sums of counts are exact in float64, so no order of summation can change a bit of `redrawn`.
            totals = _redrawn_sums(np.hstack([right[of_class], photos[of_class]]), resamples, seed, c)
            redrawn = totals[:, :-1] / totals[:, -1:]
            redrawn -= redrawn.mean(axis=0)
            covariance[c] = np.einsum("rf,rg->fg", redrawn, redrawn) / (resamples - 1) * (n / (n - 1))
    return Recalls(values, covariance, lesions.counts)


def recalls_inside(
    correct: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_], labels: IntArray, lesions: Lesions
) -> Recalls:
    """Return all recalls of F fits that are each judged on some of the images, and their covariance over lesions.

    The variance is that of the lesion bootstrap in the limit of many redraws (the influence of each lesion on each
    recall), so nothing is redrawn. Where sets of images overlap, so do their fits.

    Args:
        correct: bool (N, F): did fit f give image n its class?
        inside: bool (N, F): is fit f judged on image n?
        labels: int64 (N,).
        lesions: The grouping of the same N images.

    Raises:
        InputError: a fit that is judged on no image of a class.
    """
    fits = correct.shape[1]
    values, moved = np.empty((lesions.n_classes, fits)), np.zeros((len(lesions.stratum), fits))
    fewest = np.empty(lesions.n_classes, dtype=np.int64)
    covariance = np.zeros((lesions.n_classes, fits, fits))
    for c in range(lesions.n_classes):
        rows = np.flatnonzero(labels == c)
        judged = inside[rows]
        images = judged.sum(axis=0)
        if not images.all():
            raise InputError(f"class {c} has no image that fit {int(np.flatnonzero(images == 0)[0])} is judged on")
        values[c] = (correct[rows] & judged).sum(axis=0) / images
        np.add.at(moved, lesions.of_image[rows], judged * (correct[rows] - values[c]) / images)
        seen = np.zeros((len(lesions.stratum), fits))
        np.add.at(seen, lesions.of_image[rows], judged)
        counts = (seen > 0).sum(axis=0)
        fewest[c] = counts.min()
        grown = np.sqrt(counts / np.maximum(counts - 1, 1))
        of_class = moved[lesions.stratum == c]
        covariance[c] = of_class.T @ of_class * np.outer(grown, grown)
    return Recalls(values, covariance, fewest)


def auc_statistic(labels: IntArray, probabilities: FloatArray, lesions: Lesions) -> Statistic:
    """Return the macro one-vs-rest AUC of F fits, its variance from placement values summed within lesions.

    This is the limit of the lesion bootstrap for many redraws, without redrawing (DeLong et al. 1988, clustered as in
    Obuchowski 1997, Biometrics 53:567). The floor is that of recalls for half a lesion per class, since a changed rank
    moves an area less than a changed decision moves a recall.

    Args:
        labels: int64 (N,).
        probabilities: float (F, N, C).
        lesions: The grouping of the same N images.
    """
    found = [macro_auc_influences(labels, one) for one in probabilities]
    moved = lesions.sums(np.stack([influences for _, influences in found], axis=1))
    covariance = np.zeros((lesions.n_classes, len(found), len(found)))
    for c, n in enumerate(lesions.counts):
        if n > 1:
            part = moved[lesions.stratum == c]
            covariance[c] = np.einsum("gf,gh->fh", part, part) * (n / (n - 1))
    floor = float(((0.5 / (lesions.counts * lesions.n_classes)) ** 2).sum())
    return Statistic(np.array([auc for auc, _ in found]), covariance, lesions.counts, floor)


def _redrawn_sums(values: FloatArray, resamples: int, seed: int, stratum: int) -> FloatArray:
    """Return (R, F) column sums of `values` (n, F) over R redraws of its n rows with replacement."""
    n = len(values)
    generator = numpy_generator(seed, "lesion bootstrap", stratum)
    at_once = max(1, _CELLS_AT_ONCE // n)
    sums = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        sums.append(times.astype(np.float64) @ values)
    return np.vstack(sums)
