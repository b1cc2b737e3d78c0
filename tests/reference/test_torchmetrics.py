"""Scores against torchmetrics, where scikit-learn has none or has it with other conventions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.metrics.guessed import guessed
from torchmetrics.functional import classification as theirs

from dermsynth.metrics import calibration, ranking, scores, tables


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("n_bins", [1, 5, 10, 15])
def test_calibration_errors_also_at_edges_of_bins(decimals: int | None, n_bins: int) -> None:
    labels, _, (probabilities,) = guessed(decimals=decimals, seed=n_bins)
    expected = theirs.multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), num_classes=3, n_bins=n_bins
    )
    assert calibration.calibration_error(labels, probabilities, n_bins=n_bins) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_specificity_kappa_matthews_and_f1() -> None:
    labels, _, (probabilities,) = guessed(seed=3)
    table = scores.confusion_matrix(labels, scores.predicted_classes(probabilities), 3)
    given, target, each = torch.tensor(probabilities), torch.tensor(labels), tables.one_vs_rest(table)
    assert each.specificity == pytest.approx(theirs.multiclass_specificity(given, target, 3, average=None).numpy())
    assert each.f1 == pytest.approx(theirs.multiclass_f1_score(given, target, 3, average=None).numpy())
    assert tables.kappa(table) == pytest.approx(float(theirs.multiclass_cohen_kappa(given, target, 3)), abs=1e-6)
    assert tables.matthews(table) == pytest.approx(
        float(theirs.multiclass_matthews_corrcoef(given, target, 3)), abs=1e-6
    )


@pytest.mark.parametrize("decimals", [None, 1])
def test_areas(decimals: int | None) -> None:
    labels, _, (probabilities,) = guessed(decimals=decimals, seed=4)
    given, target = torch.tensor(probabilities), torch.tensor(labels)
    roc = theirs.multiclass_auroc(given, target, 3, average=None).numpy()
    precision = theirs.multiclass_average_precision(given, target, 3, average=None).numpy()
    for c in range(3):
        found = ranking.Ranking.of(labels == c, probabilities[:, c]).areas(np.ones((len(labels), 1)))
        assert (found[0][0], found[1][0]) == pytest.approx((roc[c], precision[c]), abs=1e-6)
