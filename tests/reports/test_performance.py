"""Curves and areas of a report, against scikit-learn and against their definitions."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from dermsynth.reports.evidence import Evidence, read_trial
from dermsynth.reports.exhibits import Data
from dermsynth.reports.performance import performance


@pytest.fixture(scope="module")
def evidence(finished_trial: Path) -> Evidence:
    return read_trial(finished_trial)


@pytest.fixture(scope="module")
def shown(evidence: Evidence) -> dict[str, object]:
    return performance(evidence)


def rows_of(data: Data) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(base64.b64decode(data.url.partition("base64,")[2]).decode())))


def predictions(evidence: Evidence, arm: str, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (is of the class, probability of it) of every seed."""
    number = evidence.verdict["classes"].index(name)
    fits = [evidence.fits[arm][seed].predictions for seed in evidence.seeds]
    return [(one.labels == number, one.probabilities[:, number]) for one in fits]


def test_roc_curves_are_the_mean_of_the_seeds_and_their_range(evidence: Evidence, shown: dict) -> None:
    found = [row for row in rows_of(shown["roc"].data) if (row["class"], row["arm"]) == ("mel", "hybrid")]
    at = np.array([float(row["false_positive_rate"]) for row in found])
    each = [np.interp(at, *metrics.roc_curve(*one)[:2]) for one in predictions(evidence, "hybrid", "mel")]
    for column, expected in (("sensitivity", np.mean(each, 0)), ("lowest_seed", np.min(each, 0))):
        np.testing.assert_allclose([float(row[column]) for row in found], expected, atol=1e-5)


def test_precision_is_that_of_the_fewest_calls_that_reach_the_recall(evidence: Evidence, shown: dict) -> None:
    found = [row for row in rows_of(shown["precision"].data) if (row["class"], row["arm"]) == ("bcc", "oversampled")]
    for row in found[::10]:
        wanted, each = float(row["recall"]), []
        for positive, values in predictions(evidence, "oversampled", "bcc"):
            limits = np.unique(values)[::-1]
            called = next(
                values >= limit for limit in limits if positive[values >= limit].sum() >= wanted * positive.sum() - 1e-9
            )
            each.append(positive[called].mean())
        assert float(row["precision"]) == pytest.approx(np.mean(each), abs=1e-5)


@pytest.mark.parametrize(
    ("measure", "score"), [("auc", metrics.roc_auc_score), ("average_precision", metrics.average_precision_score)]
)
def test_areas_are_those_of_scikit_learn(evidence: Evidence, shown: dict, measure: str, score: object) -> None:
    found = {(row["measure"], row["class"]): row for row in rows_of(shown["areas"]["data"])}
    for name in evidence.verdict["classes"]:
        row = found[measure, name]
        means = [
            np.mean([score(*one) for one in predictions(evidence, arm, name)])  # type: ignore[operator]
            for arm in ("hybrid", "oversampled")
        ]
        assert float(row["treatment"]) == pytest.approx(means[0], abs=1e-5)
        assert float(row["difference"]) == pytest.approx(means[0] - means[1], abs=1e-5)
        assert float(row["treatment_low"]) <= means[0] <= float(row["treatment_high"])


def test_net_benefit_is_hits_less_needless_calls_at_the_odds(evidence: Evidence, shown: dict) -> None:
    found = rows_of(shown["benefit"]["figure"].data)
    row = next(r for r in found if (r["class"], r["arm"], r["threshold"]) == ("nv", "hybrid", "0.2"))
    each = [
        (positive & (values >= 0.2)).mean() - (~positive & (values >= 0.2)).mean() * 0.2 / 0.8
        for positive, values in predictions(evidence, "hybrid", "nv")
    ]
    assert float(row["net_benefit"]) == pytest.approx(np.mean(each), abs=1e-5)


def test_reliability_adds_up_to_the_accuracy(evidence: Evidence, shown: dict) -> None:
    found = [row for row in rows_of(shown["reliability"]["figure"].data) if row["arm"] == "hybrid"]
    right = np.mean([float(row["share_right"]) for row in found])
    assert right == pytest.approx(evidence.verdict["arms"]["hybrid"]["accuracy"]["mean"], abs=0.03)
    assert all(float(row["low"]) <= float(row["share_right"]) <= float(row["high"]) for row in found)


def test_only_areas_whose_interval_excludes_0_are_told(shown: dict) -> None:
    rows = rows_of(shown["areas"]["data"])
    apart = [row for row in rows if float(row["difference_low"]) > 0 or float(row["difference_high"]) < 0]
    assert len(shown["areas"]["told"]) == len(apart)
