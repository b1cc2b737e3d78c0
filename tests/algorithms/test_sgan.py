"""The semi-supervised GAN: its K + 1 classes against a plain softmax over them, and the classifier that comes out."""

from __future__ import annotations

import pytest
import torch
from tests.algorithms.toy import coloured, learn, make, parameters, sample, share_of_own_colour, toy_batch
from torch import Tensor
from torch.nn import functional as F

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.algorithms.dcgan import Discriminator as DcganDiscriminator
from dermsynth.algorithms.sgan import Discriminator, Sgan, realness
from dermsynth.core.errors import InputError

TINY = {"width": 2, "latent": 4}


def sgan(classes: int = 3) -> Sgan:
    algorithm = make("sgan", 16, classes, **TINY)
    assert isinstance(algorithm, Sgan)
    return algorithm


def with_fake(logits: Tensor) -> Tensor:
    """Return N x (K + 1): the class logits and the logit 0 of 'fake'."""
    return torch.cat([logits, torch.zeros(len(logits), 1)], dim=1)


def test_the_discriminator_is_paper_003s_with_an_answer_per_class() -> None:
    expected = parameters(DcganDiscriminator(DcganConfig(), 64, 0)) + 6 * (8192 + 1)
    assert parameters(Discriminator(DcganConfig(), 64, 7)) == expected
    assert Discriminator(DcganConfig(**TINY), 16, 7)(torch.zeros(2, 3, 16, 16)).shape == (2, 7)


def test_realness_is_the_logit_of_not_being_fake() -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * 5
    fake = with_fake(logits).softmax(dim=1)[:, -1]
    torch.testing.assert_close(realness(logits).sigmoid(), 1 - fake)


def test_the_discriminators_loss_is_a_cross_entropy_over_all_classes_and_fake() -> None:
    # Salimans et al. 2016, section 5: L = -E log p(y | x) - E log p(K + 1 | G(z)), p over K + 1 classes.
    algorithm = sgan()
    batch = toy_batch(algorithm, 6)
    real = with_fake(algorithm.discriminator(batch.images))
    fake = with_fake(algorithm.discriminator(algorithm.fake(batch)))
    expected = F.cross_entropy(real, batch.labels) + F.cross_entropy(fake, torch.full((6,), 3))
    torch.testing.assert_close(algorithm.discriminator_loss(batch)[0], expected)


def test_the_generators_loss_is_the_cross_entropy_of_its_class_among_all_and_fake() -> None:
    algorithm = sgan()
    batch = toy_batch(algorithm, 6)
    fake = with_fake(algorithm.discriminator(algorithm.fake(batch)))
    torch.testing.assert_close(algorithm.generator_loss(batch)[0], F.cross_entropy(fake, batch.labels))


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = sgan()
    batch = toy_batch(algorithm, 6)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(InputError, match="'mel' is the only one; train it on two classes or more, or dcgan on one"):
        make("sgan", 16, ["mel"], **TINY)


def test_the_class_layer_on_the_feature_layers_gives_the_logits() -> None:
    algorithm, images = sgan(), torch.rand(4, 3, 16, 16) * 2 - 1
    algorithm.discriminator.eval()
    layers = algorithm.feature_layers()
    assert layers is not None
    torch.testing.assert_close(algorithm.class_layer()(layers.eval()(images)), algorithm.discriminator(images))
    assert isinstance(algorithm, Dcgan)


def test_samples_follow_their_label_and_the_discriminator_classifies_real_images() -> None:
    algorithm = make("sgan", 16, 2, width=8, latent=4, learning_rate=2e-3)
    learned = learn(algorithm, 80, decay=0.9)
    labels = torch.arange(60) % 2
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 2) > 0.95
    logits = algorithm.networks["discriminator"].eval()(coloured(labels, 16, step=999))
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.95
