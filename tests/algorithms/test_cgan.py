"""Conditional GAN: what the discriminator is told of the class, and its options."""

from __future__ import annotations

import pytest
import torch
from tests.algorithms import toy
from tests.algorithms.toy import learn, make, parameters, sample, share_of_own_colour, toy_batch
from tests.algorithms.two_by_two import found, two_by_two
from torch import nn

from dermsynth.algorithms import losses
from dermsynth.algorithms.base import Adam, Sgd
from dermsynth.algorithms.cgan import Cgan, CganConfig, Discriminator
from dermsynth.algorithms.dcgan import DcganConfig
from dermsynth.algorithms.dcgan import Discriminator as DcganDiscriminator
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError

TINY = {"width": 2, "latent": 4}


def test_generator_is_dcgans() -> None:
    ours, theirs = (make(name, classes=3, **TINY).networks["generator"].state_dict() for name in ("cgan", "dcgan"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_concatenated_labels_add_a_map_each_to_the_first_kernel() -> None:
    plain = parameters(DcganDiscriminator(DcganConfig(), 64, 0))
    assert parameters(Discriminator(CganConfig(), 64, 7)) - plain == 7 * 25 * 64


def test_projected_labels_add_a_vector_each_of_the_last_layers_maps() -> None:
    plain = parameters(DcganDiscriminator(DcganConfig(), 64, 0))
    assert parameters(Discriminator(CganConfig(conditioning="projection"), 64, 7)) - plain == 7 * 512


def test_the_label_map_of_an_image_is_that_of_its_class() -> None:
    discriminator = Discriminator(CganConfig(**TINY), 16, 3)
    seen: list[torch.Tensor] = []
    discriminator.layers.register_forward_pre_hook(lambda _net, arguments: seen.append(arguments[0]))
    images = torch.rand(2, 3, 16, 16)
    discriminator(images, torch.tensor([2, 0]))
    assert torch.equal(seen[0][:, :3], images)
    assert seen[0][:, 3:].mean(dim=(2, 3)).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_projection_adds_the_inner_product_of_class_and_summed_maps() -> None:
    # Miyato and Koyama 2018, equation 3.
    discriminator = Discriminator(CganConfig(conditioning="projection", **TINY), 16, 3)
    images, labels = torch.rand(2, 3, 16, 16), torch.tensor([2, 0])
    maps = discriminator.layers(images)
    expected = discriminator.score(maps.flatten(1)).squeeze(1)
    assert discriminator.class_score is not None
    expected = expected + (discriminator.class_score.weight[labels] * maps.sum(dim=(2, 3))).sum(dim=1)
    torch.testing.assert_close(discriminator(images, labels), expected)


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_label_changes_the_image_and_the_score(conditioning: str, spectral_norm: bool) -> None:
    algorithm = make("cgan", classes=3, conditioning=conditioning, spectral_norm=spectral_norm, **TINY)
    made = algorithm.networks["generator"].eval()(torch.ones(3, 4), torch.arange(3))
    assert not torch.allclose(made[0], made[1])
    scores = algorithm.networks["discriminator"](torch.ones(3, 3, 16, 16), torch.arange(3))
    assert len(scores.unique()) == 3


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
def test_spectral_norm_bounds_every_layer_and_replaces_batch_norm(conditioning: str) -> None:
    discriminator = Discriminator(CganConfig(spectral_norm=True, conditioning=conditioning, **TINY), 16, 3)
    images, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    for _ in range(50):  # one power iteration each
        discriminator(images, labels)
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert norms == pytest.approx([1.0] * (4 if conditioning == "projection" else 3), rel=1e-3)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())


@pytest.mark.parametrize("size_px", [16, 64, 128])
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = make("cgan", size_px, 3, **TINY)
    images = sample(algorithm, algorithm.networks["generator"], 4)
    assert images.shape == (4, 3, size_px, size_px)
    assert images.abs().max() <= 1


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(InputError, match="'mel' is the only one; train it on two classes or more, or dcgan on one"):
        make("cgan", classes=["mel"], **TINY)


def test_a_size_the_network_cannot_make_is_refused() -> None:
    with pytest.raises(
        InputError, match="cgan doubles 4 px up to the image size, so it makes 16, 32, 64, 128, … px, not 48"
    ):
        make("cgan", 48, 3, **TINY)


def test_another_conditioning_is_refused() -> None:
    with pytest.raises(ConfigError, match="'conditioning' is 'film'"):
        parse(CganConfig, {"conditioning": "film"}, "settings")


def test_each_player_has_its_own_learning_rate() -> None:
    rates = {"learning_rate": 1e-4, "discriminator_learning_rate": 4e-4}
    phases = make("cgan", classes=2, **rates, **TINY).phases()
    assert [phase.name for phase in phases] == ["discriminator", "generator"]
    assert [phase.optimiser for phase in phases] == [
        Adam(learning_rate=4e-4, beta1=0.5),
        Adam(learning_rate=1e-4, beta1=0.5),
    ]
    sgd = make("cgan", classes=2, optimiser="sgd", **rates, **TINY).phases()[0].optimiser
    assert sgd == Sgd(learning_rate=4e-4, momentum=0.5)


def test_hinge_loss_is_that_of_both_players() -> None:
    algorithm = make("cgan", classes=2, loss="hinge", **TINY)
    assert isinstance(algorithm, Cgan)
    batch = toy_batch(algorithm, 4)
    real = algorithm.discriminator(batch.images, batch.labels)
    fake = algorithm.discriminator(algorithm.fake(batch), batch.labels)
    torch.testing.assert_close(algorithm.discriminator_loss(batch)[0], losses.discriminator_hinge(real, fake))
    torch.testing.assert_close(algorithm.generator_loss(batch)[0], losses.generator_hinge(fake))


@pytest.mark.parametrize("options", [{}, {"conditioning": "projection", "loss": "hinge", "spectral_norm": True}])
@pytest.mark.parametrize("number", [0, 1])
def test_a_phases_loss_falls_when_it_steps(number: int, options: dict[str, object]) -> None:
    algorithm = make("cgan", classes=3, width=4, latent=4, **options)
    phase = algorithm.phases()[number]
    weights = list(phase.net.parameters())
    optimiser = torch.optim.Adam(weights, 1e-3)
    lost = []
    for _ in range(6):
        loss = phase.loss(toy_batch(algorithm, 16))[0]
        loss.backward(inputs=weights)
        optimiser.step()
        optimiser.zero_grad()
        lost.append(loss.item())
    assert lost[-1] < lost[0]


def test_it_learns_both_modes_of_both_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    # SGD without momentum: at this size Adam's discriminator wins, and its generator then makes one mode only.
    monkeypatch.setattr(toy, "coloured", two_by_two)
    rates = {"optimiser": "sgd", "beta1": 0.0, "learning_rate": 0.02, "discriminator_learning_rate": 0.02}
    algorithm = make("cgan", classes=2, conditioning="projection", width=4, latent=4, seed=1, **rates)
    learned = learn(algorithm, 200, 32, seed=1, decay=0.9)
    labels = torch.arange(200) % 2
    shown = found(sample(algorithm, learned.generator, labels), labels)
    assert shown.own_class > 0.95
    assert shown.rarest_mode > 0.1


def test_samples_follow_their_label() -> None:
    rates = {"learning_rate": 2e-3, "discriminator_learning_rate": 1e-3}
    algorithm = make("cgan", classes=3, width=4, latent=4, **rates)
    learned = learn(algorithm, 100, 33, decay=0.9)
    labels = torch.arange(99) % 3
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 3) > 0.95
