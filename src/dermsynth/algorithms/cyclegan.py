"""CycleGAN (Zhu, Park, Isola, Efros 2017, arXiv:1703.10593), with which paper 002 turns nevi into melanomas.

Two generators translate images of the source classes into images of the target classes and back; a discriminator per
side says which of its images are real; what is translated there and back must come back as it was.

As published (section 4 and appendix): generators of c7s1-64, d128, d256, 9 residual blocks from 256 px (6 below), u128,
u64, c7s1-3; discriminators C64-C128-C256-C512 on patches of 70 x 70 px; least-squares losses, the discriminators'
halved; cycle loss times 10; a history of 50 generated images; Adam with learning rate 2e-4, constant over the first
half of the budget and falling to 0 over the second; one image per step. What the paper leaves open is that of its code:
reflection padding around the 7 x 7 kernels and in the residual blocks, zero padding elsewhere; biases also before the
norms; beta1 0.5; an identity loss of half the cycle loss's weight (the paper has it for paintings alone; it keeps the
colour of the skin); a stored image stands in for a new one with probability 1/2.

Paper 002 prints neither lambda nor optimiser nor epochs. It works at 256 px, from NV to MEL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms import losses
from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Phase, Scalars
from dermsynth.algorithms.layers import doubling_maps, normal_init
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError

_SMALLEST_PX = 32
_LARGE_PX = 256
_BOUNDARY = 0.5
"""Between the least-squares targets 1 of real and 0 of fake images."""


class CycleganConfig(DiscriminatingConfig):
    """The paper's settings; which classes become which must be said."""

    batch_size: int = Field(1, ge=1, description="images of either side per step")
    source: tuple[str, ...] = Field((), description="classes to translate from; required")
    target: tuple[str, ...] = Field((), description="classes to translate to; required")
    width: int = Field(64, ge=1, description="maps next to the image, in generators and discriminators")
    blocks: int | None = Field(None, ge=0, description="residual blocks; without a value 9 from 256 px, 6 below")
    cycle: float = Field(10.0, gt=0, description="weight of the cycle loss, lambda")
    identity: float = Field(0.5, ge=0, description="weight of the identity loss, as a share of `cycle`")
    pool: int = Field(50, ge=0, description="generated images kept for each discriminator; 0 keeps none")
    learning_rate: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)

    @field_validator("source", "target", mode="before")
    @classmethod
    def _one_name(cls, names: object) -> object:
        return (names,) if isinstance(names, str) else names


