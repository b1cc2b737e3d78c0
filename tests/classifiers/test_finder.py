"""The sweep: where a known optimum lies, when there is none, and what it reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.discs import QUICK, TRAIN, VAL

from dermsynth.classifiers import finder
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.finder import HIGHEST, LOWEST, STEPS, RateCurve, find_rate, sweep
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.reports.rate import rate_figure

RATES = np.geomspace(LOWEST, HIGHEST, STEPS)


def quadratic(curvature: float, noise: float = 0.0, start: float = 1.0) -> RateCurve:
    """Return the curve of gradient descent on x² / 2 times the curvature, its loss measured with noise."""
    generator = np.random.default_rng(0)
    x = start

    def learn(rate: float) -> float:
        nonlocal x
        loss = x**2 + noise * generator.normal()
        x -= rate * curvature * x
        return loss

    return RateCurve.of(*sweep(learn, RATES))


@given(curvature=st.floats(0.01, 1000), noise=st.sampled_from([0.0, 0.05]))
@settings(max_examples=60, deadline=None)
def test_the_rate_of_a_quadratic_follows_its_curvature_and_keeps_off_the_edge(curvature: float, noise: float) -> None:
    # The best constant rate is 1 / curvature; above 2 / curvature steps diverge.
    found = quadratic(curvature, noise).suggested
    assert found is not None
    assert 1 / 80 < found * curvature < 1 / 4


@pytest.mark.parametrize("seed", range(20))
def test_noise_gets_no_suggestion(seed: int) -> None:
    losses = 1.9 + 0.2 * np.random.default_rng(seed).normal(size=STEPS)
    assert RateCurve.of(RATES, losses).suggested is None


def test_a_loss_that_only_climbs_gets_no_suggestion() -> None:
    assert RateCurve.of(RATES, np.linspace(1, 2, STEPS)).suggested is None


def test_a_sweep_ends_where_the_loss_explodes() -> None:
    curve = quadratic(100.0)
    assert len(curve.rates) == len(curve.losses) == len(curve.smoothed) < STEPS
    assert curve.rates[-1] < 100 / 100
    assert np.isfinite(curve.losses).all()


def test_a_loss_that_is_not_finite_from_the_start_is_an_error() -> None:
    losses = iter([1.0, 1.0, 1.0, float("nan")])
    with pytest.raises(InputError, match=r"the loss is not finite after 3 steps at rates up to 1\.4e-06"):
        sweep(lambda rate: next(losses), RATES)


def test_a_network_gets_a_rate_that_teaches_it() -> None:
    curve = find_rate(TRAIN, QUICK)
    assert curve.suggested is not None
    assert 1e-4 < curve.suggested < 0.3


def test_the_same_sweep_gives_the_same_curve_and_the_arm_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "STEPS", 20)
    first, again = find_rate(TRAIN, QUICK), find_rate(TRAIN, QUICK)
    np.testing.assert_array_equal(first.losses, again.losses)
    altered = find_rate(TRAIN, QUICK, augmentation=ClassicalAugmentation(), balance="focal")
    assert altered.losses[0] != first.losses[0]


def test_an_empty_training_set_is_refused() -> None:
    with pytest.raises(InputError, match="train has no image"):
        find_rate(VAL.select([]), QUICK)


def test_a_model_that_is_not_trained_in_steps_has_no_rate() -> None:
    with pytest.raises(ConfigError, match="'probe:handmade' is solved for, not trained in steps"):
        find_rate(TRAIN, FitConfig(model="probe:handmade"))


def test_the_figure_tells_the_suggestion() -> None:
    curve = quadratic(1.0)
    figure = rate_figure(curve)
    assert f"suggested: {curve.suggested:.1e}" in figure
    assert ">1e-03<" in figure
    assert "no rate suggested" in rate_figure(RateCurve.of(RATES, np.linspace(1, 2, STEPS)))
