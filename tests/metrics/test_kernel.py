"""The kernel distance against a double loop, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from dermsynth.core.errors import InputError
from dermsynth.metrics import kernel
from dermsynth.metrics.kernel import kernel_distance, kernel_interval


def naive(a: np.ndarray, b: np.ndarray) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    within = [
        sum(k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j) / (len(x) * (len(x) - 1))
        for x in (a, b)
    ]
    return sum(within) - 2 * float(np.mean([k(x, y) for x in a for y in b]))


def test_it_equals_the_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(13, 5)), generator.normal(0.3, size=(17, 5))
    monkeypatch.setattr(kernel, "_ROWS_AT_ONCE", 4)
    assert kernel_distance(a, b) == pytest.approx(naive(a, b))


def test_it_is_unbiased_for_equal_distributions() -> None:
    generator = np.random.default_rng(0)
    found = [kernel_distance(generator.normal(size=(20, 4)), generator.normal(size=(20, 4))) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert min(found) < 0


def test_it_grows_with_a_shift() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(200, 4)), generator.normal(size=(200, 4))
    assert kernel_distance(a, b + 1) > kernel_distance(a, b + 0.5) > kernel_distance(a, b)


def test_one_image_has_no_unbiased_distance() -> None:
    with pytest.raises(InputError, match="needs at least 2"):
        kernel_distance(np.zeros((4, 2)), np.zeros((1, 2)))


def single(n: int) -> np.ndarray:
    return np.arange(n).astype(str)


def test_the_interval_is_the_jackknife() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(9, 3)), generator.normal(0.5, size=(7, 3))
    variance = 0.0
    for side, n in ((0, 9), (1, 7)):
        left = [
            kernel_distance(*(np.delete(x, i, 0) if side == j else x for j, x in enumerate((a, b)))) for i in range(n)
        ]
        variance += (n - 1) / n * np.sum((left - np.mean(left)) ** 2)
    found = kernel_interval(a, b, (single(9), single(7)))
    assert found.value == pytest.approx(kernel_distance(a, b))
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975, 6) * np.sqrt(variance))


def test_leaving_out_a_lesion_leaves_out_all_its_photos() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(12, 3)), generator.normal(size=(10, 3))
    lesions = np.repeat(single(4), 3), single(10)
    without = kernel_interval(a[3:], b, (lesions[0][3:], lesions[1])).value
    sums = kernel._Sums((a, b), (np.arange(12) // 3, np.arange(10)))
    assert sums.without_each_group(0)[0] == pytest.approx(without)


def test_photos_of_one_lesion_do_not_make_a_set_look_far() -> None:
    def photos(seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return generator.normal(size=(30, 6)).repeat(4, axis=0) + 0.2 * generator.normal(size=(120, 6))

    lesions = np.repeat(single(30), 4)
    found = [kernel_interval(photos(i), photos(i + 1), (lesions, lesions)) for i in range(0, 200, 2)]
    plain = [kernel_distance(photos(i), photos(i + 1)) for i in range(0, 20, 2)]
    values = np.array([one.value for one in found])
    assert abs(values.mean()) < 3 * values.std() / 10
    assert np.mean(plain) > 2 * values.std()
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.93


def test_intervals_hold_the_truth() -> None:
    def drawn(n: int, shift: float, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(shift, size=(n, 8))

    truth = np.mean([kernel_distance(drawn(1500, 0, i), drawn(1500, 0.4, i + 1)) for i in range(0, 8, 2)])
    held = 0
    for seed in range(0, 300, 2):
        found = kernel_interval(drawn(60, 0, seed), drawn(60, 0.4, seed + 1), (single(60), single(60)))
        held += found.low <= truth <= found.high
    assert held >= 0.9 * 150


def test_two_lesions_have_no_interval() -> None:
    with pytest.raises(InputError, match="2 and 9 lesions; the interval of a kernel distance needs 3"):
        kernel_interval(np.eye(4), np.eye(9, 4), (np.array(["a", "a", "b", "b"]), single(9)))
