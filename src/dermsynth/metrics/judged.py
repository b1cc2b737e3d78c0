"""All scores of F fits on the same images, in the form that the lesion bootstrap redraws (`dermsynth.metrics.redraws`).

Every class below stands for scores that follow from one reduction of the images: tables, orders, bins, or calls at
thresholds. Images enter as weights of their lesions, so one form gives both the score and its redraws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dermsynth.metrics import tables
from dermsynth.metrics.calibration import BINS, Reliability, brier_terms
from dermsynth.metrics.lesions import Lesions
from dermsynth.metrics.operating import odds, threshold_for_sensitivity, threshold_for_specificity
from dermsynth.metrics.ranking import Ranking
from dermsynth.metrics.redraws import Scale

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
BENEFIT_THRESHOLDS: FloatArray = np.array([*range(1, 5), *range(5, 95, 5)]) / 100
"""Where net benefit is computed: closer where an action is cheap and a missed lesion is not."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What F fits say about the same N images, and which questions of yes or no are asked.

    Attributes:
        labels: int64 (N,), every class 0…C-1 among them.
        probabilities: float64 (F, N, C).
        lesions: The grouping of the images.
        groups: bool (B, C), the classes that are positive in each question; the first C are the classes alone.
    """

    labels: IntArray
    probabilities: FloatArray
    lesions: Lesions
    groups: BoolArray

    @cached_property
    def predicted(self) -> IntArray:
        """int64 (F, N), the most probable class."""
        return np.asarray(self.probabilities.argmax(axis=2), dtype=np.int64)

    @cached_property
    def scores(self) -> FloatArray:
        """float64 (F, B, N), the probability of a positive class."""
        return question_scores(self.probabilities, self.groups)

    @cached_property
    def positive(self) -> BoolArray:
        """bool (B, N)."""
        return self.groups[:, self.labels]

    @property
    def shares(self) -> FloatArray:
        """float64 (C,), the classes' shares of the images."""
        return np.bincount(self.labels, minlength=self.groups.shape[1]) / len(self.labels)

    def weights_of(self, positive: bool) -> FloatArray:
        """Return float64 (B, C), the classes' shares of the positives, or of the negatives, of each question."""
        side = np.where(self.groups == positive, self.shares, 0)
        return np.asarray(side / side.sum(axis=1, keepdims=True), dtype=np.float64)

    def scale_of(self, weights: FloatArray, *, low: float = 0.0, high: float = 1.0, step: float = 1.0) -> Scale:
        """Return the scale of scores in which classes have these weights, (M, C)."""
        return Scale.of_lesions(self.lesions, weights, low=low, high=high, step=step)

    @property
    def of_classes(self) -> FloatArray:
        """float64 (1, C), the weights of a mean over classes."""
        return np.full((1, self.lesions.n_classes), 1 / self.lesions.n_classes)


def question_scores(probabilities: FloatArray, groups: BoolArray) -> FloatArray:
    """Return float64 (F, B, N), the probability of a positive class, of (F, N, C) probabilities and (B, C) groups.

    Summed in the order of classes, whatever N is: a threshold of one set of images finds equal scores in another.
    """
    return np.stack([probabilities[:, :, classes].sum(axis=2) for classes in groups], axis=1)


class TableScores:
    """What follows from confusion matrices."""

    def __init__(self, judged: Judged) -> None:
        self.judged, lesions = judged, judged.lesions
        n_fits, n_classes = len(judged.predicted), lesions.n_classes
        called = judged.predicted[..., None] == np.arange(n_classes)  # (F, N, C)
        summed = lesions.sums(called.transpose(1, 0, 2).reshape(len(judged.labels), -1).astype(np.float64))
        self._of_lesion = summed.reshape(len(lesions.stratum), n_fits, n_classes)

    def matrices(self, weights: FloatArray) -> FloatArray:
        """Return confusion matrices, float64 (R, F, C, C), of weights (G, R)."""
        stratum, n_classes = self.judged.lesions.stratum, self.judged.lesions.n_classes
        return np.stack(
            [np.tensordot(weights[stratum == c].T, self._of_lesion[stratum == c], 1) for c in range(n_classes)], axis=2
        )

    def of(self, weights: FloatArray) -> dict[str, FloatArray]:
        redrawn = self.matrices(weights)
        each = tables.one_vs_rest(redrawn, self.judged.groups)
        overall = {
            "balanced_accuracy": self._mean(each.sensitivity, redrawn),
            "accuracy": tables.accuracy(redrawn),
            "f1_macro": self._mean(each.f1, redrawn),
            "f1_weighted": self._mean(each.f1, redrawn, weighted=True),
            "precision_macro": self._mean(each.precision, redrawn),
            "precision_weighted": self._mean(each.precision, redrawn, weighted=True),
            "specificity_macro": self._mean(each.specificity, redrawn),
            "mcc": tables.matthews(redrawn),
            "kappa": tables.kappa(redrawn),
        }
        of_question = {
            "sensitivity": each.sensitivity,
            "specificity": each.specificity,
            "precision": each.precision,
            "f1": each.f1,
        }
        return {name: values.T[None] for name, values in overall.items()} | {
            name: values.T for name, values in of_question.items()
        }

    def _mean(self, values: FloatArray, redrawn: FloatArray, *, weighted: bool = False) -> FloatArray:
        return tables.averaged(values[..., : redrawn.shape[-1]], redrawn, "weighted" if weighted else "macro")

    @property
    def scales(self) -> Mapping[str, Scale]:
        judged = self.judged
        macro, micro = judged.scale_of(judged.of_classes), judged.scale_of(judged.shares[None])
        signed = judged.scale_of(judged.shares[None], low=-1, step=2)
        of_positives = judged.scale_of(judged.weights_of(True))
        # Lesions of which a photo is called positive: what a precision is a share of.
        called = ((self._of_lesion @ judged.groups.T.astype(np.float64)) > 0).sum(axis=0)
        return {
            "balanced_accuracy": macro,
            "accuracy": micro,
            "f1_macro": macro,
            "f1_weighted": micro,
            "precision_macro": macro,
            "precision_weighted": micro,
            "specificity_macro": macro,
            "mcc": signed,
            "kappa": signed,
            "sensitivity": of_positives,
            "specificity": judged.scale_of(judged.weights_of(False)),
            "precision": Scale.of_count(called.T),
            "f1": of_positives,
        }


