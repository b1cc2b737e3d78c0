"""Frechet and kernel distances against torchmetrics and SciPy, with few and many images and degenerate ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from dermsynth.metrics.frechet import frechet_distance
from dermsynth.metrics.kernel import kernel_distance


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Return correlated values, float64 n x d."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) @ (generator.normal(size=(d, d)) / np.sqrt(d)) + shift


def by_torchmetrics(a: np.ndarray, b: np.ndarray) -> float:
    moments = [value for x in (a, b) for value in (x.mean(axis=0), np.cov(x, rowvar=False))]
    return float(_compute_fid(*(torch.from_numpy(np.atleast_1d(value)) for value in moments)))


def by_scipy(a: np.ndarray, b: np.ndarray) -> float:
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(linalg.sqrtm(cov_a @ cov_b)).real)


@pytest.mark.parametrize(("n", "m", "d"), [(8, 9, 4), (40, 25, 30), (25, 40, 64), (64, 65, 64), (3000, 2000, 48)])
def test_the_distance_is_that_of_torchmetrics(n: int, m: int, d: int) -> None:
    a, b = features(n, d, 0), features(m, d, 1, shift=0.3)
    assert frechet_distance(a, b) == pytest.approx(by_torchmetrics(a, b), rel=1e-5)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 25, 30), (300, 200, 96)])
def test_the_distance_is_that_of_the_matrix_root(n: int, m: int, d: int) -> None:
    a, b = features(n, d, 0), features(m, d, 1, shift=0.3)
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-5)


def test_constant_images_are_as_far_apart_as_their_features() -> None:
    a, b = np.ones((5, 8)), np.full((9, 8), 3.0)
    assert frechet_distance(a, b) == pytest.approx(by_torchmetrics(a, b)) == pytest.approx(32)


def test_features_that_never_change_do_not_disturb() -> None:
    a, b = features(50, 6, 0), features(40, 6, 1)
    wide = [np.hstack([x, np.zeros((len(x), 20))]) for x in (a, b)]
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(a, b), rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(5, 2), (30, 64), (1500, 16)])
def test_the_kernel_distance_is_that_of_torchmetrics_over_one_subset_of_all(n: int, d: int) -> None:
    a, b = features(n, d, 0), features(n, d, 1, shift=0.3)
    expected = float(poly_mmd(torch.from_numpy(a), torch.from_numpy(b), degree=3, gamma=None, coef=1.0))
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_the_kernel_distance_of_equal_constant_sets_is_zero() -> None:
    assert kernel_distance(np.ones((4, 3)), np.ones((6, 3))) == pytest.approx(0, abs=1e-12)