class Cyclegan(Algorithm):
    """CycleGAN from any set of classes to any other."""

    name = "cyclegan"
    Config = CycleganConfig
    config: CycleganConfig
    translates = True
    scores_are_logits = False

    @classmethod
    def check(cls, config: CycleganConfig, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError for a size that two halvings do not divide, and for sets of classes that are no sets."""
        if size_px % 4 or size_px < _SMALLEST_PX:
            raise InputError(
                f"cyclegan halves the image twice, so it makes {_SMALLEST_PX}, {_SMALLEST_PX + 4}, … px, "
                f"not {size_px}; ingest the cohort at a multiple of 4"
            )
        if len(classes) < 2:
            raise InputError(f"cyclegan turns one class into another, and the cohort has '{classes[0]}' alone")
        if not config.source or not config.target:
            missing = "target" if config.source else "source"
            raise InputError(
                f"cyclegan: '{missing}' names no class; say what becomes what, for example "
                f"--set source={classes[0]} --set target={classes[1]} (known: {', '.join(classes)})"
            )
        chosen = [*config.source, *config.target]
        for name in chosen:
            if name not in classes:
                raise InputError(f"cyclegan: unknown class '{name}'; {nearest(name, classes)}")
            if chosen.count(name) > 1:
                raise InputError(f"cyclegan: class '{name}' stands twice in source and target; name it once")

    def build(self) -> Mapping[str, nn.Module]:
        """Return two generators, two discriminators, and what the discriminators were shown."""
        config, size_px = self.config, self.size_px
        blocks = config.blocks if config.blocks is not None else 9 if size_px >= _LARGE_PX else 6
        self.generator, self.backward = Generator(config.width, blocks), Generator(config.width, blocks)
        self.generators = nn.ModuleList([self.generator, self.backward])
        self.target, self.source = (_Side(config, size_px, name) for name in ("target", "source"))
        self.discriminators = nn.ModuleList([self.target.discriminator, self.source.discriminator])
        return {"generator": self.generator, "backward": self.backward, **self.target.modules, **self.source.modules}

    def phases(self) -> list[Phase]:
        """Return one step of both discriminators, then one of both generators."""
        adam = Adam(learning_rate=self.config.learning_rate, beta1=self.config.beta1)
        return [
            Phase("discriminators", self.discriminators, self.discriminator_loss, adam, schedule=late_decay),
            Phase("generators", self.generators, self.generator_loss, adam, schedule=late_decay),
        ]

    @property
    def latent(self) -> int:
        """Return 0: images are made from images."""
        return 0

    def domains(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the classes to translate from and to."""
        return self.config.source, self.config.target

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return half of E[(D(y) - 1)²] + E[D(G(x))²] for both sides (section 4)."""
        there, back = self.fakes(batch)
        loss_target, of_target = self.target.loss(batch.images, there, batch)
        loss_source, of_source = self.source.loss(_source(batch), back, batch)
        loss = loss_target + loss_source
        means = {name: (of_target[name] + of_source[name]) / 2 for name in of_target}
        return loss, {"loss_discriminator": loss, **means}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the sum of the least-squares, cycle and identity losses (equation 3; section 5.2 for identity)."""
        x, y = _source(batch), batch.images
        there, back = self.fakes(batch)
        adversarial = self.target.deceived(there, batch) + self.source.deceived(back, batch)
        cycle = F.l1_loss(self.backward(there), x) + F.l1_loss(self.generator(back), y)
        loss = adversarial + self.config.cycle * cycle
        scalars = {"loss_adversarial": adversarial, "loss_cycle": cycle}
        if self.config.identity:
            identity = F.l1_loss(self.generator(y), y) + F.l1_loss(self.backward(x), x)
            loss = loss + self.config.cycle * self.config.identity * identity
            scalars["loss_identity"] = identity
        return loss, {"loss_generator": loss, **scalars}

    def fakes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return this step's translations, source to target and target to source; both phases use the same ones."""
        there = batch.once("there", lambda: self.generator(_source(batch)))
        return there, batch.once("back", lambda: self.backward(batch.images))


def late_decay(progress: float) -> float:
    """Return 1 over the first half of the budget, then what falls linearly to 0 at its end."""
    return min(1.0, 2 - 2 * progress)


def _source(batch: Batch) -> Tensor:
    assert batch.source is not None, "the loop feeds the source classes, see `domains`"
    return batch.source


class _Side:
    """What judges the images of one side, target or source."""

    def __init__(self, config: CycleganConfig, size_px: int, name: str) -> None:
        self.name = name
        self.discriminator = Discriminator(config.width)
        self.augmentation = Augmentation(config)
        self.pool = ImagePool(config.pool, config.batch_size, size_px)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Return the modules by name."""
        parts = {"discriminator": self.discriminator, "augmentation": self.augmentation, "pool": self.pool}
        return {f"{part}_{self.name}": module for part, module in parts.items()}

    def loss(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Tensor, Scalars]:
        """Return the discriminator's loss and what to log."""
        shown = self.pool(fake.detach(), batch, f"pool {self.name}")
        score_real = self.discriminator(self.augmentation(real, batch, f"real {self.name}"))
        score_fake = self.discriminator(self.augmentation(shown, batch, f"fake {self.name}"))
        loss = (losses.least_squares(score_real, 1) + losses.least_squares(score_fake, 0)) / 2
        # ADA reads from the sign whether an image is taken for real.
        observed = self.augmentation.observe(score_real - _BOUNDARY, batch)
        return loss, {"score_real": score_real.mean(), "score_fake": score_fake.mean(), **observed}

    def deceived(self, fake: Tensor, batch: Batch) -> Tensor:
        """Return the generator's least-squares loss."""
        altered = self.augmentation(fake, batch, f"generator {self.name}")
        return losses.least_squares(self.discriminator(altered), 1)


class ImagePool(nn.Module):
    """A history of generated images that a discriminator sees again (Shrivastava et al. 2017, arXiv:1612.07828).

    Until it is full every new image is kept and shown; then a new image changes places with a stored one with
    probability 1/2. Every place in the batch has its own part of the `capacity`, one image at least, so that a step may
    be divided among processes; with one image per step that is the paper's pool.
    """

    images: Tensor

    def __init__(self, capacity: int, batch_size: int, size_px: int) -> None:
        super().__init__()
        places = max(capacity, batch_size) if capacity else 0
        self.register_buffer("images", torch.zeros(places, 3, size_px, size_px))

    @torch.no_grad()
    def forward(self, fakes: Tensor, batch: Batch, purpose: str) -> Tensor:
        """Return what to show instead of these n images."""
        if not len(self.images):
            return fakes
        # The draws of the whole step, since every process keeps the whole pool.
        draws = replace(batch.draws, rows=slice(None)).uniform(purpose, 2)
        each = len(self.images) // batch.draws.total
        filling = batch.draws.step < each
        place = torch.full_like(draws[:, 0], batch.draws.step) if filling else (draws[:, 0] * each).floor()
        slots = torch.arange(len(draws), device=draws.device) * each + place.long()
        fresh, made = _of_all(fakes, batch)
        stored = self.images[slots]
        swap = torch.ones_like(made) if filling else (draws[:, 1] < 0.5).view(-1, 1, 1, 1)
        self.images[slots] = torch.where(made & swap, fresh, stored)
        shown = fresh if filling else torch.where(swap, stored, fresh)
        return shown[batch.draws.rows].contiguous(memory_format=torch.channels_last)


def _of_all(images: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the images of all processes in the order of the batch, and which of them were made just now."""
    draws = batch.draws
    placed = images.new_zeros(draws.total, *images.shape[1:])
    made = images.new_zeros(draws.total, 1, 1, 1)
    placed[draws.rows], made[draws.rows] = images, 1
    # A mean over processes of which one has the image and the others zeros.
    placed, made = batch.mean(placed), batch.mean(made)
    return placed / made.clamp(min=1e-6), made > 0


class Generator(nn.Module):
    """Images N x 3 x size x size in [-1, 1] -> as many of the same kind, float32; size is a multiple of 4."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        maps = doubling_maps(width, 3)
        layers = [_reflecting(3, maps[0], 7), InstanceNorm(), nn.ReLU(inplace=True)]
        for before, after in ((maps[0], maps[1]), (maps[1], maps[2])):
            layers += [nn.Conv2d(before, after, 3, 2, 1), InstanceNorm(), nn.ReLU(inplace=True)]
        layers += [Residual(maps[2]) for _ in range(blocks)]
        for before, after in ((maps[2], maps[1]), (maps[1], maps[0])):
            layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), InstanceNorm()]
            layers += [nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, _reflecting(maps[0], 3, 7))
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return images in float32, whatever the precision of the layers."""
        translated: Tensor = self.layers(images)
        return translated.float().tanh()


class Residual(nn.Module):
    """x -> x + two convolutions of it."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        first, second = _reflecting(maps, maps, 3), _reflecting(maps, maps, 3)
        self.layers = nn.Sequential(first, InstanceNorm(), nn.ReLU(inplace=True), second, InstanceNorm())

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        added: Tensor = x + self.layers(x)
        return added


