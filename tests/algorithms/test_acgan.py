"""ACGAN: the layers of the paper's table, its two questions, and the dropout between them."""

from __future__ import annotations

import pytest
import torch
from tests.algorithms.toy import COLOURS, coloured, learn, make, parameters, sample, share_of_own_colour, toy_batch
from torch import nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.acgan import Acgan, AcganConfig, Discriminator, Dropout, Generator
from dermsynth.algorithms.base import Adam
from dermsynth.core.errors import InputError

TINY = {"width": 2, "latent": 4}


def test_generator_has_the_parameters_of_the_papers_layers() -> None:
    # Ten classes as in the paper: 110 -> 768 maps of 8 x 8, then 384, 256, 192 and 3 with 5 x 5 kernels.
    expected = 110 * 768 * 64 + 768 * 64
    expected += 25 * (768 * 384 + 384 * 256 + 256 * 192 + 192 * 3) + 3
    expected += 2 * (384 + 256 + 192)
    assert parameters(Generator(AcganConfig(), 128, 10)) == expected == 16_531_139


def test_discriminator_has_the_parameters_of_the_papers_layers() -> None:
    expected = 9 * 3 * 16 + 16
    expected += 9 * (16 * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 2 * (32 + 64 + 128 + 256 + 512)
    expected += 512 * 16 * 16 * 11 + 11
    assert parameters(Discriminator(AcganConfig(), 128, 10)) == expected == 3_015_563


def test_maps_have_the_sizes_that_the_papers_strides_give() -> None:
    networks = Generator(AcganConfig(width=1), 128, 2), Discriminator(AcganConfig(width=1), 128, 2)
    sides: list[list[int]] = [[], []]
    for network, seen in zip(networks, sides, strict=True):
        for layer in network.layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda _layer, _before, after, seen=seen: seen.append(after.shape[-1]))
    networks[1](networks[0](torch.zeros(2, 100), torch.tensor([0, 1])))
    assert sides == [[16, 32, 64, 128], [64, 64, 32, 32, 16, 16]]


def test_every_layer_of_the_discriminator_drops_half_of_what_it_passes_on() -> None:
    layers = list(Discriminator(AcganConfig(width=1), 32, 2).layers)
    dropping = [layer.share for layer in layers if isinstance(layer, Dropout)]
    assert dropping == [0.5] * 6


@pytest.mark.parametrize("size_px", [32, 64, 128, 256])
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = make("acgan", size_px, 3, **TINY)
    images = sample(algorithm, algorithm.networks["generator"], 4)
    assert images.shape == (4, 3, size_px, size_px)
    assert images.abs().max() <= 1


def test_discriminator_answers_both_questions_without_being_told_the_class() -> None:
    score, of_class = Discriminator(AcganConfig(**TINY), 32, 3)(torch.rand(4, 3, 32, 32))
    assert score.shape == (4,)
    assert of_class.shape == (4, 3)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(InputError, match="'mel' is the only one; train it on two classes or more, or dcgan on one"):
        make("acgan", 32, ["mel"], **TINY)


@pytest.mark.parametrize("size_px", [16, 40, 100])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"multiple of 16 px from 32 px up, not {size_px}; ingest"):
        make("acgan", size_px, 3, **TINY)


def test_both_phases_learn_as_the_paper_says() -> None:
    phases = make("acgan", 32, 2, **TINY).phases()
    assert [(phase.name, phase.every) for phase in phases] == [("discriminator", 1), ("generator", 1)]
    assert {phase.optimiser for phase in phases} == {Adam(learning_rate=2e-4, beta1=0.5, beta2=0.999)}


def test_discriminator_learns_the_class_from_real_and_from_fake_images() -> None:
    algorithm = make("acgan", 32, 3, dropout=0.0, **TINY)
    assert isinstance(algorithm, Acgan)
    batch = toy_batch(algorithm, 6)
    real, of_real = algorithm.discriminator(batch.images)
    fake, of_fake = algorithm.discriminator(algorithm.fake(batch))
    expected = losses.discriminator_cross_entropy(real, fake)
    for logits in (of_real, of_fake):
        expected = expected - logits.log_softmax(dim=1)[torch.arange(6), batch.labels].mean()
    loss, scalars = algorithm.discriminator_loss(batch)
    torch.testing.assert_close(loss, expected)
    right = (of_real.argmax(dim=1) == batch.labels).float().mean()
    torch.testing.assert_close(scalars["auxiliary_accuracy"], right)


@pytest.mark.parametrize("weight", [1.0, 0.1, 0.0])
def test_generator_is_rewarded_for_plain_classes_by_the_weight(weight: float) -> None:
    algorithm = make("acgan", 32, 3, dropout=0.0, auxiliary_weight=weight, **TINY)
    assert isinstance(algorithm, Acgan)
    batch = toy_batch(algorithm, 6)
    fake, of_fake = algorithm.discriminator(algorithm.fake(batch))
    expected = F.softplus(-fake).mean() + weight * F.cross_entropy(of_fake, batch.labels)
    torch.testing.assert_close(algorithm.generator_loss(batch)[0], expected)


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = make("acgan", 32, 3, **TINY)
    batch = toy_batch(algorithm, 6)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


@pytest.mark.parametrize("number", [0, 1])
def test_a_phases_loss_falls_when_it_steps(number: int) -> None:
    algorithm = make("acgan", 32, 3, dropout=0.0, **TINY)
    phase = algorithm.phases()[number]
    weights = list(phase.net.parameters())
    optimiser = torch.optim.Adam(weights, 1e-3)
    lost = []
    for _ in range(6):
        loss = phase.loss(toy_batch(algorithm, 12))[0]
        loss.backward(inputs=weights)
        optimiser.step()
        optimiser.zero_grad()
        lost.append(loss.item())
    assert lost[-1] < lost[0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(share: float) -> None:
    ones = torch.ones(50, 10, 20, 20)
    dropped = Dropout(share)(ones)
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert len(dropped.unique()) == 2


def test_dropout_drops_every_place_and_channel_alike_in_channels_last_memory() -> None:
    ones = torch.ones(200, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    dropped = Dropout(0.5)(ones)
    assert dropped.is_contiguous(memory_format=torch.channels_last)
    shares = (dropped == 0).float().mean(dim=0)
    assert shares.min() > 0.3
    assert shares.max() < 0.7


def test_dropout_follows_torchs_global_seed_and_rests_in_eval_mode() -> None:
    layer, x = Dropout(0.5), torch.rand(2, 3, 4, 4)
    first, second = ((torch.manual_seed(seed), layer(x))[1] for seed in (7, 7))
    assert torch.equal(first, second)
    assert layer.eval()(x) is x


def test_samples_follow_their_label_and_the_classifier_knows_real_images() -> None:
    algorithm = make("acgan", 32, 2, width=2, latent=4, dropout=0.25, learning_rate=4e-3)
    learned = learn(algorithm, 80, decay=0.9)
    labels = torch.arange(60) % 2
    images = sample(algorithm, learned.generator, labels)
    assert share_of_own_colour(images, labels, 2) > 0.95
    # Each class has moved most of the way to its colour, so neither the mean image nor one class serves for both.
    means = torch.stack([images[labels == label].mean(dim=(0, 2, 3)) for label in range(2)])
    assert (means - COLOURS[:2]).abs().mean() < 0.4
    of_class = algorithm.networks["discriminator"].eval()(coloured(labels, 32, step=999))[1]
    assert (of_class.argmax(dim=1) == labels).float().mean() > 0.95
