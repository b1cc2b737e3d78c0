"""Counted randomness: a draw depends on seed, purpose and step, and on nothing else."""

from __future__ import annotations

import torch

from dermsynth.core.randomness import global_torch_seed, key, numpy_generator, seed_layers, torch_generator


def test_the_same_key_gives_the_same_draw() -> None:
    assert numpy_generator(1, "noise", 5).integers(1 << 40) == numpy_generator(1, "noise", 5).integers(1 << 40)
    first, second = (torch.rand(3, generator=torch_generator(1, "noise", 5)) for _ in range(2))
    assert torch.equal(first, second)


def test_seed_purpose_and_step_each_change_the_draw() -> None:
    keys = {key(0, "noise", 0), key(1, "noise", 0), key(0, "feed", 0), key(0, "noise", 1)}
    assert len(keys) == 4


def test_keys_stay_the_same_between_versions_and_machines() -> None:
    assert (key(0, "noise"), key(7, "split nv", 3)) == (1796724017468059230, 3995015907528473645)


def test_a_key_fits_every_generator() -> None:
    assert all(0 <= key(seed, "noise", seed) < 2**63 for seed in range(200))


def test_drawing_leaves_the_global_generators_alone() -> None:
    before = torch.random.get_rng_state()
    torch.rand(3, generator=torch_generator(0, "noise"))
    with global_torch_seed(0, "weights"):
        torch.rand(3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_global_generator_starts_from_the_key_inside_the_block() -> None:
    draws = []
    for _ in range(2):
        with global_torch_seed(3, "weights"):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)


def test_layers_draw_as_after_torchs_own_seeding() -> None:
    before = torch.random.get_rng_state()
    try:
        torch.manual_seed(key(3, "layers", 7))
        expected = torch.rand(4)
        seed_layers(key(3, "layers", 7), torch.device("cpu"))
        assert torch.equal(torch.rand(4), expected)
    finally:
        torch.random.set_rng_state(before)
