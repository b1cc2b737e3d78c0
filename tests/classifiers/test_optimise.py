"""Which weights an optimiser moves, how far, and which rest."""

from __future__ import annotations

import pytest
import torch

from dermsynth.classifiers import build
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.optimise import Mover
from dermsynth.classifiers.schedule import Turn
from dermsynth.core.randomness import global_torch_seed

ALL, HEAD = Turn(0.1, 0.0, head_only=False), Turn(0.1, 0.0, head_only=True)
SGD = FitConfig(width=4, recipe="plain-sgd", learning_rate=0.1)


def network() -> Network:
    with global_torch_seed(0, "init"):
        return build(SGD, 3, 16)


def moved(config: FitConfig, *turns: Turn) -> dict[str, float]:
    """Return how far every weight and buffer has moved after these steps, over its gradient of ones if it has one."""
    made = network()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    mover = Mover(made, config)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for turn in turns:
        mover.set(turn)
        made(images).sum().backward()
        for parameter in made.parameters():
            if parameter.grad is not None:
                parameter.grad.fill_(1.0)
        mover.step()
    return {name: (tensor - before[name]).abs().double().mean().item() for name, tensor in made.state_dict().items()}


def test_each_part_moves_at_its_own_rate() -> None:
    found = moved(SGD.changed(rate_span=16.0), ALL)
    rates = [found[f"backbone.layers.{number}.0.weight"] for number in range(4)] + [found["head.weight"]]
    assert rates == pytest.approx([0.1 / 16, 0.1 / 8, 0.1 / 4, 0.1 / 2, 0.1], rel=1e-4)


def test_a_resting_part_keeps_its_weights_while_its_batch_norm_goes_on() -> None:
    found = moved(SGD, HEAD)
    assert [name for name, distance in found.items() if distance == 0] == [
        f"backbone.layers.{number}.0.weight" for number in range(4)
    ]
    assert found["backbone.layers.0.2.running_mean"] > 0
    assert found["head.weight"] == pytest.approx(0.1, rel=1e-4)


def test_a_part_that_rested_learns_afterwards() -> None:
    assert moved(SGD, HEAD, ALL)["backbone.layers.0.0.weight"] == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_biases_and_scales_of_norms_do_not_decay(optimiser: str) -> None:
    made = network()
    mover = Mover(made, SGD.changed(optimiser=optimiser, weight_decay=0.5))
    before = {name: tensor.detach().clone() for name, tensor in made.named_parameters()}
    mover.set(ALL)
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    mover.step()
    for name, tensor in made.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if tensor.ndim > 1 else before[name]
        torch.testing.assert_close(tensor.detach(), expected)


def test_weights_that_do_not_learn_when_it_is_made_never_do() -> None:
    made = network()
    made.backbone.requires_grad_(False)
    mover = Mover(made, SGD)
    mover.set(ALL)
    assert [name for name, parameter in made.named_parameters() if parameter.requires_grad] == [
        "head.weight",
        "head.bias",
    ]


@pytest.mark.parametrize(("optimiser", "entry"), [("adam", "betas"), ("sgd", "momentum")])
def test_the_momentum_is_set(optimiser: str, entry: str) -> None:
    mover = Mover(network(), SGD.changed(optimiser=optimiser))
    mover.set(Turn(0.1, 0.85, head_only=False))
    found = mover.optimiser.param_groups[0][entry]
    assert (found[0] if optimiser == "adam" else found) == 0.85
