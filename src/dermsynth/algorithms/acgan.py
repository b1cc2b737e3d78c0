"""ACGAN (Odena, Olah, Shlens 2017, arXiv:1610.09585), with which paper 002 makes 128 px dermoscopy images of a class.

The discriminator answers two questions about an image, whether it is real and which class it shows, and both players
want the second answered right: D learns it from real and from fake images, G makes images whose class is plain.

Networks and settings are those of the paper's table for 128 px: G projects noise of 100 values and a one-hot class to
768 maps of 8 x 8 and doubles four times with 5 x 5 kernels (384, 256, 192, 3 maps); D has six 3 x 3 convolutions (16 to
512 maps) of which the first, third and fifth halve the image, LeakyReLU(0.2) and dropout of one half after each, batch
norm everywhere but in G's first and last and D's first layer; Adam with learning rate 2e-4 and beta1 0.5, batches of
100. The table does not print the maps' size behind G's projection: with four doublings it is 8 px for 128. Other sizes
start from a 16th of theirs, with the same layers.

What to know before using it for augmentation: G is rewarded for images that the classifier finds easy. Its optimum is
not p(x | y) but leans away from where classes overlap, and the more they overlap the less varied a class becomes (Gong
et al. 2019, arXiv:1907.02690); naevi and melanomas overlap widely. That reward can also explode early in training,
since nothing bounds the classifier's features, and a class collapses (Kang et al. 2021, arXiv:2111.01118). Its weight
in G's loss is `auxiliary_weight`: 1 is the paper's; WGAN-GP's authors took 0.1 for their class-conditional networks.
With unequal classes, a class that is rare among real but not among fake images is a sign of a fake, and D punishes G
for it (Mariani et al. 2018, arXiv:1803.09655); here fake images have the classes of the real ones in the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars
from dermsynth.algorithms.dcgan import doubling
from dermsynth.algorithms.layers import normal_init, with_class
from dermsynth.core.errors import InputError

_SHRINKS_BY = 16
"""Image side over the side of the maps behind the generator's projection."""
_SMALLEST_PX = 32


class AcganConfig(DiscriminatingConfig):
    """The settings of the paper's 128 px networks; `width` scales both."""

    batch_size: int = Field(100, ge=2, description="real images per step; batch norm needs at least 2")
    latent: int = Field(100, ge=1, description="length of the noise vector")
    width: int = Field(16, ge=1, description="D's maps next to the image; the paper's numbers at 16, both nets scale")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of every map's values that D does not see")
    auxiliary_weight: float = Field(1.0, ge=0, description="weight of the right class in the generator's loss")
    learning_rate: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)


