"""The temperature against scikit-learn's logistic regression, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from dermsynth.metrics.temperature import HIGHEST, LOWEST, best_temperature, mean_cross_entropy, tempered


def drawn(true_temperature: float, classes: int = 3, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels that follow the softmax of scores over the true temperature, the scores, and their softmax."""
    generator = np.random.default_rng(0)
    scores = generator.normal(0, 3, (n, classes))
    truth = softmax(scores / true_temperature, axis=1)
    labels = (truth.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    return labels, scores, softmax(scores, axis=1)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_of_two_classes_it_is_one_over_the_slope_of_a_logistic_regression(true_temperature: float) -> None:
    labels, scores, probabilities = drawn(true_temperature, classes=2)
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    slope = regression.fit((scores[:, 1] - scores[:, 0])[:, None], labels).coef_[0, 0]
    assert best_temperature(labels, probabilities) == pytest.approx(1 / slope, rel=1e-4)


def test_of_more_classes_it_is_what_another_minimiser_finds_on_the_scores() -> None:
    labels, scores, probabilities = drawn(2.5)

    def loss(log_t: np.ndarray) -> float:
        return float(-np.log(softmax(scores / np.exp(log_t[0]), axis=1)[np.arange(len(labels)), labels]).mean())

    found = minimize(loss, x0=[0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14})
    assert best_temperature(labels, probabilities) == pytest.approx(np.exp(found.x[0]), rel=1e-4)


def test_it_never_raises_the_cross_entropy_on_its_own_images() -> None:
    labels, _, probabilities = drawn(3.0)
    after = tempered(probabilities, best_temperature(labels, probabilities))
    assert mean_cross_entropy(labels, after) < mean_cross_entropy(labels, probabilities)


@given(st.floats(LOWEST, HIGHEST), st.integers(0, 10))
def test_the_most_probable_class_stays_and_rows_sum_to_one(temperature: float, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(7, 0.3), 50)
    found = tempered(probabilities, temperature)
    np.testing.assert_array_equal(found.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_temperature_1_changes_nothing() -> None:
    probabilities = drawn(1.0)[2]
    np.testing.assert_allclose(tempered(probabilities, 1.0), probabilities, rtol=1e-12)


def test_a_probability_of_zero_is_survived() -> None:
    found = tempered(np.array([[0.0, 1.0, 0.0]]), 2.0)
    assert np.isfinite(found).all()
    assert mean_cross_entropy(np.array([0]), np.array([[0.0, 1.0, 0.0]])) < 100


def test_where_every_image_is_right_it_stops_at_its_bound() -> None:
    probabilities = np.array([[0.6, 0.4], [0.4, 0.6]])
    assert best_temperature(np.array([0, 1]), probabilities) == pytest.approx(LOWEST, rel=1e-3)
