"""Rates and momenta of every step, against torch's own schedulers; which parts move, and how far."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.schedule import factors_of_parts, head_steps, turn


def config(steps: int, **settings: object) -> FitConfig:
    return FitConfig(budget_kimg=steps * 16 / 1000, batch_size=16, **settings)


@pytest.mark.parametrize("steps", [10, 37, 250])
def test_one_cycle_is_torchs(steps: int) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.3, total_steps=steps)
    chosen = config(steps, schedule="one-cycle", learning_rate=0.3)
    for step in range(steps):
        found, group = turn(chosen, step), optimiser.param_groups[0]
        assert found.learning_rate == pytest.approx(group["lr"], rel=1e-9)
        assert found.momentum == pytest.approx(group["momentum"], rel=1e-12)
        optimiser.step()
        if step + 1 < steps:
            scheduler.step()


def test_the_half_cosine_is_torchs() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20)
    for step in range(20):
        assert turn(config(20, learning_rate=0.3), step).learning_rate == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", ["cosine", "constant", "one-cycle"])
@given(steps=st.integers(1, 60), head_first=st.sampled_from([0.0, 0.01, 0.3, 0.99]))
def test_no_rate_is_zero_or_above_the_highest_however_few_steps(schedule: str, steps: int, head_first: float) -> None:
    chosen = config(steps, schedule=schedule, learning_rate=0.1, head_first=head_first)
    rates = [turn(chosen, step).learning_rate for step in range(steps)]
    assert min(rates) > 0
    assert max(rates) <= 0.1 * (1 + 1e-12)


@given(steps=st.integers(2, 60), head_first=st.floats(0.001, 0.999))
def test_the_head_learns_alone_first_and_then_all_learn(steps: int, head_first: float) -> None:
    chosen = config(steps, head_first=head_first)
    alone = [turn(chosen, step).head_only for step in range(steps)]
    assert alone == sorted(alone, reverse=True)
    assert 1 <= sum(alone) == head_steps(chosen) < steps


def test_both_stages_run_through_the_schedule() -> None:
    chosen = config(40, schedule="one-cycle", head_first=0.25, learning_rate=1.0)
    rates = [turn(chosen, step).learning_rate for step in range(40)]
    for stage in (rates[:10], rates[10:]):
        assert stage[0] == pytest.approx(1 / 25, abs=0.01)
        assert max(stage) > 0.9
        assert stage[-1] < 1e-5


def test_rates_of_parts_are_a_geometric_series_that_ends_at_the_head() -> None:
    factors = factors_of_parts(5, 100.0)
    assert factors[0] == pytest.approx(0.01)
    assert factors[-1] == 1
    np.testing.assert_allclose(np.diff(np.log(factors)), np.log(100) / 4)
    assert factors_of_parts(3, 1.0) == [1, 1, 1]
    assert factors_of_parts(1, 100.0) == [1]
