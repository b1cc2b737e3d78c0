"""What an algorithm is: networks, and the phases that train them. The loop knows nothing else of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from dermsynth.core.config import Config

Scalars = dict[str, Tensor]
"""Named 0-d tensors to log; the loop averages them and reads them from the device only now and then."""


@dataclass
class Batch:
    """One step's input.

    Attributes:
        images: Real images, N x 3 x H x W, float32 in [-1, 1], channels last.
        labels: Their classes, N, int64.
        noise: N x latent, float32, standard normal.
    """

    images: Tensor
    labels: Tensor
    noise: Tensor
    _made: dict[str, Tensor] = field(default_factory=dict)

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


@dataclass(frozen=True)
class Phase:
    """One optimiser's turn: `loss` is minimised over the parameters of `net` in every `every`-th step.

    Phases run in their order. Gradients reach the parameters of `net` alone, whatever else the loss touches.
    """

    name: str
    net: nn.Module
    loss: Callable[[Batch], tuple[Tensor, Scalars]]
    optimiser: Adam
    every: int = 1


class AlgorithmConfig(Config):
    """What every algorithm has; the rest is the paper's."""

    batch_size: int = Field(64, ge=2, description="real images per step; batch norm needs at least 2")


class Algorithm(ABC):
    """A published generative method for square images of `size_px` and `classes` classes."""

    name: ClassVar[str]
    Config: ClassVar[type[AlgorithmConfig]]

    def __init__(self, config: Any, size_px: int, classes: int) -> None:
        self.config = config
        self.size_px = size_px
        self.classes = classes
        self.check_size(size_px)
        self.networks: Mapping[str, nn.Module] = self.build()

    @staticmethod
    @abstractmethod
    def check_size(size_px: int) -> None:
        """Raise InputError for a size that the networks cannot make."""

    @abstractmethod
    def build(self) -> Mapping[str, nn.Module]:
        """Return the networks by name; `generator` is the one that is averaged and sampled."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """Return the phases of a step in the order in which they run."""

    @property
    @abstractmethod
    def latent(self) -> int:
        """Return the length of the noise vector of one image."""
