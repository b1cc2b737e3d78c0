"""Scores against scikit-learn and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from dermsynth.core.errors import InputError
from dermsynth.metrics import scores


def some(n: int = 120, n_classes: int = 4, seed: int = 0, *, rounded: bool = True) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), generator.integers(0, n_classes, n - n_classes)])
    probabilities = generator.dirichlet(np.ones(n_classes), n)
    probabilities[np.arange(n), labels] += 0.4
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, np.round(probabilities, 1) if rounded else probabilities


def test_the_confusion_matrix_has_rows_actual_and_columns_predicted() -> None:
    found = scores.confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 3)
    assert found.tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_equal_probabilities_give_the_lowest_class() -> None:
    assert scores.predicted_classes(np.array([[0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])).tolist() == [1, 0]


def test_balanced_accuracy_and_accuracy_are_scikit_learns() -> None:
    labels, probabilities = some()
    predicted = scores.predicted_classes(probabilities)
    assert scores.balanced_accuracy(labels, predicted, 4) == pytest.approx(
        metrics.balanced_accuracy_score(labels, predicted)
    )
    assert scores.accuracy(labels, predicted) == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert scores.recalls(labels, predicted, 4) == pytest.approx(metrics.recall_score(labels, predicted, average=None))


def test_macro_auc_is_scikit_learns() -> None:
    labels, probabilities = some(rounded=False)
    expected = metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert scores.macro_auc(labels, probabilities) == pytest.approx(expected)


def test_the_auc_from_placement_values_is_the_auc_with_ties_too() -> None:
    labels, probabilities = some(rounded=True)
    assert scores.macro_auc_influences(labels, probabilities)[0] == pytest.approx(
        scores.macro_auc(labels, probabilities), abs=1e-12
    )


def test_the_variance_from_placement_values_is_that_of_delong() -> None:
    labels, probabilities = some(n=80, n_classes=2, rounded=True)
    positive, negative = probabilities[labels == 1, 1], probabilities[labels == 0, 1]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    delong = v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)
    _, moved = scores.macro_auc_influences(labels, probabilities)
    counts = np.bincount(labels)
    variance = sum(counts[c] / (counts[c] - 1) * (moved[labels == c] ** 2).sum() for c in (0, 1))
    # Two classes have the same curve twice, so the macro-AUC is that curve's area.
    assert variance == pytest.approx(delong)


def test_the_roc_curve_runs_from_corner_to_corner_and_encloses_the_auc() -> None:
    labels, probabilities = some()
    false_positive, true_positive = scores.roc_curve(labels, probabilities, 2)
    assert (false_positive[0], true_positive[0], false_positive[-1], true_positive[-1]) == (0, 0, 1, 1)
    assert (np.diff(false_positive) >= 0).all()
    assert (np.diff(true_positive) >= 0).all()
    assert np.trapezoid(true_positive, false_positive) == pytest.approx(scores.class_aucs(labels, probabilities)[2])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_names_and_the_order_of_images_and_classes_do_not_matter(seed: int) -> None:
    labels, probabilities = some(n=40, seed=seed, rounded=False)
    generator = np.random.default_rng(seed)
    rows, columns = generator.permutation(40), generator.permutation(4)
    moved_labels, moved = np.argsort(columns)[labels[rows]], probabilities[rows][:, columns]
    before, after = scores.predicted_classes(probabilities), scores.predicted_classes(moved)
    assert scores.balanced_accuracy(moved_labels, after, 4) == pytest.approx(
        scores.balanced_accuracy(labels, before, 4)
    )
    assert scores.macro_auc(moved_labels, moved) == pytest.approx(scores.macro_auc(labels, probabilities))


def test_a_class_without_images_is_refused() -> None:
    labels, predicted, probabilities = np.array([0, 0, 1]), np.array([0, 1, 1]), np.full((3, 3), 1 / 3)
    with pytest.raises(InputError, match="class 2 has no image among 3"):
        scores.balanced_accuracy(labels, predicted, 3)
    with pytest.raises(InputError, match="class 2 has no image among 3"):
        scores.macro_auc(labels, probabilities)
    with pytest.raises(InputError, match="class 2 has no image among 3"):
        scores.macro_auc_influences(labels, probabilities)
    with pytest.raises(InputError, match="no ROC curve"):
        scores.roc_curve(labels, probabilities, 2)
