"""The trend of a score over doses: its slope, its best step, and how often chance alone makes one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dermsynth.core.errors import InputError
from dermsynth.metrics.dose import dose_response
from dermsynth.metrics.lesions import Lesions, Statistic, bootstrap_recalls

DOSES = (0.0, 0.25, 0.5, 1.0)
ARMS = np.arange(12).reshape(4, 3)


def judged(seed: int, gains: tuple[float, ...], *, per_class: int = 150, seed_sd: float = 0.1) -> Statistic:
    """Return the balanced accuracy of 4 doses x 3 seeds on lesions of two classes; `gains` are on a latent scale."""
    generator = np.random.default_rng(seed)
    total = 2 * per_class
    latent = (
        0.4
        + np.repeat(gains, 3)
        + generator.normal(0, 0.8, (total, 1))
        + generator.normal(0, 0.5, (total, 12))
        + generator.normal(0, seed_sd, (1, 12))
    )
    lesions = Lesions.of(np.arange(total) % 2, np.arange(total), 2)
    return bootstrap_recalls(latent > 0, lesions, resamples=100).balanced_accuracy()


def exact(means: tuple[float, ...]) -> Statistic:
    """Return a statistic of 4 doses x 3 seeds without lesions' doubt."""
    noise = np.array([[0.001, -0.001, 0.0], [0.0, 0.001, -0.001], [-0.001, 0.0, 0.001], [0.001, 0.0, -0.001]])
    values = (np.array(means)[:, None] + noise).ravel()
    return Statistic(values, np.zeros((1, 12, 12)), np.array([1000]), floor=1e-12)


def test_the_slope_is_that_of_a_line_through_the_means() -> None:
    found = dose_response(exact((0.50, 0.53, 0.55, 0.56)), ARMS.tolist(), DOSES)
    line = stats.linregress(DOSES, found.means)
    assert found.slope.value == pytest.approx(line.slope)
    by_seed = [stats.linregress(DOSES, exact((0.50, 0.53, 0.55, 0.56)).values[ARMS[:, s]]).slope for s in range(3)]
    assert found.slope.by_seed == pytest.approx(by_seed)


def test_with_two_dose_levels_of_weight_the_step_is_a_paired_t_test() -> None:
    statistic = exact((0.5, 0.5, 0.6, 0.6))
    found = dose_response(statistic, ARMS.tolist(), DOSES)
    values = statistic.values[ARMS]
    expected = stats.ttest_rel(values[2:].mean(axis=0), values[:2].mean(axis=0))
    assert found.cut == 0.25
    assert found.step.value == pytest.approx(0.1)
    assert found.step.p_value == pytest.approx(expected.pvalue)


def test_a_step_that_a_line_fits_badly_is_placed_where_it_is() -> None:
    found = dose_response(judged(0, (0.0, 0.8, 0.8, 0.8)), ARMS.tolist(), DOSES)
    assert found.cut == 0.0
    assert found.p_value < 0.02
    assert found.step.value > 0.1


def test_a_harm_that_grows_with_the_dose_is_a_trend_too() -> None:
    found = dose_response(judged(1, (0.6, 0.4, 0.2, 0.0)), ARMS.tolist(), DOSES)
    assert found.slope.value < 0
    assert found.p_value < 0.02
    assert np.diff(found.monotone).max() <= 0


def test_the_monotone_curve_pools_neighbours_that_are_out_of_order() -> None:
    found = dose_response(exact((0.50, 0.56, 0.54, 0.60)), ARMS.tolist(), DOSES)
    assert found.monotone == pytest.approx((0.50, 0.55, 0.55, 0.60), abs=1e-9)


def test_the_best_of_several_steps_needs_more_than_one_alone() -> None:
    found = dose_response(judged(2, (0.0, 0.1, 0.2, 0.3)), ARMS.tolist(), DOSES)
    assert found.step.p_value < found.p_value < 3 * found.step.p_value


def test_the_same_seed_gives_the_same_p_value() -> None:
    statistic = judged(3, (0.0, 0.1, 0.0, 0.1))
    first, again = (dose_response(statistic, ARMS.tolist(), DOSES) for _ in range(2))
    assert first.p_value == again.p_value


@pytest.mark.parametrize("seed_sd", [0.0, 0.2])
def test_without_a_trend_one_is_found_in_five_percent_or_less(monkeypatch: pytest.MonkeyPatch, seed_sd: float) -> None:
    monkeypatch.setattr("dermsynth.metrics.dose._DRAWS", 2000)
    trials = 300
    found = [
        dose_response(judged(seed, (0.0,) * 4, per_class=40, seed_sd=seed_sd), ARMS.tolist(), DOSES, seed=seed)
        for seed in range(trials)
    ]
    assert sum(one.p_value < 0.05 for one in found) <= stats.binom.ppf(0.995, trials, 0.05)
    assert sum(one.slope.p_value < 0.05 for one in found) <= stats.binom.ppf(0.995, trials, 0.05)


@pytest.mark.parametrize(
    ("arms", "doses", "message"),
    [
        ([[0], [1]], (0, 1), "2 doses for 2 arms; a trend needs at least 3"),
        ([[0], [1], [2]], (0, 0.5, 0.5), "doses 0, 0.5, 0.5; list them and their arms ascending"),
        ([[0, 1], [2, 3], [4]], (0, 0.5, 1), "2 fits cannot be paired with 1"),
    ],
)
def test_what_has_no_trend_is_refused(arms: list[list[int]], doses: tuple[float, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dose_response(exact((0.5, 0.5, 0.5, 0.5)), arms, doses)
