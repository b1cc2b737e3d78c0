"""Every score against scikit-learn's, on hypothesis' arrays: ties, unequal classes, classes never predicted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration as sk_calibration
from sklearn import metrics as sk

from dermsynth.metrics import calibration, operating, ranking, scores, tables

TOLERANCE = 1e-12


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels with every class and probabilities, from all different to nearly all equal."""
    n_classes = draw(st.integers(2, 5))
    labels = np.array([*range(n_classes), *draw(st.lists(st.integers(0, n_classes - 1), min_size=1, max_size=40))])
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    raw = draw(st.lists(st.integers(0, levels), min_size=labels.size * n_classes, max_size=labels.size * n_classes))
    weights = np.array(raw, dtype=float).reshape(labels.size, n_classes) + 0.5
    return labels, weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=20, deadline=None)
@given(judged())
def test_scores_of_confusion_matrices(both: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = both
    predicted, n_classes = scores.predicted_classes(probabilities), probabilities.shape[1]
    table = scores.confusion_matrix(labels, predicted, n_classes)
    each = tables.one_vs_rest(table)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(labels, predicted, zero_division=0)
    assert each.precision == pytest.approx(precision, abs=TOLERANCE)
    assert each.sensitivity == pytest.approx(recall, abs=TOLERANCE)
    assert each.f1 == pytest.approx(f1, abs=TOLERANCE)
    negative_recall = [sk.recall_score(labels != c, predicted != c) for c in range(n_classes)]
    assert each.specificity == pytest.approx(negative_recall, abs=TOLERANCE)
    assert tables.accuracy(table) == pytest.approx(sk.accuracy_score(labels, predicted), abs=TOLERANCE)
    assert tables.matthews(table) == pytest.approx(sk.matthews_corrcoef(labels, predicted), abs=1e-9)
    assert tables.kappa(table) == pytest.approx(sk.cohen_kappa_score(labels, predicted), abs=1e-9)
    for average in ("macro", "weighted"):
        for values, theirs in ((each.precision, sk.precision_score), (each.f1, sk.f1_score)):
            expected = theirs(labels, predicted, average=average, zero_division=0)
            assert tables.averaged(values, table, average) == pytest.approx(expected, abs=TOLERANCE)
    for theirs in (sk.precision_score, sk.recall_score, sk.f1_score):
        assert tables.accuracy(table) == pytest.approx(theirs(labels, predicted, average="micro"), abs=TOLERANCE)


@settings(max_examples=20, deadline=None)
@given(judged())
def test_areas_and_curves(both: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = both
    for c in range(probabilities.shape[1]):
        positive, score = labels == c, probabilities[:, c]
        roc, precision = ranking.Ranking.of(positive, score).areas(np.ones((len(score), 1)))
        assert roc[0] == pytest.approx(sk.roc_auc_score(positive, score), abs=TOLERANCE)
        assert precision[0] == pytest.approx(sk.average_precision_score(positive, score), abs=TOLERANCE)
        thresholds, precisions, recalls = ranking.precision_recall_curve(positive, score)
        theirs = {t: (p, r) for p, r, t in zip(*sk.precision_recall_curve(positive, score), strict=False)}
        for threshold, found, recall in zip(thresholds, precisions, recalls, strict=True):
            assert (found, recall) == pytest.approx(theirs[threshold])
        assert recalls[-1] == 1


@settings(max_examples=15, deadline=None)
@given(judged(), st.integers(0, 1000))
def test_areas_of_weighted_images(both: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, probabilities = both
    positive, score = labels == 0, probabilities[:, 0]
    weights = np.random.default_rng(seed).integers(0, 4, (len(labels), 3)).astype(float)
    weights[[np.flatnonzero(positive)[0], np.flatnonzero(~positive)[0]]] = 1
    roc, precision = ranking.Ranking.of(positive, score).areas(weights)
    for column in range(3):
        given_weights = {"sample_weight": weights[:, column]}
        assert roc[column] == pytest.approx(sk.roc_auc_score(positive, score, **given_weights), abs=1e-9)
        assert precision[column] == pytest.approx(
            sk.average_precision_score(positive, score, **given_weights), abs=1e-9
        )


@settings(max_examples=15, deadline=None)
@given(judged())
def test_brier_scores(both: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = both
    of_all = calibration.brier_score(labels, probabilities)
    each = [sk.brier_score_loss(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]
    assert of_all == pytest.approx(sum(each))


@pytest.mark.parametrize(("equal_mass", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_reliability_curves(equal_mass: bool, strategy: str) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 300)
    labels = generator.integers(0, 3, 300)
    found = calibration.Reliability.of(labels, probabilities, equal_mass=equal_mass, n_bins=10)
    correct, confidence = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    accuracy, mean = sk_calibration.calibration_curve(correct, confidence, n_bins=10, strategy=strategy)
    filled = found.images > 0
    if equal_mass:
        # scikit-learn interpolates quantiles, so that an image at an edge may fall on its other side.
        assert found.images.tolist() == [30] * 10
        assert found.confidence[filled] == pytest.approx(mean, abs=0.01)
    else:
        assert found.confidence[filled] == pytest.approx(mean)
        assert found.accuracy[filled] == pytest.approx(accuracy)


@settings(max_examples=20, deadline=None)
@given(judged(), st.sampled_from([0.1, 0.5, 0.8, 0.9, 0.95]))
def test_thresholds_are_the_best_on_the_roc_curve(both: tuple[np.ndarray, np.ndarray], share: float) -> None:
    labels, probabilities = both
    positive, score = labels == 1, probabilities[:, 1]
    false, true, _ = sk.roc_curve(positive, score, drop_intermediate=False)
    threshold = operating.threshold_for_specificity(positive, score, share)
    sensitivity, specificity = operating.at_threshold(positive, score, threshold)
    assert specificity >= share - TOLERANCE
    assert sensitivity == pytest.approx(true[1 - false >= share - TOLERANCE].max())
    threshold = operating.threshold_for_sensitivity(positive, score, share)
    sensitivity, specificity = operating.at_threshold(positive, score, threshold)
    assert sensitivity >= share - TOLERANCE
    assert specificity == pytest.approx(1 - false[true >= share - TOLERANCE].min())
