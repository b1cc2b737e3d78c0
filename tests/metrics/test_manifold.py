"""Precision, recall, density, coverage and realism against loops over all pairs, and their laws."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from dermsynth.core.errors import InputError
from dermsynth.metrics import features as module
from dermsynth.metrics.coverage import coverage
from dermsynth.metrics.manifold import overlap, realism

seeds = st.integers(0, 2**32 - 1)


def normal(n: int, seed: int, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def radii_of(real: np.ndarray, k: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=k).fit(real).kneighbors()[0][:, -1]  # without rows: others only


def distances(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.array([[np.linalg.norm(x - y) for y in real] for x in fake])


@pytest.mark.parametrize(("k", "k_density"), [(1, 4), (3, 2), (3, 5)])
def test_the_four_count_balls(k: int, k_density: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    real, fake = normal(20, 0), normal(15, 1) + 0.8
    between = distances(fake, real)
    found = overlap(real, fake, k=k, k_density=k_density)
    in_real, in_fake = between <= radii_of(real, k), between <= radii_of(fake, k)[:, None]
    dense = between <= radii_of(real, k_density)
    assert 0 < found.precision < 1
    assert found.precision == pytest.approx(in_real.any(axis=1).mean())
    assert found.recall == pytest.approx(in_fake.any(axis=0).mean())
    assert found.density == pytest.approx(dense.sum() / (k_density * len(fake)))
    assert found.coverage == pytest.approx(dense.any(axis=0).mean())
    assert found.coverage == coverage(real, fake, k_density)


def test_recall_is_the_precision_of_the_real_images_among_the_fake_ones() -> None:
    real, fake = normal(25, 0), normal(18, 1) + 0.5
    assert overlap(real, fake).recall == overlap(fake, real).precision


@given(seed=seeds, n=st.integers(6, 30), repeats=st.integers(1, 4))
def test_a_set_overlaps_itself_wholly_even_where_images_repeat(seed: int, n: int, repeats: int) -> None:
    real = np.repeat(normal(n, seed) + 100, repeats, axis=0)  # far from the origin, where rounding is largest
    found = overlap(real, real)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)


def test_the_distances_of_all_pairs_are_never_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 32)
    real, fake = normal(1500, 0), normal(1500, 1)
    tracemalloc.start()
    overlap(real, fake)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1500 * 1500 * 8 / 5  # a block with its intermediate results is 32 x 1500


def test_a_set_far_away_overlaps_nowhere() -> None:
    found = overlap(normal(20, 0), normal(20, 1) + 100)
    assert (found.precision, found.recall, found.density, found.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_a_constant_set_is_its_own_neighbour() -> None:
    assert overlap(np.ones((9, 4)), np.ones((8, 4))).density == pytest.approx(9 / 5)


def test_realism_is_the_largest_ratio_over_the_smaller_half_of_the_balls() -> None:
    real, fake = normal(21, 0), normal(9, 1)
    radii = radii_of(real, 3)
    small = radii <= np.median(radii)
    np.testing.assert_allclose(realism(real, fake), (radii[small] / distances(fake, real[small])).max(axis=1))


def test_equal_distributions_have_density_one() -> None:
    found = [overlap(normal(60, seed), normal(60, seed + 1000)).density for seed in range(200)]
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
            assert (distances(image[None], real) <= radii_of(real, 3) * (1 + 1e-9)).any()


@given(seed=seeds)
def test_moving_and_turning_all_images_changes_nothing(seed: int) -> None:
    real, fake = normal(15, seed), normal(9, seed + 1)
    turn = np.linalg.qr(normal(4, seed + 2))[0]
    np.testing.assert_allclose(realism(real @ turn + 100, fake @ turn + 100), realism(real, fake), rtol=1e-6)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (normal(3, 0), normal(9, 1), "first set: 3 images; this distance needs at least 4"),
        (normal(9, 0), normal(3, 1), "second set: 3 images; this distance needs at least 4"),
        (normal(5, 0), normal(9, 1), "real set, neighbour 5: 5 images; this distance needs at least 6"),
        (normal(9, 0), normal(9, 1, d=3), "4 and 3 dimensions; encode both sets with the same encoder"),
        (normal(9, 0), np.full((9, 4), np.nan), "row 0 are not finite"),
    ],
)
def test_unusable_sets_are_refused(real: np.ndarray, fake: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        overlap(real, fake)


def test_realism_of_fewer_real_images_than_neighbours_is_refused() -> None:
    with pytest.raises(InputError, match="needs at least 4"):
        realism(normal(3, 0), normal(3, 1))