class Acgan(Algorithm):
    """ACGAN: the discriminator is a classifier too."""

    name = "acgan"
    Config = AcganConfig
    config: AcganConfig

    @classmethod
    def check(cls, config: AcganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError for one class alone, or unless `size_px` is a multiple of 16 from 32 up."""
        if len(classes) < 2:
            raise InputError(
                f"acgan learns to tell classes apart, and '{classes[0]}' is the only one; "
                "train it on two classes or more, or dcgan on one"
            )
        if size_px < _SMALLEST_PX or size_px % _SHRINKS_BY:
            raise InputError(
                f"acgan makes images of a multiple of {_SHRINKS_BY} px from {_SMALLEST_PX} px up, not {size_px}; "
                "ingest the cohort at 32, 64, 128 or 256 px"
            )

    def build(self) -> Mapping[str, nn.Module]:
        """Return `generator` and `discriminator` with weights from N(0, 0.02), as in the paper."""
        self.generator = Generator(self.config, self.size_px, self.condition)
        self.discriminator = Discriminator(self.config, self.size_px, self.condition)
        self.augmentation = Augmentation(self.config)
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "augmentation": self.augmentation,
        }

    def phases(self) -> list[Phase]:
        """Return one discriminator step, then one generator step."""
        adam = Adam(learning_rate=self.config.learning_rate, beta1=self.config.beta1)
        return [
            Phase("discriminator", self.discriminator, self.discriminator_loss, adam),
            Phase("generator", self.generator, self.generator_loss, adam),
        ]

    @property
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
        return self.config.latent

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return -(L_S + L_C): the log-likelihoods of the source and of the class, each of real and of fake images."""
        fake = self.fake(batch).detach()
        score_real, class_real = self.discriminator(self.augmentation(batch.images, batch, "real"))
        score_fake, class_fake = self.discriminator(self.augmentation(fake, batch, "fake"))
        source = losses.discriminator_cross_entropy(score_real, score_fake)
        auxiliary = F.cross_entropy(class_real, batch.labels) + F.cross_entropy(class_fake, batch.labels)
        loss = source + auxiliary
        return loss, {
            "loss_discriminator": loss,
            "loss_auxiliary": auxiliary,
            "score_real": score_real.mean(),
            "score_fake": score_fake.mean(),
            "auxiliary_accuracy": _accuracy(class_real, batch.labels),
            "auxiliary_accuracy_fake": _accuracy(class_fake, batch.labels),
            **self.augmentation.observe(score_real, batch),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the loss of being taken for real and, weighted, of being taken for the right class."""
        score, of_class = self.discriminator(self.augmentation(self.fake(batch), batch, "generator"))
        auxiliary = F.cross_entropy(of_class, batch.labels)
        loss = losses.generator_cross_entropy(score) + self.config.auxiliary_weight * auxiliary
        return loss, {"loss_generator": loss}

    def feature_layers(self) -> nn.Sequential | None:
        """Return the discriminator's layers but the last."""
        return nn.Sequential(*self.discriminator.layers, nn.Flatten())

    def class_layer(self) -> nn.Linear | None:
        """Return the auxiliary classifier: the last layer without its first answer, whether the image is real."""
        answers = self.discriminator.answers
        layer = nn.Linear(answers.in_features, self.condition)
        layer.load_state_dict({name: tensor[1:] for name, tensor in answers.state_dict().items()})
        return layer

    def fake(self, batch: Batch) -> Tensor:
        """Return this step's fake images; both phases use the same ones, since G changes only after the second."""
        return batch.once("fake", lambda: self.generator(batch.noise, batch.labels))


class Generator(nn.Module):
    """Noise N x latent, labels N -> images N x 3 x size x size in [-1, 1], float32."""

    def __init__(self, config: AcganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        self.condition = condition
        maps = [config.width * times for times in (48, 24, 16, 12)]
        self.first = (maps[0], size_px // _SHRINKS_BY, size_px // _SHRINKS_BY)
        self.project = nn.Linear(config.latent + condition, maps[0] * self.first[1] ** 2)
        layers: list[nn.Module] = [nn.ReLU(inplace=True)]
        for before, after in itertools.pairwise(maps):
            layers += [doubling(before, after, 5, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        layers += [doubling(maps[-1], 3, 5, bias=True)]
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        first = self.project(with_class(noise, labels, self.condition)).view(-1, *self.first)
        images: Tensor = self.layers(first.contiguous(memory_format=torch.channels_last))
        return images.float().tanh()


class Discriminator(nn.Module):
    """Images N x 3 x size x size -> the logit of 'real', N, and logits of the classes, N x K; both float32."""

    def __init__(self, config: AcganConfig, size_px: int, condition: int) -> None:
        super().__init__()
        maps = [config.width * 2**layer for layer in range(6)]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise([3, *maps])):
            layers += [nn.Conv2d(before, after, 3, 2 - number % 2, 1, bias=not number)]
            layers += [nn.BatchNorm2d(after)] if number else []
            layers += [nn.LeakyReLU(0.2, inplace=True), Dropout(config.dropout)]
        self.layers = nn.Sequential(*layers)
        self.answers = nn.Linear(maps[-1] * (size_px // 8) ** 2, 1 + condition)
        normal_init(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score and the class logits. In eval mode they classify an image by itself, without dropout."""
        answers = self.answers(self.layers(images).flatten(1)).float()
        return answers[:, 0], answers[:, 1:]


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) whose draws cost a quarter of torch's on a CPU: a random byte per value.

    The share that is dropped is rounded to a 256th there; torch draws a float per value. On a GPU torch's is as good.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Return x with a random share of its values 0 and the others scaled up in proportion; x itself in eval mode.

        Draws from torch's global generator, as torch's own layer does.
        """
        if not self.training or not self.share:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.share)
        dropped = min(round(self.share * 256), 255)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = (words.view(torch.uint8)[: x.numel()] >= dropped).to(x.dtype).mul_(256 / (256 - dropped))
        # Values and mask must lie in memory alike, or the product walks through one of them in leaps.
        return x * kept.as_strided(x.shape, torch.empty_like(x).stride())


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == labels).float().mean()
