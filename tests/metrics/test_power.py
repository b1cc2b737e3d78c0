"""The power of a trial: against textbook formulas, by its laws, and against simulated trials."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from dermsynth.core.errors import InputError
from dermsynth.metrics.families import decide
from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.metrics.power import Design, Noise
from dermsynth.metrics.statistics import contrast

LESIONS = np.array([40, 60, 80])


def endpoint(noise: Noise, lesions: np.ndarray = LESIONS, seeds: int = 5, margin: float = 0.001) -> Design:
    return Design.of_endpoint(noise, lesions, seeds, margin=margin, confidence=0.95)


def test_with_one_seed_it_is_a_normal_variable_against_students_quantile() -> None:
    noise = Noise(np.array([0.2]), np.zeros(1), np.zeros(1), 0.0)
    design = endpoint(noise, np.array([400]), seeds=1)
    error = np.sqrt(0.2 / 400)
    bound = stats.t.ppf(0.975, 399) * error
    assert design.chance_of_helps(0.05) == pytest.approx(stats.norm.sf(bound, 0.05, error))
    expected = TTestPower().power(0.05 / np.sqrt(0.2), nobs=400, alpha=0.025, alternative="larger")
    assert design.chance_of_helps(0.05) == pytest.approx(expected, abs=0.003)


def test_where_only_seeds_count_it_is_the_power_of_a_paired_t_test() -> None:
    noise = Noise(np.zeros(1), np.zeros(1), np.array([0.0004]), 0.0004)
    design = endpoint(noise, np.array([10**6]), seeds=6)
    expected = TTestPower().power(0.03 / 0.02, nobs=6, alpha=0.025, alternative="larger")
    assert design.chance_of_helps(0.03) == pytest.approx(expected, abs=0.003)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 0.5), st.floats(0, 0.04), st.integers(2, 10), st.floats(0.5, 0.95))
def test_laws_of_the_smallest_difference(discordance: float, seed_sd: float, seeds: int, power: float) -> None:
    noise = Noise.assumed(3, discordance=discordance, seed_sd=seed_sd)
    design = endpoint(noise, seeds=seeds)
    found = design.smallest_difference(power)
    assert design.chance_of_helps(found) == pytest.approx(power, abs=1e-3)
    assert endpoint(noise, seeds=seeds).smallest_difference(min(power + 0.04, 0.99)) > found
    if seed_sd > 0.005:
        assert endpoint(noise, seeds=4 * seeds).smallest_difference(power) < found
    alone = Noise.assumed(3, discordance=discordance, seed_sd=0.0)
    more = endpoint(alone, 4 * LESIONS, seeds=seeds).smallest_difference(power)
    assert more < 0.6 * endpoint(alone, seeds=seeds).smallest_difference(power)


def test_with_two_seeds_that_differ_more_lesions_may_see_less() -> None:
    """The interval then rests on the two seeds alone: it is Student's with one degree of freedom."""
    noise = Noise.assumed(3, discordance=0.25, seed_sd=0.03)
    few, many = (endpoint(noise, times * LESIONS, seeds=2).smallest_difference(0.75) for times in (1, 4))
    assert many > few
    few, many = (endpoint(noise, times * LESIONS, seeds=10).smallest_difference(0.75) for times in (1, 4))
    assert many < few


def test_a_difference_within_the_margin_is_called_equivalent_rather_than_a_gain() -> None:
    noise = Noise.assumed(3, discordance=0.1, seed_sd=0.0)
    many = 1000 * LESIONS
    assert endpoint(noise, many, margin=0.05).chance_of_helps(0.03) < 0.01
    assert endpoint(noise, many, margin=0.05).chance_of_equivalent(0.03) > 0.99
    assert endpoint(noise, many, margin=0.02).chance_of_helps(0.03) > 0.99
    assert endpoint(noise, margin=0.02).chance_of_equivalent() == 0  # the interval never fits


def test_a_class_among_many_needs_more_than_alone() -> None:
    noise = Noise.assumed(3, discordance=0.1, seed_sd=0.0)
    among = Design.of_class(noise, 0, LESIONS, 5, margin=0.001, confidence=0.95)
    alone = endpoint(Noise.assumed(1, discordance=0.1, seed_sd=0.0), LESIONS[:1])
    ratio = (stats.t.ppf(1 - 0.025 / 3, 39) + stats.norm.ppf(0.8)) / (stats.t.ppf(0.975, 39) + stats.norm.ppf(0.8))
    assert among.smallest_difference(0.8) == pytest.approx(ratio * alone.smallest_difference(0.8), rel=1e-4)


