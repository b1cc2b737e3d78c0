"""Scores of one classifier on one set of images: arrays in, numbers out.

Labels and predictions are int64 (N,) class indices in 0…C-1; probabilities are float (N, C). A score that averages
over classes needs every class among the labels: the callers' tables are checked, here a missing class is an error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def predicted_classes(probabilities: FloatArray) -> IntArray:
    """Return int64 (N,): the most probable class of each row; of equal ones the lowest index."""
    found: IntArray = np.argmax(probabilities, axis=1)
    return found


def confusion_matrix(labels: IntArray, predicted: IntArray, n_classes: int) -> IntArray:
    """Return int64 (C, C) counts of images: rows are the actual class, columns the predicted one."""
    from sklearn import metrics

    found: IntArray = metrics.confusion_matrix(labels, predicted, labels=np.arange(n_classes))
    return found.astype(np.int64)


def recalls(labels: IntArray, predicted: IntArray, n_classes: int) -> FloatArray:
    """Return float64 (C,): the share of each class's images that were given that class, in [0, 1].

    Raises:
        InputError: a class has no image.
    """
    matrix = confusion_matrix(labels, predicted, n_classes)
    _need_every_class(labels, n_classes)
    return np.asarray(np.diag(matrix) / matrix.sum(axis=1), dtype=np.float64)


def balanced_accuracy(labels: IntArray, predicted: IntArray, n_classes: int) -> float:
    """Return the mean of the classes' recalls, in [0, 1], not adjusted for chance (chance is 1/C)."""
    return float(recalls(labels, predicted, n_classes).mean())


def accuracy(labels: IntArray, predicted: IntArray) -> float:
    """Return the share of images given their own class, in [0, 1]."""
    return float(np.mean(labels == predicted))


def class_aucs(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return float64 (C,): the area under each class's one-vs-rest ROC curve; ties count one half.

    Raises:
        InputError: a class has no image.
    """
    from sklearn import metrics

    n_classes = probabilities.shape[1]
    _need_every_class(labels, n_classes)
    return np.array([metrics.roc_auc_score(labels == c, probabilities[:, c]) for c in range(n_classes)])


def macro_auc(labels: IntArray, probabilities: FloatArray) -> float:
    """Return the unweighted mean of the one-vs-rest areas, in [0, 1]; 0.5 is chance."""
    return float(class_aucs(labels, probabilities).mean())


def roc_curve(labels: IntArray, probabilities: FloatArray, class_index: int) -> tuple[FloatArray, FloatArray]:
    """Return the corners of one class's one-vs-rest ROC curve, from (0, 0) to (1, 1).

    Returns:
        False positive rates and true positive rates, float64 (K,) each, both ascending; points on a straight line
        between two others are left out.

    Raises:
        InputError: the class has no image, or there is no image of another class.
    """
    from sklearn import metrics

    positive = labels == class_index
    if positive.all() or not positive.any():
        raise InputError(f"class {class_index} has {positive.sum()} of {len(labels)} images: no ROC curve")
    false_positive, true_positive, _ = metrics.roc_curve(positive, probabilities[:, class_index])
    return np.asarray(false_positive, dtype=np.float64), np.asarray(true_positive, dtype=np.float64)


def macro_auc_influences(labels: IntArray, probabilities: FloatArray) -> tuple[float, FloatArray]:
    """Return the macro-AUC and float64 (N,), how much each image moves it, centred within its class.

    An image's placement value is the share of the other side that it is ranked right against (ties one half): for its
    own class's curve against all images of other classes, for every other class's curve against that class's images.
    The area is the mean placement value of either side, so these values divided by the number of images on the
    image's side are the area's influence function (DeLong, DeLong & Clarke-Pearson 1988), summed over the C curves
    and divided by C. Summed within a lesion they give the clustered variance (Obuchowski 1997).

    Raises:
        InputError: a class has no image.
    """
    from scipy.stats import rankdata

    n, n_classes = probabilities.shape
    _need_every_class(labels, n_classes)
    moved, areas = np.zeros(n), np.zeros(n_classes)
    for c in range(n_classes):
        scores, positive = probabilities[:, c], labels == c
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        overall = rankdata(scores)
        placement = (overall[positive] - rankdata(scores[positive])) / n_negative
        areas[c] = placement.mean()
        moved[positive] += placement / n_positive
        moved[~positive] += (1 - (overall[~positive] - rankdata(scores[~positive])) / n_positive) / n_negative
    counts = np.bincount(labels, minlength=n_classes)
    means = np.bincount(labels, weights=moved, minlength=n_classes) / counts
    return float(areas.mean()), np.asarray((moved - means[labels]) / n_classes, dtype=np.float64)


def _need_every_class(labels: IntArray, n_classes: int) -> None:
    counts = np.bincount(labels, minlength=n_classes)
    if (counts == 0).any():
        missing = int(np.flatnonzero(counts == 0)[0])
        raise InputError(f"class {missing} has no image among {len(labels)}: scores over {n_classes} classes need each")
