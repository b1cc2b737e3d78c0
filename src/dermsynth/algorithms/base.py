"""What an algorithm is: networks, and the phases that train them. The loop knows nothing else of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from dermsynth.core.config import Config
from dermsynth.core.randomness import torch_generator

Scalars = dict[str, Tensor]
"""Named 0-d tensors to log; the loop averages them and reads them from the device only now and then.

Losses are named `loss_…`; the discriminator's mean outputs `score_real` and `score_fake`: monitors and the report look
for these names.
"""


@dataclass(frozen=True)
class Draws:
    """The counted random numbers of one step: functions of (seed, purpose, step), whoever computes them.

    A step that is spread over processes or micro-batches draws for all its images and takes its own rows, so that the
    images of a step see the same numbers however they are divided.
    """

    seed: int
    step: int
    total: int
    rows: slice
    device: torch.device

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return standard normal float32 N x shape."""
        return torch.randn(self.total, *shape, generator=self._generator(purpose), device=self.device)[self.rows]

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return uniform float32 N x shape in [0, 1)."""
        return torch.rand(self.total, *shape, generator=self._generator(purpose), device=self.device)[self.rows]

    def _generator(self, purpose: str) -> torch.Generator:
        return torch_generator(self.seed, purpose, self.step, self.device)


def _alone(value: Tensor) -> Tensor:
    return value


@dataclass
class Batch:
    """One step's input, or the share of it that this process and micro-batch computes.

    Attributes:
        images: Real images, N x 3 x H x W, float32 in [-1, 1], channels last.
        labels: Their classes, N, int64.
        noise: N x latent, float32, standard normal.
        draws: More random numbers, by purpose.
        images_seen: Real images seen before this step.
        budget: Real images that the run will have seen at its end.
        source: For algorithms that translate, images of the source classes, N x 3 x H x W like `images`; else None.
        source_labels: Their classes.
        mean: Averages a tensor over all processes.
    """

    images: Tensor
    labels: Tensor
    noise: Tensor
    draws: Draws
    images_seen: int = 0
    budget: int = 1
    source: Tensor | None = None
    source_labels: Tensor | None = None
    mean: Callable[[Tensor], Tensor] = _alone
    _made: dict[str, Tensor] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """Return the share of the budget that is spent, 0 to 1."""
        return self.images_seen / self.budget

    def once(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return what `make` returned the first time it was asked for under this name in this step.

        Two phases that need the same fake images compute them once. It is right as long as the network that made them
        is not updated in between.
        """
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


class Adam(Config):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

    learning_rate: float = Field(gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)


class Sgd(Config):
    """Stochastic gradient descent with momentum."""

    learning_rate: float = Field(gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)


def constant(progress: float) -> float:
    """Return 1: the learning rate stays as it is."""
    return 1.0


@dataclass(frozen=True)
class Phase:
    """One turn of an optimiser: `loss` is minimised over the parameters of `net` in every `every`-th step.

    Phases run in their order. Gradients reach the parameters of `net` alone, whatever else the loss touches. Phases of
    one `net` share its optimiser, which is that of the first of them (lazy regularisation is a second phase).
    `schedule` is the factor of the learning rate as a function of the share of the budget that is spent.
    """

    name: str
    net: nn.Module
    loss: Callable[[Batch], tuple[Tensor, Scalars]]
    optimiser: Adam | Sgd
    every: int = 1
    schedule: Callable[[float], float] = constant


class AlgorithmConfig(Config):
    """What every algorithm has; the rest is the paper's."""

    batch_size: int = Field(64, ge=2, description="real images per step; batch norm needs at least 2")


class Algorithm(ABC):
    """A published generative method for square images of `size_px` of the given classes.

    Networks are called in train mode while they learn and in eval mode when they are sampled. In eval mode an image
    depends on its own noise and label alone: no statistics of the batch, no other random draw.
    """

    name: ClassVar[str]
    Config: ClassVar[type[AlgorithmConfig]]

    sampling: ClassVar[frozenset[str]] = frozenset()
    """Settings that matter only when images are drawn; they may be changed then."""
    twice_differentiated: ClassVar[frozenset[str]] = frozenset()
    """Networks whose gradients are part of a loss: they cannot be compiled."""
    translates: ClassVar[bool] = False
    """Whether it turns images of some classes into images of others; see `domains`."""
    scores_are_logits: ClassVar[bool] = True
    """Whether `score_real` and `score_fake` are logits of 'real', so that their gap says who is winning."""

    def __init__(self, config: Any, size_px: int, classes: Sequence[str]) -> None:
        self.config = config
        self.size_px = size_px
        self.classes = tuple(classes)
        self.check(config, size_px, self.classes)
        self.networks: Mapping[str, nn.Module] = self.build()

    @classmethod
    @abstractmethod
    def check(cls, config: Any, size_px: int, classes: tuple[str, ...]) -> None:
        """Raise InputError for a size that the networks cannot make or classes that the method cannot do with."""

    @abstractmethod
    def build(self) -> Mapping[str, nn.Module]:
        """Return the networks by name; `generator` is the one that is averaged and sampled.

        Everything that a run must remember from step to step is a parameter or a buffer of one of them.
        """

    @abstractmethod
    def phases(self) -> list[Phase]:
        """Return the phases of a step in the order in which they run."""

    @property
    @abstractmethod
    def latent(self) -> int:
        """Return the length of the noise vector of one image; 0 for an algorithm that translates."""

    @property
    def condition(self) -> int:
        """Return the number of classes to tell apart: 0 where there is only one."""
        return len(self.classes) if len(self.classes) > 1 else 0

    def domains(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Return the (source, target) classes of an algorithm that translates images; None for all others.

        The loop then feeds `batch.source` from the source classes and `batch.images` from the target classes.
        """
        return None

    def feature_layers(self) -> nn.Sequential | None:
        """Return the discriminator's layers from images to features N x D, for classifiers that begin with them.

        They are its own modules, with its weights. None where there is no such network: without a discriminator, or
        with one that must be told the class, compares the images of a batch, or judges places apart.
        """
        return None

    def class_layer(self) -> nn.Linear | None:
        """Return the layer from these features to the logits of the classes; None where D tells no classes apart."""
        return None

    def advance(self, networks: Iterable[nn.Module], images_seen: int, budget: int) -> None:  # noqa: B027 - most do not grow
        """Tell networks how far the training is: called before every step, and before an average is sampled.

        For networks that grow. The networks are those of `build` or copies of its generator.
        """

    def draw(self, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        """Return images N x 3 x size x size, float32 in [-1, 1], from a generator in eval mode.

        Args:
            generator: The averaged copy of the network `generator`.
            noise: N x latent, standard normal float32.
            labels: N, int64; or N x K float32, the shares of the K classes in an image between them.
        """
        images: Tensor = generator(noise, labels)
        return images

    def translate(self, generator: nn.Module, images: Tensor) -> Tensor:
        """Return the translated images, N x 3 x size x size in [-1, 1]; only for algorithms with domains."""
        translated: Tensor = generator(images)
        return translated
