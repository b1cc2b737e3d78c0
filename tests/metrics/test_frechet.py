"""The Frechet distance against SciPy's matrix root, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from dermsynth.core.errors import InputError
from dermsynth.metrics.frechet import frechet_distance, frechet_infinity


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


def scattered(n: int, seed: int, shift: float = 0.0, scale: float = 1.0, d: int = 30) -> np.ndarray:
    """Return n draws of a Gaussian whose variances fall as 1/i, as those of features do."""
    deviations = scale / np.sqrt(np.arange(1, d + 1))
    return np.random.default_rng(seed).normal(size=(n, d)) * deviations + shift * (np.arange(d) == 0)


def test_at_infinitely_many_images_equal_distributions_are_at_distance_zero() -> None:
    pairs = [(scattered(150, seed), scattered(150, seed + 1)) for seed in range(0, 24, 2)]
    plain = np.mean([frechet_distance(a, b) for a, b in pairs])
    assert plain > 0.1
    assert abs(np.mean([frechet_infinity(a, b).value for a, b in pairs])) < 0.2 * plain


def test_the_extrapolation_finds_a_known_distance() -> None:
    known = 0.5**2 + 0.2**2 * (1 / np.arange(1, 31)).sum()
    pairs = [(scattered(150, seed), scattered(150, seed + 1, 0.5, 1.2)) for seed in range(0, 16, 2)]
    found = [frechet_infinity(a, b).value for a, b in pairs]
    assert np.mean(found) == pytest.approx(known, abs=3 * np.std(found) / np.sqrt(len(found)))
    assert np.mean([frechet_distance(a, b) for a, b in pairs]) > 1.4 * known


def test_the_line_goes_through_fifteen_numbers_of_images_from_the_half_on() -> None:
    found = frechet_infinity(scattered(130, 0), scattered(100, 1))
    assert (found.fewest, found.most) == (50, 100)
    assert 0 < found.standard_error < 0.1


def test_the_extrapolation_is_drawn_by_its_seed_alone() -> None:
    a, b = scattered(60, 0), scattered(60, 1)
    assert frechet_infinity(a, b, seed=1) == frechet_infinity(a, b, seed=1) != frechet_infinity(a, b, seed=2)


def test_too_few_images_to_extrapolate_are_refused_with_another_measure() -> None:
    with pytest.raises(
        InputError, match=r"30 images of 30 dimensions: .* needs more than 30; take the kernel distance"
    ):
        frechet_infinity(scattered(30, 0), scattered(90, 1))
