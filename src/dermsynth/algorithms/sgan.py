"""Semi-supervised GAN: a discriminator of K classes and "fake", which is a classifier (paper 003's, as one reads it).

Paper 003 takes DCGAN's discriminator as its classifier without saying how one that knows only real and fake can tell
benign from malignant. This is the reading in which it learns both at once (Salimans et al. 2016, arXiv:1606.03498,
section 5; Odena 2016, arXiv:1606.01583). Networks and settings are those of `dcgan`, but for the discriminator's last
layer, which has a logit l_k per class. "Fake" has the logit 0, since a constant could be added to all K + 1. Then
D(x) = Z / (Z + 1) with Z = Σ exp l_k is the probability of 'real', and a softmax over the K logits alone gives the
classes of a real image. The discriminator minimises Salimans' sum of a supervised loss, -log p(y | x, real), and an
unsupervised one, GAN's cross-entropy of D.

In those papers most images have no label, so the generator makes images of any class. Here every image has one and
images of a wanted class are wanted: the generator gets the class beside the noise and minimises -log p(y | G(z, y))
over all K + 1, as in BAGAN (Mariani et al. 2018, arXiv:1803.09655, section 3). With every label known the discriminator
gains no labels from it, only the fakes as a further class: whether that makes a better classifier than the same network
trained on real images alone (`dermsynth fit discriminator`) is what there is to find out. The other readings, a linear
layer on its frozen features and fine-tuning, are models of `dermsynth fit` too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation
from dermsynth.algorithms.base import Batch, Scalars
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig, Generator, halvings
from dermsynth.algorithms.layers import doubling_maps, doublings, normal_init
from dermsynth.core.errors import InputError


class SganConfig(DcganConfig):
    """DCGAN's settings."""


class Sgan(Dcgan):
    """DCGAN with a discriminator of K + 1 classes."""

    name = "sgan"
    Config = SganConfig
    config: SganConfig

    @classmethod
    def check(cls, config: DcganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError for one class alone, or unless `size_px` is 4 doubled at least twice."""
        if len(classes) < 2:
            raise InputError(
                f"sgan learns to tell classes apart, and '{classes[0]}' is the only one; "
                "train it on two classes or more, or dcgan on one"
            )
        super().check(config, size_px, classes)

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator`, which is DCGAN's, and `discriminator`, with DCGAN's initial weights."""
        self.generator = Generator(self.config, self.size_px, self.condition)
        self.discriminator = Discriminator(self.config, self.size_px, self.condition)
        self.augmentation = Augmentation(self.config)
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "augmentation": self.augmentation,
        }

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return -log p(y | x, real) - log D(x) - log(1 - D(G(z, y)))."""
        fake = self.fake(batch).detach()
        of_real = self.discriminator(self.augmentation(batch.images, batch, "real"))
        of_fake = self.discriminator(self.augmentation(fake, batch, "fake"))
        score_real, score_fake = realness(of_real), realness(of_fake)
        supervised = F.cross_entropy(of_real, batch.labels)
        loss = supervised + losses.discriminator_cross_entropy(score_real, score_fake)
        return loss, {
            "loss_discriminator": loss,
            "loss_class": supervised,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            "class_accuracy": (of_real.argmax(dim=1) == batch.labels).float().mean(),
            **self.augmentation.observe(score_real, batch),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return -log p(y | G(z, y)) over K + 1 classes, for the same fake images under the updated discriminator."""
        logits = self.discriminator(self.augmentation(self.fake(batch), batch, "generator"))
        loss = F.cross_entropy(logits, batch.labels) + losses.generator_cross_entropy(realness(logits))
        return loss, {"loss_generator": loss}

    def class_layer(self) -> nn.Linear:
        """Return the discriminator's last layer: its logits are those of the classes."""
        layer = self.discriminator.get_submodule("answers")
        assert isinstance(layer, nn.Linear)
        return layer


class Discriminator(nn.Module):
    """Images N x 3 x size x size -> the logits of the classes, N x K, float32; that of 'fake' is 0."""

    def __init__(self, config: DcganConfig, size_px: int, classes: int) -> None:
        super().__init__()
        self.layers = halvings(config, size_px)
        self.answers = nn.Linear(doubling_maps(config.width, doublings(size_px) or 0)[-1] * 16, classes)
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per class, in float32."""
        answers: Tensor = self.answers(self.layers(images).flatten(1))
        return answers.float()


def realness(logits: Tensor) -> Tensor:
    """Return the logit of 'real', N: log Σ exp of the classes' logits N x K, against 0 for 'fake'."""
    return torch.logsumexp(logits, dim=1)
