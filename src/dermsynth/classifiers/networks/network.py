"""What every classifier's network is: a backbone from images to features, and a head from features to scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dermsynth.core.errors import InputError

_PIXELS_AT_ONCE = 256 * 64**2
_MOST_AT_ONCE = 256


class Backbone(nn.Module, ABC):
    """Images N x 3 x H x W, float32 in [-1, 1] -> features N x `dimensions`, float32. It knows no class.

    Attributes:
        kind: Its name in `dermsynth.classifiers.BACKBONES`; `kind` and `settings` make the same network again.
        dimensions: Number of features of an image.
        least_px: Side of the smallest image that it can take.
        origin: Where its first weights came from, as plain JSON values; None for weights drawn at random.
    """

    kind: ClassVar[str]
    dimensions: int
    least_px: int
    origin: Mapping[str, Any] | None = None

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the arguments that make this network again, as plain JSON values: no path, no weight."""

    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """Return modules from the input on that hold every parameter once."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""

    def seen_px(self, size_px: int) -> int:
        """Return the side at which it computes on images of this side."""
        return size_px

    def check(self, size_px: int) -> None:
        """Raise InputError if images of this side are too small."""
        if size_px < self.least_px:
            raise InputError(f"images have {size_px} px, this network needs {self.least_px}; ingest larger ones")


class Network(nn.Module):
    """A backbone and a head: images N x 3 x H x W, float32 in [-1, 1] -> scores N x classes, float32.

    A softmax makes probabilities of the scores. Networks know no loss.

    Attributes:
        description: Plain JSON values from which `dermsynth.classifiers.rebuild` makes this network again.
    """

    description: dict[str, Any]

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self._has_batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees, N x D, float32.

        Raises:
            InputError: images that are too small, or one image alone while a network with batch norm learns.
        """
        self.backbone.check(min(images.shape[2:]))
        if self._has_batch_norm and self.backbone.training and len(images) == 1:
            raise InputError("a batch of one image has no variance for batch norm to learn from; take two or more")
        found: Tensor = self.backbone(images).float()
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores. Raises as `features`."""
        return self.with_features(images)[1]

    def with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the head sees, and the scores that it makes of it. Raises as `features`."""
        features = self.features(images)
        # In bfloat16 the scores would have 8 bits: ties between classes, and steps in every ROC curve.
        with torch.autocast(images.device.type, enabled=False):
            scores: Tensor = self.head(features)
        return features, scores

    def at_once(self, size_px: int) -> int:
        """Return how many images of this side to predict together, so that memory does not grow with their size."""
        return max(1, min(_MOST_AT_ONCE, _PIXELS_AT_ONCE // self.backbone.seen_px(size_px) ** 2))

    def parts(self) -> list[nn.Module]:
        """Return modules from the input to the head, the head last, that hold every parameter once."""
        return [*self.backbone.blocks(), self.head]


def linear(backbone: Backbone, classes: int) -> Network:
    """Return the network with a linear head, to be trained in steps."""
    return Network(backbone, nn.Linear(backbone.dimensions, classes))
