"""Do probabilities mean what they say? Brier's score, calibration errors and the reliability curve.

Labels are int64 (N,) class indices, probabilities float (N, C). The confidence of an image is its highest probability;
calibrated means that of the images of confidence p a share p is given its own class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BINS = 15
"""Of a calibration error, as in Guo et al. 2017, arXiv:1706.04599. An error over other bins does not compare."""


def brier_terms(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return float64 (N,), each image's squared distance of its probabilities from its class, in [0, 2]."""
    truth = np.eye(probabilities.shape[1])[labels]
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1), dtype=np.float64)


def brier_score(labels: IntArray, probabilities: FloatArray) -> float:
    """Return Brier's score over all classes, in [0, 2], 0 is perfect (Brier 1950).

    For two classes it is twice the score that is computed of the positive class alone.
    """
    return float(brier_terms(labels, probabilities).mean())


def equal_width_edges(n_bins: int = BINS) -> FloatArray:
    """Return float64 (B + 1,), the edges of bins of the same width from 0 to 1."""
    return np.linspace(0, 1, n_bins + 1)


def equal_mass_edges(confidences: FloatArray, n_bins: int = BINS) -> FloatArray:
    """Return float64 (B' + 1,), edges from 0 to 1 so that bins hold as equal numbers of images as ties allow.

    Equal confidences share a bin, so there are fewer bins where many are equal (Nguyen & O'Connor 2015,
    arXiv:1508.05154).
    """
    inner = np.sort(confidences)[np.arange(1, n_bins) * len(confidences) // n_bins]
    return np.unique(np.concatenate([[0.0], inner[inner > 0], [1.0]]))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Images sorted into bins of confidence.

    Attributes:
        edges: float64 (B + 1,), ascending; a bin holds its lower edge, the last one also its upper.
        of_image: int64 (N,), the bin of each image.
        confidences: float64 (N,), the highest probability of each.
        correct: bool (N,), whether it is given its own class.
    """

    edges: FloatArray
    of_image: IntArray
    confidences: FloatArray
    correct: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, labels: IntArray, probabilities: FloatArray, *, equal_mass: bool = False, n_bins: int = BINS
    ) -> Reliability:
        """Sort images into bins of equal width, or of equal numbers of images.

        Raises:
            InputError: fewer than 1 bin.
        """
        if n_bins < 1:
            raise InputError(f"n_bins is {n_bins}; a calibration error needs at least 1 bin")
        confidences = np.clip(probabilities.max(axis=1), 0, 1)
        edges = equal_mass_edges(confidences, n_bins) if equal_mass else equal_width_edges(n_bins)
        of_image = np.searchsorted(edges[1:-1], confidences, side="right").astype(np.int64)
        return cls(edges, of_image, confidences, probabilities.argmax(axis=1) == labels)

    @property
    def images(self) -> IntArray:
        """int64 (B,): images in each bin."""
        return np.bincount(self.of_image, minlength=len(self.edges) - 1).astype(np.int64)

    @property
    def confidence(self) -> FloatArray:
        """float64 (B,): the mean confidence in each bin; nan in an empty one."""
        return self._mean(self.confidences)

    @property
    def accuracy(self) -> FloatArray:
        """float64 (B,): the share of each bin's images that are given their own class; nan in an empty one."""
        return self._mean(self.correct.astype(np.float64))

    @property
    def error(self) -> float:
        """The expected calibration error: the bins' mean |accuracy - confidence| weighted by images, in [0, 1]."""
        return float(np.abs(self._sum(self.correct - self.confidences)).sum() / len(self.of_image))

    @property
    def floor(self) -> float:
        """What the error is expected to be if the confidences were true, with this many images: it is never 0.

        The sum of correct minus confident in a bin is then about normal with variance Σ p (1 - p), and the mean of its
        absolute value √(2/π) times its deviation. Images are taken as independent; photos of one lesion are not, and
        raise it.
        """
        spread = np.sqrt(self._sum(self.confidences * (1 - self.confidences)))
        return float(np.sqrt(2 / np.pi) * spread.sum() / len(self.of_image))

    def _sum(self, values: FloatArray) -> FloatArray:
        summed = np.bincount(self.of_image, weights=values, minlength=len(self.edges) - 1)
        return np.asarray(summed, dtype=np.float64)

    def _mean(self, values: FloatArray) -> FloatArray:
        images = self.images
        return np.where(images > 0, self._sum(values) / np.maximum(images, 1), np.nan)


def calibration_error(
    labels: IntArray, probabilities: FloatArray, *, equal_mass: bool = False, n_bins: int = BINS
) -> float:
    """Return the expected calibration error of the highest probability, in [0, 1] (Guo et al. 2017).

    Few images make it too large, many bins too; `Reliability.floor` says what perfect calibration would get.
    """
    return Reliability.of(labels, probabilities, equal_mass=equal_mass, n_bins=n_bins).error
