"""Areas and curves: laws, ties and input without an answer; scikit-learn is in tests/reference."""

from __future__ import annotations

import numpy as np
import pytest
from tests.metrics.guessed import guessed

from dermsynth.core.errors import InputError
from dermsynth.metrics.ranking import Ranking, average_precision, precision_recall_curve


def areas(positive: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    roc, precision = Ranking.of(positive, scores).areas(np.ones((len(scores), 1)))
    return float(roc[0]), float(precision[0])


def test_a_constant_score_is_chance() -> None:
    positive = np.array([True, False, False, True, False])
    assert areas(positive, np.full(5, 0.3)) == (0.5, pytest.approx(2 / 5))


def test_a_perfect_and_a_reversed_order() -> None:
    positive = np.array([True, True, False, False])
    assert areas(positive, np.array([4.0, 3, 2, 1])) == (1, 1)
    assert areas(positive, np.array([1.0, 2, 3, 4])) == (0, pytest.approx((1 / 3 + 2 / 4) / 2))


def test_only_the_order_counts() -> None:
    labels, _, (probabilities,) = guessed(decimals=2)
    positive, scores = labels == 1, probabilities[:, 1]
    assert areas(positive, np.log(scores)) == pytest.approx(areas(positive, scores))


def test_weights_of_a_lesion_count_for_all_its_photos() -> None:
    labels, lesions, (probabilities,) = guessed(photos=3, decimals=1)
    positive, scores = labels == 1, probabilities[:, 1]
    weights = np.random.default_rng(0).integers(1, 4, (lesions.max() + 1, 5)).astype(float)
    grouped = Ranking.of(positive, scores, lesions).areas(weights)
    assert np.array(grouped) == pytest.approx(np.array(Ranking.of(positive, scores).areas(weights[lesions])))


def test_half_the_positives_halve_the_chance_of_average_precision() -> None:
    generator = np.random.default_rng(0)
    positive, scores = np.arange(4000) < 400, generator.random(4000)
    assert average_precision(positive, scores) == pytest.approx(0.1, abs=0.02)
    assert average_precision(positive[200:], scores[200:]) == pytest.approx(0.05, abs=0.02)


def test_the_curve_encloses_the_average_precision() -> None:
    labels, _, (probabilities,) = guessed(decimals=1)
    positive, scores = labels == 2, probabilities[:, 2]
    _, precision, recall = precision_recall_curve(positive, scores)
    assert (precision * np.diff(recall, prepend=0)).sum() == pytest.approx(average_precision(positive, scores))


@pytest.mark.parametrize("value", [True, False])
def test_one_kind_of_image_is_no_ranking(value: bool) -> None:
    positive = np.full(3, value)
    told = "3 of 3" if value else "0 of 3"
    for function in (average_precision, precision_recall_curve):
        with pytest.raises(InputError, match=f"{told} images are positive.*score a part that holds both"):
            function(positive, np.arange(3.0))
