"""The Frechet distance against SciPy's matrix root, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from dermsynth.core.errors import InputError
from dermsynth.metrics.frechet import frechet_distance, real_floor


def reference(a: np.ndarray, b: np.ndarray) -> float:
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(cov_a @ cov_b)
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real)


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) @ generator.normal(size=(d, d)) + shift


def test_many_images_agree_with_the_matrix_root() -> None:
    a, b = features(300, 12, 0), features(200, 12, 1, shift=0.5)
    assert frechet_distance(a, b) == pytest.approx(reference(a, b), rel=1e-9)


def test_few_images_agree_with_the_eigenvalues_of_many() -> None:
    from dermsynth.metrics import frechet

    a, b = features(9, 10, 0), features(200, 10, 1)
    x, y = (a - a.mean(axis=0)) / np.sqrt(8), (b - b.mean(axis=0)) / np.sqrt(199)
    few, many = frechet._root_trace_of_few(x, y), frechet._root_trace_of_many(x.T @ x, y.T @ y)
    assert few == pytest.approx(many, rel=1e-6)


def test_one_dimension_is_the_textbook_formula() -> None:
    a, b = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [1.5], [6.0]])
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "d"), [(6, 20), (60, 8)])
def test_a_set_is_at_distance_zero_from_itself(n: int, d: int) -> None:
    a = features(n, d, 3)
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-8 * np.trace(np.cov(a, rowvar=False)))


@pytest.mark.parametrize(("n", "d"), [(6, 20), (60, 8)])
def test_the_distance_is_symmetric_and_a_pure_shift_is_its_square(n: int, d: int) -> None:
    a, b = features(n, d, 3), features(n + 1, d, 4)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a + 2) == pytest.approx(4 * d)


def test_the_real_floor_falls_with_the_number_of_images() -> None:
    found = np.random.default_rng(0).normal(size=(2000, 16))
    assert real_floor(found, 100, seed=1) > 3 * real_floor(found, 1000, seed=1) > 0


def test_the_real_floor_is_drawn_by_its_seed_alone() -> None:
    found = features(100, 4, 0)
    assert real_floor(found, 20, seed=1) == real_floor(found, 20, seed=1) != real_floor(found, 20, seed=2)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3)), "first set: 1 images; this distance needs at least 2"),
        (np.zeros((5, 3)), np.zeros((5, 4)), "3 and 4 dimensions"),
        (np.zeros((5, 3)), np.full((5, 3), np.nan), "second set: the features of row 0 are not finite"),
        (np.zeros(5), np.zeros((5, 4)), "first set: features of shape"),
    ],
)
def test_unusable_features_are_refused(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frechet_distance(a, b)


@pytest.mark.parametrize("n", [1, 6])
def test_a_floor_without_two_disjoint_samples_is_refused(n: int) -> None:
    with pytest.raises(InputError, match="two disjoint samples"):
        real_floor(np.zeros((10, 2)), n)
