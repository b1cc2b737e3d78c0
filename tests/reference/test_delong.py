"""DeLong's areas and covariance against MLstatkit, scikit-learn, the plain double sum, and a bootstrap of lesions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from sklearn.metrics import roc_auc_score

from dermsynth.core.errors import InputError
from dermsynth.metrics.delong import delong


def ranked(seed: int, n: int = 120, fits: int = 2, photos: int = 1, digits: int = 2) -> tuple[np.ndarray, ...]:
    """Return positive (N,), scores (F, N) with ties, lesions (N,); fits agree on lesions more than by chance."""
    generator = np.random.default_rng(seed)
    lesion = np.repeat(np.arange(n), photos)
    positive = (np.arange(n) % 4 == 0)[lesion]
    score = positive + generator.normal(0, 0.8, n)[lesion] + generator.normal(0, 0.6, (fits, len(lesion)))
    return positive, score.round(digits), lesion


@pytest.mark.parametrize("digits", [6, 1, 0])
@pytest.mark.parametrize("seed", range(4))
def test_areas_and_p_value_are_those_of_mlstatkit(seed: int, digits: int) -> None:
    positive, scores, _ = ranked(seed, digits=digits)
    areas, covariance = delong(positive, scores)
    z, _, _, _, area_a, area_b, info = Delong_test(positive.astype(int), *scores)
    assert info["method"] == "delong"
    assert areas == pytest.approx([area_a, area_b])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert variance == pytest.approx(info["var_diff"])
    assert (areas[1] - areas[0]) / np.sqrt(variance) == pytest.approx(z)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 60), st.integers(0, 3))
def test_areas_are_those_of_scikit_learn_ties_included(seed: int, n: int, digits: int) -> None:
    positive, scores, _ = ranked(seed, n=n, fits=3, digits=digits)
    areas, covariance = delong(positive, scores)
    assert areas == pytest.approx([roc_auc_score(positive, one) for one in scores])
    assert covariance == pytest.approx(covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


def test_the_clustered_covariance_is_obuchowskis_double_sum() -> None:
    generator = np.random.default_rng(5)
    n = 60
    lesion, positive = generator.integers(0, 20, n), generator.random(n) < 0.4  # lesions with photos on both sides
    scores = (positive + generator.normal(0, 1, (2, n))).round(1)
    wins = (scores[:, positive, None] > scores[:, None, ~positive]) + 0.5 * (
        scores[:, positive, None] == scores[:, None, ~positive]
    )
    area = wins.mean(axis=(1, 2))
    x = np.zeros((2, 20))
    y = np.zeros((2, 20))
    for g in range(20):
        x[:, g] = (wins.mean(axis=2) - area[:, None])[:, lesion[positive] == g].sum(axis=1)
        y[:, g] = (wins.mean(axis=1) - area[:, None])[:, lesion[~positive] == g].sum(axis=1)
    i10, i01, i = (len(np.unique(lesion[rows])) for rows in (positive, ~positive, np.ones(n, bool)))
    m, k = positive.sum(), (~positive).sum()
    s10, s01, s11 = i10 / (i10 - 1) / m * x @ x.T, i01 / (i01 - 1) / k * y @ y.T, i / (i - 1) * x @ y.T
    areas, covariance = delong(positive, scores, lesion)
    assert areas == pytest.approx(area)
    assert covariance == pytest.approx(s10 / m + s01 / k + (s11 + s11.T) / (m * k))


def test_the_variance_is_that_of_a_bootstrap_of_lesions() -> None:
    positive, scores, lesion = ranked(1, n=160, photos=2)
    _, covariance = delong(positive, scores, lesion)
    times = np.random.default_rng(0).multinomial(160, np.full(160, 1 / 160), size=2000)[:, lesion]
    wins = (scores[:, positive, None] > scores[:, None, ~positive]) + 0.5 * (
        scores[:, positive, None] == scores[:, None, ~positive]
    )
    won = np.einsum("rp,fpn,rn->rf", times[:, positive], wins, times[:, ~positive], optimize=True)
    drawn = won / (times[:, positive].sum(axis=1) * times[:, ~positive].sum(axis=1))[:, None]
    assert np.sqrt(np.diag(covariance)) == pytest.approx(np.std(drawn, axis=0), rel=0.08)
    assert covariance[0, 1] == pytest.approx(np.cov(drawn.T)[0, 1], rel=0.2)


def test_copies_of_a_photo_are_no_new_evidence() -> None:
    positive, scores, lesion = ranked(2)
    once = delong(positive, scores, lesion)
    four = delong(np.repeat(positive, 4), np.repeat(scores, 4, axis=1), np.repeat(lesion, 4))
    assert four[0] == pytest.approx(once[0])
    assert four[1] == pytest.approx(once[1])
    as_if_independent = delong(np.repeat(positive, 4), np.repeat(scores, 4, axis=1))[1]
    assert (np.diag(as_if_independent) < 0.3 * np.diag(once[1])).all()


def test_too_few_lesions_are_refused() -> None:
    with pytest.raises(InputError, match=r"^1 positive and 2 negative lesions; the variance of an area needs 2"):
        delong(np.array([True, True, False, False]), np.zeros((1, 4)), np.array([0, 0, 1, 2]))


def test_a_score_that_is_no_number_is_refused_by_its_place() -> None:
    scores = np.zeros((2, 4))
    scores[1, 2] = np.nan
    with pytest.raises(InputError, match="image 2 by classifier 1 is no number"):
        delong(np.array([True, True, False, False]), scores)
