"""The score of a classifier's probabilities against its formula, and its ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from dermsynth.core.errors import InputError
from dermsynth.metrics.classifier_score import classifier_score


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), classes=st.integers(2, 7))
def test_it_is_the_gain_of_entropy(seed: int, n: int, classes: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(classes), n)
    expected = np.exp(entropy(probabilities.mean(axis=0)) - np.mean([entropy(row) for row in probabilities]))
    assert classifier_score(probabilities) == pytest.approx(expected)
    assert 1 - 1e-9 <= classifier_score(probabilities) <= classes + 1e-9


def test_sure_predictions_of_all_classes_score_their_number() -> None:
    assert classifier_score(np.eye(7).repeat(3, axis=0)) == pytest.approx(7)


@pytest.mark.parametrize("row", [[1, 0, 0], [0.2, 0.3, 0.5]])
def test_one_answer_to_everything_scores_one(row: list[float]) -> None:
    assert classifier_score(np.tile(row, (9, 1))) == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((3, 2), 0.4), "sum to 1 in each row"),
        (np.array([[1.5, -0.5]]), "values from 0"),
        (np.array([[np.nan, 1.0]]), "values from 0"),
        (np.zeros((0, 3)), "shape"),
        (np.ones(3) / 3, "expected \\(images, classes\\)"),
    ],
)
def test_no_probabilities_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        classifier_score(values)