class Discriminator(nn.Module):
    """Images N x 3 x size x size -> a score per patch of 70 x 70 px, N x 1 x h x w, float32; 1 is real, 0 fake."""

    def __init__(self, width: int) -> None:
        super().__init__()
        maps = doubling_maps(width, 4)
        layers: list[nn.Module] = [nn.Conv2d(3, maps[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after, stride in ((maps[0], maps[1], 2), (maps[1], maps[2], 2), (maps[2], maps[3], 1)):
            layers += [nn.Conv2d(before, after, 4, stride, 1), InstanceNorm(), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(maps[3], 1, 4, 1, 1))
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores in float32."""
        scores: Tensor = self.layers(images)
        return scores.float()


class InstanceNorm(nn.Module):
    """Each map of each image to mean 0 and variance 1 (Ulyanov et al. 2016, arXiv:1607.08022), channels last.

    torch's own copies its input to channels first, and the next convolution copies it back. The batch norm of one image
    is the same thing, and its kernels know both layouts and bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape and precision; statistics are float32."""
        if len(x) == 1:
            return F.batch_norm(x, None, None, training=True)
        if x.is_cuda:  # a launch per image would cost more than the work
            variance, mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
            return ((x - mean) * (variance + 1e-5).rsqrt()).to(x.dtype)
        return torch.cat([F.batch_norm(image, None, None, training=True) for image in torch.split(x, 1)])


def _reflecting(before: int, after: int, kernel_px: int) -> nn.Module:
    return nn.Conv2d(before, after, kernel_px, padding=kernel_px // 2, padding_mode="reflect")
