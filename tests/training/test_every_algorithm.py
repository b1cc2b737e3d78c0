"""What every algorithm owes the loop: a run that breaks off continues bit for bit, and its images can be drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.algorithms.tiny import SIZE_PX, TINY
from tests.helpers import make_cohort

from dermsynth.algorithms import ALGORITHMS, algorithm_class
from dermsynth.core.randomness import global_torch_seed, numpy_generator
from dermsynth.training import checkpoint
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

STEPS = 24


class _StopError(Exception):
    """Stands for anything that ends a process between two steps."""


def run(name: str, out: Path, *, stop_at: int | None = None, every_s: float = 0.0, **training: Any) -> Path:
    chosen = algorithm_class(name)
    settings = chosen.Config(**{"batch_size": 8, **TINY[name]})

    def progress(done: int, total: int) -> None:
        if stop_at is not None and done >= stop_at * settings.batch_size:
            raise _StopError

    budget = STEPS * settings.batch_size / 1000
    config = TrainConfig(budget_kimg=budget, precision="fp32", snapshots=3, checkpoint_every_s=every_s, **training)
    cohort = make_cohort((60, 400, 400), size_px=SIZE_PX[name])
    return train(cohort, chosen, settings, config, out, progress=progress)


def networks(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "networks.safetensors")[0]


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what trains an algorithm without a break, once for all tests."""
    folder = tmp_path_factory.mktemp("whole")
    return cache(lambda name: run(name, folder / name, every_s=1e9))


def test_every_algorithm_is_tested() -> None:
    assert set(TINY) == set(ALGORITHMS)


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_run_that_broke_off_continues_bit_for_bit(name: str, whole: Callable[[str], Path], tmp_path: Path) -> None:
    broken = int(numpy_generator(0, f"break {name}").integers(2, STEPS))
    with pytest.raises(_StopError):
        run(name, tmp_path / "run", stop_at=broken)
    continued = run(name, tmp_path / "run")
    ours, theirs = networks(continued), networks(whole(name))
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    assert lines(continued / "looks.jsonl") == lines(whole(name) / "looks.jsonl")


@pytest.mark.parametrize("name", sorted(TINY))
def test_every_loss_is_finite_and_the_generator_moves(name: str, whole: Callable[[str], Path]) -> None:
    history = lines(whole(name) / "history.jsonl")
    losses = [value for line in history for key, value in line.items() if key.startswith("loss_")]
    assert losses
    assert np.isfinite(losses).all()
    assert lines(whole(name) / "looks.jsonl")[-1]["change"] > 0


@pytest.mark.parametrize("name", sorted(set(TINY) - {"cyclegan"}))
def test_a_whole_share_of_a_class_is_that_class_and_half_shares_lie_between(name: str) -> None:
    chosen = algorithm_class(name)
    settings = {**TINY[name], **({"truncation": 0.5} if name == "stylegan2" else {})}
    with global_torch_seed(0, "shares"):
        algorithm = chosen(chosen.Config(**settings), SIZE_PX[name], ("a", "b", "c"))
        noise = torch.randn(4, algorithm.latent)
    generator = algorithm.networks["generator"].eval()
    for parameter in generator.parameters():
        if not parameter.any():  # behind such a layer no class shows
            torch.nn.init.normal_(parameter, 0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    with torch.no_grad():
        labels = torch.tensor([0, 1, 2, 1])
        whole = algorithm.draw(generator, noise, labels)
        shares = torch.nn.functional.one_hot(labels, 3).float()
        torch.testing.assert_close(algorithm.draw(generator, noise, shares), whole, rtol=1e-4, atol=1e-4)
        other = algorithm.draw(generator, noise, labels.roll(1))
        between = algorithm.draw(generator, noise, (shares + shares.roll(1, 0)) / 2)
    for one, another in ((whole, other), (between, whole), (between, other)):
        assert (one - another).abs().max() > 1e-5
