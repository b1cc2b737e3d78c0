"""The kernel distance against a double loop, and its laws."""

from __future__ import annotations

import numpy as np
import pytest

from dermsynth.core.errors import InputError
from dermsynth.metrics import kernel
from dermsynth.metrics.kernel import kernel_distance


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
