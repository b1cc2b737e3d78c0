"""Precision, density and realism against loops over all pairs, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from dermsynth.core.errors import InputError
from dermsynth.metrics.manifold import density, precision, realism

seeds = st.integers(0, 2**32 - 1)


def normal(n: int, seed: int, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def radii_of(real: np.ndarray, k: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=k).fit(real).kneighbors()[0][:, -1]  # without rows: others only


def distances(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.array([[np.linalg.norm(x - y) for y in real] for x in fake])


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_density_count_balls(k: int) -> None:
    real, fake = normal(20, 0), normal(15, 1) + 0.8
    inside = distances(fake, real) <= radii_of(real, k)
    assert 0 < precision(real, fake, k) < 1
    assert precision(real, fake, k) == pytest.approx(inside.any(axis=1).mean())
    assert density(real, fake, k) == pytest.approx(inside.sum() / (k * len(fake)))


def test_realism_is_the_largest_ratio_over_the_smaller_half_of_the_balls() -> None:
    real, fake = normal(21, 0), normal(9, 1)
    radii = radii_of(real, 3)
    small = radii <= np.median(radii)
    np.testing.assert_allclose(realism(real, fake), (radii[small] / distances(fake, real[small])).max(axis=1))


def test_equal_distributions_have_density_one() -> None:
    found = [density(normal(60, seed), normal(60, seed + 1000), 5) for seed in range(200)]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / np.sqrt(len(found)))


def test_a_copy_is_as_real_as_can_be() -> None:
    real = normal(10, 0)
    radii = radii_of(real, 3)
    assert np.isinf(realism(real, real[radii <= np.median(radii)])).all()


@given(seed=seeds, far=st.floats(0, 50))
def test_realism_of_one_or_more_means_a_place_within_some_ball(seed: int, far: float) -> None:
    real, fake = normal(12, seed), normal(8, seed + 1) + far
    for image, value in zip(fake, realism(real, fake), strict=True):
        if value >= 1:
            assert precision(real, image[None]) == 1


@given(seed=seeds)
def test_moving_and_turning_all_images_changes_nothing(seed: int) -> None:
    real, fake = normal(15, seed), normal(9, seed + 1)
    turn = np.linalg.qr(normal(4, seed + 2))[0]
    np.testing.assert_allclose(realism(real @ turn + 100, fake @ turn + 100), realism(real, fake), rtol=1e-6)


def test_fewer_real_images_than_neighbours_are_refused() -> None:
    with pytest.raises(InputError, match="needs at least 4"):
        precision(normal(3, 0), normal(3, 1))
