"""Precision, recall, density and coverage against the package of Naeem et al."""

from __future__ import annotations

import numpy as np
import pytest
from prdc import compute_prdc

from dermsynth.metrics.manifold import overlap


def normal(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d", "shift"), [(12, 9, 3, 0.5), (80, 80, 20, 0.2), (1500, 1200, 8, 0.4)])
def test_the_four_are_those_of_the_package(n: int, m: int, d: int, shift: float, k: int) -> None:
    real, fake = normal(n, d, 0), normal(m, d, 1, shift)
    found, expected = overlap(real, fake, k=k, k_density=k), compute_prdc(real, fake, k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-12), name


def test_only_copies_differ_because_the_package_leaves_out_the_rim_of_a_ball() -> None:
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    open_balls = compute_prdc(real, real + 1.0, 1)["precision"]
    assert overlap(real, real + 1.0, k=1, k_density=1).precision == 1.0
    assert open_balls == 0.75
