"""What every classifier's network is: a backbone from images to features, and a head from features to scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dermsynth.core.errors import InputError


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


class Network(nn.Module):
    """A backbone and a head: images N x 3 x H x W, float32 in [-1, 1] -> scores N x classes, float32.

    A softmax makes probabilities of the scores. Networks know no loss.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self._has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in backbone.modules())

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees, N x D, float32.

        Raises:
            InputError: images that are too small, or one image alone while a network with batch norm learns.
        """
        side = min(images.shape[2:])
        if side < self.backbone.least_px:
            raise InputError(f"images have {side} px, this network needs {self.backbone.least_px}; ingest larger ones")
        if self.training and len(images) == 1 and self._has_batch_norm:
            raise InputError("a batch of one image has no variance for batch norm to learn from; take two or more")
        found: Tensor = self.backbone(images).float()
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores. Raises as `features`."""
        features = self.features(images)
        # In bfloat16 the scores would have 8 bits: ties between classes, and steps in every ROC curve.
        with torch.autocast(images.device.type, enabled=False):
            scores: Tensor = self.head(features)
        return scores

    @property
    def description(self) -> dict[str, Any]:
        """Return plain JSON values from which `dermsynth.classifiers.rebuild` makes this network again."""
        backbone = self.backbone
        return {"backbone": backbone.kind, "settings": backbone.settings, "origin": backbone.origin}

    def parts(self) -> list[nn.Module]:
        """Return modules from the input to the head, the head last, that hold every parameter once."""
        return [*self.backbone.blocks(), self.head]


def linear(backbone: Backbone, classes: int, size_px: int) -> Network:
    """Return the network with a linear head; raises InputError if images of `size_px` are too small for it."""
    if size_px < backbone.least_px:
        raise InputError(f"images have {size_px} px, this network needs {backbone.least_px}; ingest larger ones")
    return Network(backbone, nn.Linear(backbone.dimensions, classes))
