"""The averaged network against the formula, written out: average += (live - average) (1 - 0.5^(batch / half-life))."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dermsynth.training.ema import Average


def filled(value: float) -> nn.Sequential:
    """Return a network with batch normalisation whose every number is `value`, statistics included."""
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    set_all(network, value)
    return network


@torch.no_grad()
def set_all(network: nn.Module, value: float) -> None:
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.fill_(value)


def after(updates: list[tuple[int, int]], halflife_kimg: float, pick: Callable[[nn.Module], Tensor]) -> Tensor:
    """Return a tensor of the average that starts at 0 and follows a network of ones through (images seen, batch)."""
    network = filled(0.0)
    average = Average(network, halflife_kimg)
    set_all(network, 1.0)
    for images_seen, batch_size in updates:
        average.update(images_seen, batch_size)
    return pick(average.network)


def weight(network: nn.Module) -> Tensor:
    return network.get_parameter("0.weight")


@pytest.mark.parametrize("batch_size", [8, 64, 500])
def test_after_the_warm_up_the_distance_halves_once_per_half_life(batch_size: int) -> None:
    seen = 10**6  # a tenth of it is far beyond the half-life of 2,000 images
    moved = after([(seen, batch_size)], 2.0, weight)
    torch.testing.assert_close(moved, torch.full_like(moved, 1 - 0.5 ** (batch_size / 2000)))


@pytest.mark.parametrize("images_seen", [64, 640, 6400])
def test_in_the_warm_up_the_half_life_is_a_tenth_of_the_images_seen(images_seen: int) -> None:
    moved = after([(images_seen, 64)], 1000.0, weight)
    torch.testing.assert_close(moved, torch.full_like(moved, 1 - 0.5 ** (64 / (0.1 * images_seen))))


def test_the_warm_up_ends_where_a_tenth_of_the_images_is_the_half_life() -> None:
    before, at, beyond = (float(after([(seen, 64)], 2.0, weight)[0, 0]) for seen in (10_000, 20_000, 40_000))
    assert before > at
    assert at == beyond == pytest.approx(1 - 0.5 ** (64 / 2000))


def test_steps_follow_one_another() -> None:
    moved = after([(seen, 100) for seen in (100, 200, 10**6)], 1.0, weight)
    left = 0.5 ** (100 / 10) * 0.5 ** (100 / 20) * 0.5 ** (100 / 1000)
    torch.testing.assert_close(moved, torch.full_like(moved, 1 - left))


@pytest.mark.parametrize("name", ["1.running_mean", "1.running_var"])
def test_batch_norm_statistics_are_averaged_like_weights(name: str) -> None:
    moved = after([(10**6, 500)], 1.0, lambda network: network.get_buffer(name))
    torch.testing.assert_close(moved, torch.full_like(moved, 1 - 0.5**0.5))


def test_it_starts_as_the_network_is() -> None:
    network = filled(0.25)
    average = Average(network, 1.0)
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    set_all(network, 1.0)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in average.network.state_dict().items())


def test_the_live_network_is_not_moved() -> None:
    network = filled(0.0)
    average = Average(network, 1.0)
    set_all(network, 1.0)
    average.update(1000, 64)
    assert all(torch.equal(tensor, torch.ones_like(tensor)) for tensor in network.state_dict().values())


def test_the_average_is_for_sampling_not_for_training() -> None:
    network = filled(0.0)
    average = Average(network.train(), 1.0).network
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
