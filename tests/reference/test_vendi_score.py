"""The Vendi score against its definition on the whole matrix of similarities, also where that is singular."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigvalsh
from scipy.stats import entropy
from sklearn.metrics.pairwise import cosine_similarity

from dermsynth.core.errors import InputError
from dermsynth.metrics.coverage import vendi_score


def by_definition(x: np.ndarray) -> float:
    return float(np.exp(entropy(np.clip(eigvalsh(cosine_similarity(x) / len(x)), 0, None))))


@pytest.mark.parametrize(("n", "d"), [(2, 3), (20, 200), (200, 20), (900, 40)])
def test_it_is_the_entropy_of_the_similarities(n: int, d: int) -> None:
    x = np.random.default_rng(0).normal(size=(n, d)) + 0.5
    assert vendi_score(x) == pytest.approx(by_definition(x), rel=1e-6)


def test_repeated_images_count_once() -> None:
    x = np.random.default_rng(0).normal(size=(9, 30))
    assert vendi_score(x.repeat(5, axis=0)) == pytest.approx(vendi_score(x))
    assert vendi_score(np.ones((50, 8))) == pytest.approx(1)


def test_opposite_images_are_two() -> None:
    x = np.array([[1.0, 0.0], [0.0, 2.0]]).repeat(10, axis=0)
    assert vendi_score(x) == pytest.approx(2)


@pytest.mark.parametrize(("x", "message"), [(np.ones((1, 3)), "1 images"), (np.full((3, 2), np.nan), "not finite")])
def test_unusable_features_are_refused(x: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        vendi_score(x)
