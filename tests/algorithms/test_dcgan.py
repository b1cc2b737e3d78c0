"""DCGAN: the layers of paper 003, counted by hand, and the condition."""

from __future__ import annotations

import pytest
import torch

from dermsynth.algorithms import algorithm_class
from dermsynth.algorithms.base import Batch
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def batch_for(algorithm: Dcgan, n: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 3, algorithm.size_px, algorithm.size_px, generator=generator) * 2 - 1
    labels = torch.arange(n) % algorithm.classes
    return Batch(images, labels, torch.randn(n, algorithm.latent, generator=generator))


def test_generator_of_the_paper_has_the_parameters_of_its_layers() -> None:
    # 128 -> 4x4x512, then 512 -> 256 -> 128 -> 64 -> 3 with 5x5 kernels; two numbers per batch-normed map; output bias.
    expected = 128 * 512 * 16
    expected += 25 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 3
    expected += 2 * (512 + 256 + 128 + 64)
    assert parameters(Dcgan(DcganConfig(), 64, 1).generator) == expected


def test_discriminator_of_the_paper_has_the_parameters_of_its_layers() -> None:
    expected = 25 * 3 * 64 + 64
    expected += 25 * (64 * 128 + 128 * 256 + 256 * 512) + 2 * (128 + 256 + 512)
    expected += 512 * 16 + 1
    assert parameters(Dcgan(DcganConfig(), 64, 1).discriminator) == expected


@pytest.mark.parametrize("size_px", [16, 32, 64, 128])
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = Dcgan(DcganConfig(width=2), size_px, 3)
    images = algorithm.fake(batch_for(algorithm))
    assert images.shape == (4, 3, size_px, size_px)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("size_px", [8, 48, 60, 100])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"16, 32, 64, 128, … px, not {size_px}"):
        Dcgan(DcganConfig(width=2), size_px, 3)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match="'kernel_px' is 4: choose an odd number"):
        parse(DcganConfig, {"kernel_px": 4}, "settings")


def test_the_label_changes_the_image_and_the_score() -> None:
    algorithm = Dcgan(DcganConfig(width=2), 16, 3)
    algorithm.generator.eval()
    noise, images = torch.ones(3, algorithm.latent), torch.ones(3, 3, 16, 16)
    made = algorithm.generator(noise, torch.arange(3))
    assert not torch.allclose(made[0], made[1])
    scores = algorithm.discriminator(images, torch.arange(3))
    assert len(scores.unique()) == 3


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = Dcgan(DcganConfig(width=2), 16, 3)
    batch = batch_for(algorithm)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


def test_the_discriminators_loss_falls_when_it_steps() -> None:
    algorithm = Dcgan(DcganConfig(width=4, learning_rate=1e-3), 16, 3)
    batch = batch_for(algorithm, 16)
    optimiser = torch.optim.Adam(algorithm.discriminator.parameters(), 1e-3)
    first = algorithm.discriminator_loss(batch)[0]
    for _ in range(5):
        loss = algorithm.discriminator_loss(batch)[0]
        loss.backward(inputs=list(algorithm.discriminator.parameters()))
        optimiser.step()
        optimiser.zero_grad()
    assert algorithm.discriminator_loss(batch)[0] < first


def test_both_phases_share_one_forward_pass_of_the_generator() -> None:
    algorithm = Dcgan(DcganConfig(width=2), 16, 3)
    batch = batch_for(algorithm)
    assert algorithm.fake(batch) is algorithm.fake(batch)


def test_a_misspelt_algorithm_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown algorithm 'dcgna'; did you mean 'dcgan'"):
        algorithm_class("dcgna")
