"""The step: phases in turn, one optimiser per network, schedules, and what is compiled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers import make_cohort
from torch import Tensor, nn

from dermsynth.algorithms.base import Algorithm, AlgorithmConfig, Batch, Phase, Sgd
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import make_fabric
from dermsynth.training.images import gather
from dermsynth.training.learner import Learner


class _Two(Algorithm):
    """Two networks with one weight each; every phase notes when it runs."""

    name = "two"
    Config = AlgorithmConfig
    latent = 1
    twice_differentiated = frozenset({"critic"})

    @classmethod
    def check(cls, config: AlgorithmConfig, size_px: int, classes: tuple[str, ...]) -> None:
        return

    def build(self) -> dict[str, nn.Module]:
        self.ran: list[str] = []
        self.generator, self.critic = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        return {"generator": self.generator, "critic": self.critic, "memory": nn.BatchNorm1d(1, affine=False)}

    def phases(self) -> list[Phase]:
        sgd = Sgd(learning_rate=0.5)
        return [
            Phase("critic", self.critic, self.note("critic"), sgd),
            Phase("penalty", self.critic, self.note("penalty"), sgd, every=4),
            Phase("generator", self.generator, self.note("generator"), sgd, every=2, schedule=lambda done: 1 - done),
        ]

    def note(self, phase: str) -> Any:
        def loss(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            self.ran.append(phase)
            total = self.generator.weight.sum() + self.critic.weight.sum()
            return total, {f"loss_{phase}": total}

        return loss


def learner(**training: Any) -> Learner:
    settings = AlgorithmConfig(batch_size=8)
    config = TrainConfig(**{"budget_kimg": 0.064, "precision": "fp32", **training})
    images = gather(make_cohort(), _Two, settings, config, None)
    return Learner(images, _Two, settings, config, make_fabric("fp32"))


def algorithm_of(trained: Learner) -> _Two:
    assert isinstance(trained.algorithm, _Two)
    return trained.algorithm


def test_phases_run_in_their_order_and_in_their_steps() -> None:
    trained = learner()
    for number in range(4):
        trained.step(number)
    ran = algorithm_of(trained).ran
    assert ran == ["critic", "critic", "generator", "critic", "critic", "penalty", "generator"]


def test_a_phase_moves_its_own_network_alone() -> None:
    trained = learner()
    before = algorithm_of(trained).generator.weight.clone()
    trained.step(0)  # the critic's turn, although the loss depends on the generator too
    assert torch.equal(algorithm_of(trained).generator.weight, before)
    assert algorithm_of(trained).generator.weight.grad is None


def test_phases_of_one_network_share_its_optimiser() -> None:
    assert set(learner().optimisers) == {"critic", "generator"}


def test_the_learning_rate_follows_the_schedule_and_the_factor() -> None:
    trained = learner()
    trained.learning_rate_factor = 0.5
    weight = algorithm_of(trained).generator.weight
    before = weight.item()
    trained.step(3)  # 24 of 64 images seen; the gradient is 1
    assert before - weight.item() == pytest.approx(0.5 * 0.5 * (1 - 24 / 64))


@pytest.mark.parametrize(("how", "mode"), [("default", "default"), ("graphs", "reduce-overhead")])
def test_networks_are_compiled_unless_their_gradients_are_differentiated(
    how: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[tuple[nn.Module, str]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, mode: compiled.append((self, mode)))
    trained = learner(compile=how)
    assert compiled == [(algorithm_of(trained).generator, mode)]


def test_nothing_is_compiled_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", lambda *args, **kwargs: pytest.fail("compiled"))
    learner()