class RankingScores:
    """Areas under the ROC and the precision-recall curves."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        self._rankings = [
            [
                Ranking.of(positive, one, judged.lesions.of_image)
                for positive, one in zip(judged.positive, of_fit, strict=True)
            ]
            for of_fit in judged.scores
        ]

    def of(self, weights: FloatArray) -> dict[str, FloatArray]:
        areas = np.array([[ranking.areas(weights) for ranking in of_fit] for of_fit in self._rankings])  # (F, B, 2, R)
        roc, precision = areas.transpose(2, 1, 0, 3)
        n_classes = self.judged.lesions.n_classes
        return {
            "auc_macro": roc[:n_classes].mean(axis=0, keepdims=True),
            "average_precision_macro": precision[:n_classes].mean(axis=0, keepdims=True),
            "auc": roc,
            "average_precision": precision,
        }

    @property
    def scales(self) -> Mapping[str, Scale]:
        judged = self.judged
        of_positives, of_negatives = judged.weights_of(True), judged.weights_of(False)
        return {
            # As if one lesion were ranked past a tenth of the others: by simulation with few lesions and areas near 1,
            # enough for the intervals to miss no more often than they say.
            "auc_macro": judged.scale_of(judged.of_classes, step=0.1),
            "average_precision_macro": judged.scale_of(judged.of_classes),
            "auc": judged.scale_of(of_positives + of_negatives, step=0.1),
            "average_precision": judged.scale_of(of_positives),
        }


class CalibrationScores:
    """Brier's score, calibration errors, and the accuracy in bins of equal numbers of images (padded to `BINS`)."""

    def __init__(self, judged: Judged) -> None:
        from scipy.sparse import csr_array

        self.judged = judged
        self._photos = judged.lesions.sums(np.ones((len(judged.labels), 1)))[:, 0]
        self._sums = []
        for probabilities in judged.probabilities:
            width, mass = (Reliability.of(judged.labels, probabilities, equal_mass=equal) for equal in (False, True))
            gap = width.correct - width.confidences
            # Rows: Brier's terms, then by bin the gap, the gap, correct images, images.
            rows = [np.zeros_like(width.of_image)]
            rows += [1 + part * BINS + bins for part, bins in enumerate((width.of_image, *3 * (mass.of_image,)))]
            terms = [brier_terms(judged.labels, probabilities), gap, gap, width.correct, np.ones(len(gap))]
            lesion = np.tile(judged.lesions.of_image, len(terms))
            entries = (np.concatenate(terms), (np.concatenate(rows), lesion))
            self._sums.append(csr_array(entries, shape=(1 + 4 * BINS, len(self._photos))))

    def of(self, weights: FloatArray) -> dict[str, FloatArray]:
        summed = np.stack([sums @ weights for sums in self._sums])  # (F, 1 + 4 BINS, R)
        total = self._photos @ weights
        width, mass, correct, images = (summed[:, 1 + part * BINS : 1 + (part + 1) * BINS] for part in range(4))
        scores = {
            "brier": summed[:, :1] / total,
            "ece": np.abs(width).sum(axis=1, keepdims=True) / total,
            "ece_equal_mass": np.abs(mass).sum(axis=1, keepdims=True) / total,
            "reliability": np.where(images > 0, correct / np.where(images > 0, images, 1), 0),
        }
        return {name: values.swapaxes(0, 1) for name, values in scores.items()}

    @property
    def scales(self) -> Mapping[str, Scale]:
        judged = self.judged
        micro = judged.scale_of(judged.shares[None])
        # Entries of the rows of images.
        lesions = np.stack([np.diff(sums.indptr)[-BINS:] for sums in self._sums], axis=1)
        return {
            "brier": judged.scale_of(judged.shares[None], high=2, step=2),
            "ece": micro,
            "ece_equal_mass": micro,
            "reliability": Scale.of_count(lesions.astype(np.int64)),
        }


