"""Do groups differ in their difference? Against plain formulas, by laws, and by simulation with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.oneway import anova_oneway

from dermsynth.core.errors import InputError
from dermsynth.metrics.heterogeneity import by_group, heterogeneity
from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.metrics.statistics import Contrast

TREATMENT, CONTROL = [3, 4, 5], [0, 1, 2]


def known(values: list[float], errors: list[float], freedom: float = 1e9) -> list[Contrast]:
    return [Contrast(value, error, freedom, (value,)) for value, error in zip(values, errors, strict=True)]


def test_with_known_variances_q_and_i_squared_are_those_of_a_meta_analysis() -> None:
    values, errors = [0.02, 0.08, -0.05, 0.01], [0.02, 0.03, 0.02, 0.05]
    found = heterogeneity(known(values, errors))
    expected = combine_effects(np.array(values), np.array(errors) ** 2)
    assert found.q == pytest.approx(expected.q)
    assert found.i_squared == pytest.approx(expected.i2)
    assert found.common == pytest.approx(expected.mean_effect_fe)
    assert found.p_value == pytest.approx(stats.chi2.sf(expected.q, 3), rel=1e-4)


def test_with_few_degrees_of_freedom_it_is_welchs_analysis_of_variance() -> None:
    generator = np.random.default_rng(0)
    groups = [generator.normal(0.3 * k, 1 + k, 6) for k in range(4)]
    contrasts = [Contrast(float(g.mean()), float(stats.sem(g)), len(g) - 1, (float(g.mean()),)) for g in groups]
    expected = anova_oneway(groups, use_var="unequal")
    assert heterogeneity(contrasts).p_value == pytest.approx(expected.pvalue)


def test_two_groups_that_go_up_and_down_together_differ_more_surely() -> None:
    together, apart = (
        [Contrast(float(np.mean(d)), float(np.std(d, ddof=1) / np.sqrt(5)), 4, tuple(d)) for d in pair]
        for pair in (
            ([0.0, 0.02, 0.04, 0.06, 0.08], [0.03, 0.05, 0.07, 0.10, 0.11]),
            ([0.0, 0.02, 0.04, 0.06, 0.08], [0.11, 0.10, 0.07, 0.05, 0.03]),
        )
    )
    assert heterogeneity(together).q > 10 * heterogeneity(apart).q
    by_seed = np.subtract(together[0].by_seed, together[1].by_seed)
    assert heterogeneity(together).q == pytest.approx(by_seed.mean() ** 2 / (by_seed.var(ddof=1) / 5))


def test_groups_that_share_lesions_differ_more_surely() -> None:
    apart = known([0.0, 0.06], [0.03, 0.03])
    shared = np.array([[0.0, 0.0006], [0.0006, 0.0]])
    assert heterogeneity(apart, shared).q == pytest.approx(0.06**2 / (2 * 0.03**2 - 2 * 0.0006))
    assert heterogeneity(apart, shared).q > heterogeneity(apart).q


def test_equal_differences_have_nothing_to_explain() -> None:
    found = heterogeneity(known([0.02, 0.02, 0.02], [0.01, 0.02, 0.03]))
    assert (found.q, found.p_value, found.i_squared) == pytest.approx((0, 1, 0))


def test_one_group_is_refused() -> None:
    with pytest.raises(InputError, match="1 group; heterogeneity needs at least 2"):
        heterogeneity(known([0.1], [0.1]))


def judged(seed: int, effects: tuple[float, ...], photos: int = 2, seeds: int = 3) -> tuple[np.ndarray, ...]:
    """Return labels, lesions, groups and correctness (N, 2S) with a gain of its own in every group; two classes."""
    generator = np.random.default_rng(seed)
    total = 120 * len(effects)
    lesion = np.repeat(np.arange(total), photos)
    labels, groups = lesion % 2, lesion // 2 % len(effects)
    latent = (
        0.4
        + np.array([0, 1])[:, None] * np.array(effects)[groups][:, None, None]
        + generator.normal(0, 0.7, (total, 1, 1))[lesion]
        + generator.normal(0, 0.5, (total, 2, seeds))[lesion]
        + generator.normal(0, 0.1, (len(effects), 2, seeds))[groups]
    )
    return labels, lesion, groups, (latent > 0).reshape(len(lesion), 2 * seeds)


def test_groups_have_the_variance_of_the_lesion_bootstrap() -> None:
    labels, lesion, groups, correct = judged(0, (0.0, 0.3))
    lesions = Lesions.of(labels, lesion, 2)
    found = by_group(correct, labels, lesions, groups)
    for k in range(2):
        rows = groups == k
        alone = bootstrap_recalls(correct[rows], Lesions.of(labels[rows], lesion[rows], 2), resamples=6000)
        expected = alone.balanced_accuracy()
        assert found.statistics[k].values == pytest.approx(expected.values)
        assert found.statistics[k].floor == pytest.approx(expected.floor)
        assert found.statistics[k].covariance == pytest.approx(
            expected.covariance, abs=0.06 * expected.covariance.max()
        )
    assert found.covariance[:6, 6:] == pytest.approx(np.zeros((6, 6)))


def test_a_lesion_in_two_groups_binds_them() -> None:
    labels, lesion, _, correct = judged(1, (0.0, 0.0))
    found = by_group(correct, labels, Lesions.of(labels, lesion, 2), np.arange(len(lesion)) % 2)  # a photo in each
    _, shared = found.differences(TREATMENT, CONTROL)
    assert shared[0, 1] > 0.3 * shared[0, 0]


def test_a_gain_of_one_group_is_found_and_images_of_no_group_do_not_count() -> None:
    labels, lesion, groups, correct = judged(2, (0.0, 1.0, 0.0), seeds=6)
    known_groups = np.where(groups == 2, -1, groups)
    found = by_group(correct, labels, Lesions.of(labels, lesion, 2), known_groups)
    differences, shared = found.differences(list(range(6, 12)), list(range(6)))
    assert len(differences) == 2
    assert differences[1].value > 0.1 > abs(differences[0].value)
    assert heterogeneity(differences, shared).p_value < 0.01
    assert heterogeneity(differences, shared).i_squared > 0.5


def test_classes_that_a_group_lacks_are_left_out_of_all() -> None:
    labels, lesion, groups, correct = judged(3, (0.0, 0.0))
    rows = (groups == 0) | (labels == 1)
    lesions = Lesions.of(labels[rows], lesion[rows], 2)
    found = by_group(correct[rows], labels[rows], lesions, groups[rows])
    assert found.classes == (1,)
    with pytest.raises(InputError, match="no class has images in all 2 groups"):
        by_group(correct, labels, Lesions.of(labels, lesion, 2), labels)
    with pytest.raises(InputError, match="1 group of images"):
        by_group(correct, labels, Lesions.of(labels, lesion, 2), np.zeros_like(labels))


def test_without_heterogeneity_it_is_found_in_five_percent_or_less() -> None:
    trials, found = 300, 0
    for seed in range(trials):
        labels, lesion, groups, correct = judged(seed, (0.2, 0.2, 0.2), photos=1)
        differences, shared = by_group(correct, labels, Lesions.of(labels, lesion, 2), groups).differences(
            TREATMENT, CONTROL
        )
        found += heterogeneity(differences, shared).p_value < 0.05
    assert found <= stats.binom.ppf(0.995, trials, 0.05)
