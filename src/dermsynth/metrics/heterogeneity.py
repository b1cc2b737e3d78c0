"""Is a difference the same in every group (class, source, sex, age, site), or does it help some and harm others?

Cochran's Q weighs the spread of the groups' differences by what is known of each; I² is the share of that spread that
chance does not explain. Two things have to be respected that meta-analyses of independent studies do not meet:

* the groups share the seeds, so their differences go together. Few seeds tell the correlation of a pair of groups
  badly, so one correlation is taken for all pairs: the mean of those measured. For two groups it is the measured one.
* they may share lesions (a lesion photographed at two ages is in two groups), whose covariance the bootstrap gives.

Each variance is known with the degrees of freedom of its own comparison, few if seeds matter. Therefore Q is held
against Welch's F (1951, Biometrika 38:330), which allows for that, not against chi-square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.lesions import Lesions, Statistic
from dermsynth.metrics.statistics import Contrast, contrast

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heterogeneity:
    """How much the groups differ.

    Attributes:
        q: Cochran's Q: the sum of squared deviations from the common difference, in units of their variance.
        p_value: Of one common difference.
        i_squared: Share of the spread between groups that chance does not explain, 0 to 1 (Higgins & Thompson 2002,
            doi:10.1002/sim.1186).
        common: The weighted mean difference.
    """

    q: float
    p_value: float
    i_squared: float
    common: float


def heterogeneity(differences: Sequence[Contrast], shared: FloatArray | None = None) -> Heterogeneity:
    """Return whether K groups differ in their difference.

    Args:
        differences: One for each group, with the same seeds.
        shared: float64 (K, K), covariance of the mean differences over redraws of lesions; only what lies off the
            diagonal is used. None if no lesion is in two groups, such as for classes.

    Raises:
        InputError: fewer than two groups.
    """
    from scipy.special import fdtrc

    groups = len(differences)
    if groups < 2:
        raise InputError(f"{groups} group; heterogeneity needs at least 2")
    values = np.array([one.value for one in differences])
    covariance = _seed_covariance(np.array([one.by_seed for one in differences]))
    if shared is not None:
        covariance = covariance + shared
    np.fill_diagonal(covariance, [one.standard_error**2 for one in differences])
    weights = np.linalg.pinv(covariance, hermitian=True)
    total = float(weights.sum())
    common = float(weights.sum(axis=0) @ values) / total
    q = max(float((values - common) @ weights @ (values - common)), 0.0)
    share = weights.sum(axis=0) / total
    freedom = np.array([one.freedom for one in differences])
    doubt = float(((1 - share) ** 2 / freedom).sum())
    f = q / (groups - 1) / (1 + 2 * (groups - 2) / (groups**2 - 1) * doubt)
    p_value = float(fdtrc(groups - 1, (groups**2 - 1) / (3 * doubt), f))
    return Heterogeneity(q, p_value, max(0.0, 1 - (groups - 1) / q) if q > 0 else 0.0, common)


@dataclass(frozen=True, eq=False)
class Groups:
    """The accuracy of F fits in K groups of images, over the classes that every group has.

    Attributes:
        statistics: The balanced accuracy in each group.
        covariance: float64 (K F, K F), over redraws of lesions; row k F + f is fit f in group k.
        classes: Indices of the classes that every group has; the means are over these.
    """

    statistics: tuple[Statistic, ...]
    covariance: FloatArray
    classes: tuple[int, ...]

    def differences(self, treatment: Sequence[int], control: Sequence[int]) -> tuple[list[Contrast], FloatArray]:
        """Return treatment minus control in each group, and their covariance over lesions, for `heterogeneity`."""
        found = [contrast(one, [treatment, control], [1.0, -1.0]) for one in self.statistics]
        fits = len(self.statistics[0].values)
        weights = np.zeros(fits)
        np.add.at(weights, list(treatment), 1 / len(treatment))
        np.add.at(weights, list(control), -1 / len(control))
        of_group = np.kron(np.eye(len(found)), weights)
        return found, of_group @ self.covariance @ of_group.T


def by_group(
    correct: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], lesions: Lesions, groups: npt.NDArray[np.int64]
) -> Groups:
    """Return the balanced accuracy of F fits in every group of images, with the covariance over lesions.

    The variance is that of the lesion bootstrap in the limit of many redraws (the influence of each lesion on each
    recall), so nothing is redrawn. Groups whose class shares differ are compared by the mean of the same recalls.

    Args:
        correct: bool (N, F): did fit f give image n its class?
        labels: int64 (N,).
        lesions: The grouping of the same N images.
        groups: int64 (N,), 0 to K - 1, such as sexes or sources; -1 for images left out, such as of unknown sex.

    Raises:
        InputError: fewer than two groups, or no class that every group has.
    """
    number = int(groups.max()) + 1
    if number < 2:
        raise InputError(f"{number} group of images; give each image's group as 0, 1, …")
    inside = np.array(
        [[((groups == k) & (labels == c)).sum() for c in range(lesions.n_classes)] for k in range(number)]
    )
    classes = tuple(int(c) for c in np.flatnonzero((inside > 0).all(axis=0)))
    if not classes:
        raise InputError(f"no class has images in all {number} groups; join groups until one class is in each")
    fits = correct.shape[1]
    values = np.zeros((number, fits))
    covariance = np.zeros((lesions.n_classes, number * fits, number * fits))
    counts = np.ones((number, lesions.n_classes), dtype=np.int64)
    for c in classes:
        moved = np.zeros((len(lesions.stratum), number, fits))
        for k in range(number):
            rows = (groups == k) & (labels == c)
            recall = correct[rows].mean(axis=0)
            values[k] += recall / len(classes)
            share = (correct[rows] - recall) / (rows.sum() * len(classes))
            np.add.at(moved[:, k], lesions.of_image[rows], share)
            counts[k, c] = len(np.unique(lesions.of_image[rows]))
        flat = moved[lesions.stratum == c].reshape(-1, number * fits)
        # The correction for few lesions is each group's own; a pair of groups takes the geometric mean.
        grown = np.repeat(np.sqrt(counts[:, c] / np.maximum(counts[:, c] - 1, 1)), fits)
        covariance[c] = flat.T @ flat * np.outer(grown, grown)
    parts = covariance.reshape(lesions.n_classes, number, fits, number, fits)
    found = tuple(
        Statistic(
            values=values[k],
            covariance=parts[:, k, :, k],
            lesions=counts[k],
            floor=float(sum((1 / (len(classes) * counts[k, c])) ** 2 for c in classes)),
        )
        for k in range(number)
    )
    return Groups(found, covariance.sum(axis=0), classes)


def _seed_covariance(by_seed: FloatArray) -> FloatArray:
    """Return (K, K) covariance of means over seeds, of (K, S) differences: one correlation for all pairs of groups."""
    groups, seeds = by_seed.shape
    if seeds < 2:
        return np.zeros((groups, groups))
    measured = np.cov(by_seed)
    spread = np.sqrt(np.diag(measured))
    moving = spread > 0
    pairs = ~np.eye(groups, dtype=bool) & np.outer(moving, moving)
    correlations = measured[pairs] / np.outer(spread, spread)[pairs]
    together = float(correlations.mean()) if len(correlations) else 0.0
    return np.asarray(together * np.outer(spread, spread) / seeds)
