"""What a run would take, from a few steps of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.errors import InputError
from dermsynth.training.config import TrainConfig
from dermsynth.training.estimate import estimate

SETTINGS = DcganConfig(width=4, batch_size=8)
CONFIG = TrainConfig(budget_kimg=4.0, precision="fp32", snapshots=2)


def test_it_counts_parameters_steps_images_and_bytes() -> None:
    found = estimate(make_cohort((80, 160, 320)), Dcgan, SETTINGS, CONFIG)
    algorithm = Dcgan(SETTINGS, 16, ("a", "b", "c"))
    generator, discriminator = (
        sum(p.numel() for p in algorithm.networks[name].parameters()) for name in ("generator", "discriminator")
    )
    assert found.parameters == {"generator": generator, "discriminator": discriminator}
    assert found.steps == 500
    assert sum(found.fitted.values()) + found.held_out == 280
    # Weights, two moments of Adam, and the averaged generator, in float32; statistics and counters come on top.
    weights = 4 * (3 * (generator + discriminator) + generator)
    assert weights < found.held_bytes < 1.1 * weights


def test_the_whole_is_its_steps_and_looks() -> None:
    found = estimate(make_cohort((80, 160, 320)), Dcgan, SETTINGS, CONFIG)
    assert found.total_s == pytest.approx(500 * found.step_s + 2 * found.look_s)
    assert found.step_s > 0


def test_what_a_run_would_refuse_is_refused() -> None:
    with pytest.raises(InputError, match=r"makes 16, 32, 64, 128, … px, not 24"):
        estimate(make_cohort(size_px=24), Dcgan, SETTINGS, CONFIG)


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    estimate(make_cohort(), Dcgan, SETTINGS, CONFIG)
    assert list(tmp_path.iterdir()) == []
