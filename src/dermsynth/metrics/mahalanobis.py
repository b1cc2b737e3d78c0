"""How far features lie from the classes of a reference, in deviations of the features within a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.features import FloatArray, checked_features


@dataclass(frozen=True, eq=False)
class Clusters:
    """A centre for every class and one covariance for all of them, of d features.

    Attributes:
        means: float64 (classes, d).
        whitening: float64 (d, d): the Euclidean distance of rows times it is the Mahalanobis distance.
    """

    means: FloatArray
    whitening: FloatArray

    def distances(self, features: npt.ArrayLike) -> FloatArray:
        """Return float64 (n,), the Mahalanobis distance of each row to the nearest centre (Lee et al. 2018, eq. 2).

        About the square root of d for rows like those that the clusters were learnt from.

        Raises:
            InputError: other dimensions, or a value that is not finite.
        """
        found = checked_features("features", features, at_least=0)
        if found.shape[1] != self.means.shape[1]:
            raise InputError(f"features of {found.shape[1]} dimensions; the reference has {self.means.shape[1]}")
        white, centres = found @ self.whitening, self.means @ self.whitening
        # One centre at a time: all differences at once would be n x classes x d.
        squared = np.stack([((white - centre) ** 2).sum(axis=1) for centre in centres])
        return np.asarray(np.sqrt(squared.min(axis=0)), dtype=np.float64)


def clusters(features: npt.ArrayLike, labels: npt.NDArray[np.int64]) -> Clusters:
    """Return the class means and the covariance within classes (Lee et al. 2018, arXiv:1807.03888, equation 1).

    The covariance is shrunk towards a multiple of the identity by as much as its noise asks for (Ledoit & Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4): there may be more dimensions than images, and features that never change.

    Args:
        features: float (n, d), n >= 2.
        labels: int64 (n,); a class without a row has no centre.

    Raises:
        InputError: fewer than two rows, or a value that is not finite.
    """
    from sklearn.covariance import ledoit_wolf

    found = checked_features("reference", features, at_least=2)
    present, where = np.unique(labels, return_inverse=True)
    means = np.stack([found[labels == one].mean(axis=0) for one in present])
    covariance, _ = ledoit_wolf(found - means[where], assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    # Where no feature varies within a class there is no scale: one unit counts as one deviation.
    least = max(float(values[-1]) * 1e-9, 0.0) or 1.0
    return Clusters(means, np.asarray(vectors / np.sqrt(np.maximum(values, least)), dtype=np.float64))