def latent(seed: int, per_class: int, seeds: int, effect: float, photos: int = 1) -> tuple[np.ndarray, Lesions]:
    """Return correctness (N, 2S) of control and treatment on three classes, and the lesions."""
    generator = np.random.default_rng(seed)
    total = 3 * per_class
    lesion = np.repeat(np.arange(total), photos)
    labels = lesion % 3
    score = (
        0.3
        + np.array([0, effect])[:, None]
        + generator.normal(0, 0.6, (total, 1, 1))[lesion]
        + generator.normal(0, 0.3, (total, 2, 1))[lesion]
        + generator.normal(0, 0.5, (total, 2, seeds))[lesion]
        + generator.normal(0, 0.12, (3, 2, seeds))[labels]
        + generator.normal(0, 0.05, (1, 2, seeds))
    )
    return (score > 0).reshape(len(lesion), 2 * seeds), Lesions.of(labels, lesion, 3)


def split(seeds: int) -> tuple[list[int], list[int]]:
    return list(range(seeds, 2 * seeds)), list(range(seeds))


@pytest.fixture(scope="module")
def known() -> tuple[Noise, float]:
    """The noise of `latent` and the difference that an effect of 0.35 makes, from one very large trial."""
    seeds = 60
    correct, lesions = latent(0, 1500, seeds, 0.35)
    treatment, control = split(seeds)
    difference = correct[:, treatment].mean() - correct[:, control].mean()
    return Noise.measured(correct, lesions, treatment, control), float(difference)


@pytest.mark.parametrize(("seeds", "per_class"), [(3, 60), (5, 60), (5, 30)])
def test_the_promised_power_is_that_of_simulated_trials(known: tuple[Noise, float], seeds: int, per_class: int) -> None:
    noise, difference = known
    design = endpoint(noise, np.full(3, per_class), seeds=seeds)
    trials, helped = 300, 0
    for trial in range(trials):
        correct, lesions = latent(1 + trial, per_class, seeds, 0.35)
        statistic = bootstrap_recalls(correct, lesions, resamples=100).balanced_accuracy()
        found = contrast(statistic, split(seeds), [1.0, -1.0])
        helped += decide([found], margin=0.001)[0].outcome == "helps"
    assert 0.1 < helped / trials < 0.95  # where it could be wrong
    assert helped / trials == pytest.approx(design.chance_of_helps(difference), abs=0.09)


def test_the_noise_of_a_trial_is_measured_without_bias() -> None:
    found = [Noise.measured(*latent(seed, 60, 4, 0.0, photos=2), *split(4)) for seed in range(60)]
    expected = Noise.measured(*latent(0, 1500, 60, 0.0, photos=2), *split(60))
    assert np.mean([one.churn for one in found]) == pytest.approx(expected.churn.mean(), rel=0.05)
    assert np.mean([one.lesion for one in found]) == pytest.approx(expected.lesion.mean(), rel=0.15)
    assert np.mean([one.seed for one in found]) == pytest.approx(expected.seed.mean(), rel=0.35)


def test_arms_that_agree_on_all_lesions_still_promise_no_certainty() -> None:
    correct = np.ones((90, 4), dtype=bool)
    noise = Noise.measured(correct, Lesions.of(np.arange(90) % 3, np.arange(90), 3), [2, 3], [0, 1])
    assert endpoint(noise, np.full(3, 30)).smallest_difference(0.8) > 1 / 30


def test_what_cannot_be_planned_is_refused() -> None:
    noise = Noise.assumed(3, discordance=0.1, seed_sd=0.01)
    with pytest.raises(InputError, match="0 seeds and 40 lesions in a class"):
        endpoint(noise, seeds=0)
    with pytest.raises(InputError, match="5 seeds and 0 lesions"):
        endpoint(noise, np.array([0, 1, 2]))
    with pytest.raises(InputError, match="1 seed; how seeds differ is known from 2 or more"):
        Noise.measured(np.ones((4, 2), bool), Lesions.of(np.zeros(4, int), np.arange(4), 1), [1], [0])