class OperatingScores:
    """Sensitivity and specificity of calls at thresholds that were chosen elsewhere."""

    def __init__(self, judged: Judged, thresholds: FloatArray) -> None:
        """Take thresholds float64 (F, B, 2), one for a specificity and one for a sensitivity; nan is never reached."""
        self.judged, self._shape = judged, thresholds.shape
        called = judged.scores[:, :, None] >= thresholds[..., None]  # (F, B, 2, N)
        self._called = judged.lesions.sums(called.reshape(-1, called.shape[-1]).T.astype(np.float64))
        self._photos = judged.lesions.sums(np.ones((len(judged.labels), 1)))

    def of(self, weights: FloatArray) -> dict[str, FloatArray]:
        stratum, n_classes = self.judged.lesions.stratum, self.judged.lesions.n_classes
        called, photos = (
            np.stack([weights[stratum == c].T @ values[stratum == c] for c in range(n_classes)])
            for values in (self._called, self._photos)
        )
        called = called.reshape(n_classes, -1, *self._shape)  # (C, R, F, B, 2)
        inside = self.judged.groups.astype(np.float64)
        true, positives = np.einsum("crfbk,bc->kbfr", called, inside), np.einsum("cro,bc->bor", photos, inside)
        false, negatives = np.einsum("crfbk,bc->kbfr", called, 1 - inside), np.einsum("cro,bc->bor", photos, 1 - inside)
        sensitivity, specificity = true / positives, 1 - false / negatives
        return {
            "sensitivity_at_specificity": sensitivity[0],
            "specificity_reached": specificity[0],
            "specificity_at_sensitivity": specificity[1],
            "sensitivity_reached": sensitivity[1],
        }

    @property
    def scales(self) -> Mapping[str, Scale]:
        of_positives, of_negatives = (self.judged.scale_of(self.judged.weights_of(side)) for side in (True, False))
        return {
            "sensitivity_at_specificity": of_positives,
            "specificity_reached": of_negatives,
            "specificity_at_sensitivity": of_negatives,
            "sensitivity_reached": of_positives,
        }


class BenefitScores:
    """The net benefit of every question at T `BENEFIT_THRESHOLDS`, in the order of questions, then thresholds."""

    def __init__(self, judged: Judged) -> None:
        from scipy.sparse import csr_array

        self.judged, steps = judged, len(BENEFIT_THRESHOLDS) + 1
        self._photos = judged.lesions.sums(np.ones((len(judged.labels), 1)))[:, 0]
        passed = np.searchsorted(BENEFIT_THRESHOLDS, judged.scores, side="right")  # thresholds at or below the score
        self._sums = []
        for of_fit in passed:
            row = of_fit + steps * (2 * np.arange(len(of_fit))[:, None] + judged.positive)
            entries = (np.ones(row.size), (row.ravel(), np.tile(judged.lesions.of_image, len(row))))
            self._sums.append(csr_array(entries, shape=(2 * len(row) * steps, len(self._photos))))

    def of(self, weights: FloatArray) -> dict[str, FloatArray]:
        steps = len(BENEFIT_THRESHOLDS) + 1
        total = self._photos @ weights
        found = []
        for sums in self._sums:
            called = (sums @ weights).reshape(-1, 2, steps, weights.shape[1])
            for step in reversed(range(steps - 1)):  # who passes a threshold passes those below
                called[:, :, step] += called[:, :, step + 1]
            benefit = called[:, 1, 1:] - called[:, 0, 1:] * odds(BENEFIT_THRESHOLDS)[:, None]
            found.append(benefit.reshape(-1, weights.shape[1]) / total)
        return {"net_benefit": np.stack(found, axis=1)}

    @property
    def scales(self) -> Mapping[str, Scale]:
        micro = self.judged.scale_of(self.judged.shares[None])
        low = np.tile(-odds(BENEFIT_THRESHOLDS), len(self.judged.groups))[:, None]
        return {"net_benefit": Scale(low, np.ones_like(low), micro.floor, micro.freedom)}


def chosen_thresholds(
    labels: IntArray, probabilities: FloatArray, groups: BoolArray, *, specificity: float, sensitivity: float
) -> FloatArray:
    """Return thresholds float64 (F, B, 2) for a specificity and for a sensitivity, chosen on these images.

    They must not be the images that the thresholds are judged on: take validation. A question of which these images
    hold no positive or no negative has nan.

    Args:
        labels: int64 (N,); probabilities: float64 (F, N, C); groups: bool (B, C).
        specificity: The least share of negatives below the first threshold; `sensitivity`: of positives at or above
            the second.
    """
    found = np.full((len(probabilities), len(groups), 2), np.nan)
    for f, of_fit in enumerate(question_scores(probabilities, groups)):
        for b, score in enumerate(of_fit):
            positive = groups[b, labels]
            if positive.any() and not positive.all():
                found[f, b] = (
                    threshold_for_specificity(positive, score, specificity),
                    threshold_for_sensitivity(positive, score, sensitivity),
                )
    return found
