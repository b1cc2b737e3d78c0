"""A classifier learns and predicts in the precision asked for; its weights stay in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers import make_cohort
from torch import nn

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.core.artefacts import read_card
from dermsynth.training.device import Precision


@pytest.mark.parametrize(
    ("precision", "dtype", "recorded"),
    [("bf16", torch.bfloat16, "bf16-mixed"), ("fp32", torch.float32, "32-true")],
)
def test_a_fit_learns_and_predicts_in_the_precision_asked_for_and_records_it(
    tmp_path: Path, precision: Precision, dtype: torch.dtype, recorded: str
) -> None:
    found = set()

    def note(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            found.add(("learns" if layer.training else "predicts", out.dtype, layer.weight.dtype))

    cohort = make_cohort()
    config = FitConfig(width=2, batch_size=8, budget_kimg=0.02, evaluations=1, precision=precision)
    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        fit(cohort.part("train"), cohort.part("val"), cohort.part("test"), config, tmp_path / "fit")
    finally:
        hook.remove()
    assert found == {("learns", dtype, torch.float32), ("predicts", dtype, torch.float32)}
    assert read_card(tmp_path / "fit", "fit")["precision"] == recorded
