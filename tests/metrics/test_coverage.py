"""Coverage, the mean distance and the Vendi score against loops over all pairs, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.core.errors import InputError
from dermsynth.metrics import features as module
from dermsynth.metrics.coverage import coverage, mean_distance, vendi_score

seeds = st.integers(0, 2**32 - 1)


def normal(n: int, seed: int, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def naive(real: np.ndarray, fake: np.ndarray, k: int) -> float:
    covered = 0
    for i, x in enumerate(real):
        others = sorted(float(np.linalg.norm(x - other)) for j, other in enumerate(real) if j != i)
        covered += min(float(np.linalg.norm(x - y)) for y in fake) <= others[k - 1]
    return covered / len(real)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_coverage_equals_the_loop(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    real, fake = normal(21, 0), normal(17, 1) + 1.2
    assert 0 < coverage(real, fake, k) < 1
    assert coverage(real, fake, k) == pytest.approx(naive(real, fake, k))


def test_the_mean_distance_equals_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    x = normal(13, 0)
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(13) for j in range(i)]
    assert mean_distance(x) == pytest.approx(np.mean(pairs))


def test_samples_of_one_distribution_cover_what_the_paper_expects() -> None:
    # Lemma 2 of the paper, n = m: 1 - (n-1)…(n-k) / ((2n-1)…(2n-k)), whatever the distribution.
    n, k = 40, 3
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    found = [coverage(normal(n, seed), normal(n, seed + 1000), k) for seed in range(300)]
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / np.sqrt(len(found)))


@given(seed=seeds, n=st.integers(6, 40), k=st.integers(1, 5), repeats=st.integers(1, 8))
def test_a_set_covers_itself_even_where_images_repeat(seed: int, n: int, k: int, repeats: int) -> None:
    real = np.repeat(normal(n, seed) + 100, repeats, axis=0)  # far from the origin, where rounding is largest
    assert coverage(real, real, k) == 1.0


@given(seed=seeds, n=st.integers(7, 30), m=st.integers(1, 30))
def test_the_order_of_images_does_not_matter(seed: int, n: int, m: int) -> None:
    generator = np.random.default_rng(seed)
    real, fake = normal(n, seed), normal(m, seed + 1) + 0.5
    mixed_real, mixed_fake = generator.permutation(real), generator.permutation(fake)
    assert coverage(mixed_real, mixed_fake) == coverage(real, fake)
    assert mean_distance(mixed_real) == pytest.approx(mean_distance(real))


@given(seed=seeds, n=st.integers(6, 30), m=st.integers(1, 30))
def test_more_fakes_never_cover_less(seed: int, n: int, m: int) -> None:
    real, fake = normal(n, seed), normal(m, seed + 1) + 0.5
    assert coverage(real, np.concatenate([fake, normal(3, seed + 2)])) >= coverage(real, fake)


@given(seed=seeds, n=st.integers(6, 30), k=st.integers(1, 5))
def test_one_image_drawn_again_and_again_covers_few(seed: int, n: int, k: int) -> None:
    # Over all images that could be the one, exactly (k + 1) / n on average: each real image has k others in its ball.
    real = normal(n, seed)
    found = [coverage(real, np.repeat(real[i : i + 1], 20, axis=0), k) for i in range(n)]
    assert np.mean(found) == pytest.approx((k + 1) / n)


@given(seed=seeds, factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_the_mean_distance_scales_with_the_features_and_ignores_where_they_lie(
    seed: int, factor: float, shift: float
) -> None:
    x = normal(12, seed)
    assert mean_distance(factor * x + shift) == pytest.approx(factor * mean_distance(x), rel=1e-6)


def test_equal_images_have_no_distance() -> None:
    assert mean_distance(np.repeat(normal(1, 0) + 1000, 9, axis=0)) == 0.0


def test_the_mean_distance_does_not_depend_on_how_many_images_are_compared() -> None:
    few = np.mean([mean_distance(normal(5, seed)) for seed in range(400)])
    assert few == pytest.approx(mean_distance(normal(1500, 1)), rel=0.02)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (normal(5, 0), normal(9, 1), "real set, coverage with k = 5: 5 images; .* needs at least 6"),
        (normal(9, 0), normal(0, 1), "second set: 0 images"),
        (normal(9, 0), normal(9, 1, d=3), "6 and 3 dimensions"),
        (normal(9, 0), np.full((9, 6), np.nan), "row 0 are not finite"),
    ],
)
def test_unusable_sets_are_refused(real: np.ndarray, fake: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        coverage(real, fake)


def test_one_image_has_no_distance_to_another() -> None:
    with pytest.raises(InputError, match="1 images; this distance needs at least 2"):
        mean_distance(normal(1, 0))


@given(n=st.integers(2, 8), repeats=st.integers(1, 4))
def test_the_vendi_score_counts_different_images(n: int, repeats: int) -> None:
    assert vendi_score(np.eye(n, 9).repeat(repeats, axis=0)) == pytest.approx(n)


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_the_vendi_score_is_the_entropy_of_the_similarities(shape: tuple[int, int]) -> None:
    x = normal(shape[0], 0, shape[1])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvals(unit @ unit.T / len(x)).real
    values = values[values > 1e-12]
    assert vendi_score(x) == pytest.approx(np.exp(-np.sum(values * np.log(values))))
