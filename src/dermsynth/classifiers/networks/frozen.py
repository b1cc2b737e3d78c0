"""Networks whose backbone stays as it is: heads that are solved for, not trained in steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from dermsynth.classifiers.networks.discriminator import Discriminator
from dermsynth.classifiers.networks.network import Backbone, Network
from dermsynth.core.errors import InputError

_LEAST_SHARE = 1e-6
"""Of a class that no neighbour has: its logarithm is a score."""

_ROUNDING = 1e-5
"""Relative deviation up to which features of float32 networks are taken for constant."""


class Frozen(Network):
    """A network whose backbone is in eval mode and computes in float32 whatever is set around it."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__(backbone, head)
        self.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the head."""
        super().train(mode)
        self.backbone.eval()
        return self

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees, N x D, float32, without a gradient."""
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return super().features(images)


class Standardised(nn.Module):
    """Features N x D less the training images' mean, by their deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("deviation", torch.ones(dimensions))

    def learn(self, features: Tensor) -> None:
        """Take mean and deviation of features; one that changes by rounding alone says nothing and keeps its unit."""
        mean, spread = features.double().mean(dim=0), features.double().std(dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(spread > _ROUNDING * mean.abs(), spread, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Return the standardised features."""
        return (features - self.mean) / self.deviation


class Neighbours(nn.Module):
    """Log of the share of each class among the k nearest training images, by Euclidean distance.

    Buffers: the training images' features N x D, their classes N, and k.
    """

    features: Tensor
    labels: Tensor
    count: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.learn(torch.empty(0, 0), torch.empty(0, dtype=torch.int64), 0)

    def learn(self, features: Tensor, labels: Tensor, count: int) -> None:
        """Take the training images, and how many of them are asked."""
        self.register_buffer("features", features)
        self.register_buffer("labels", labels)
        self.register_buffer("count", torch.tensor(count))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores N x classes."""
        nearest = torch.cdist(features, self.features).topk(int(self.count), largest=False).indices
        shares = nn.functional.one_hot(self.labels[nearest], self.classes).float().mean(dim=1)
        return shares.clamp_min(_LEAST_SHARE).log()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        # There are as many training images as were kept.
        self.learn(state_dict[f"{prefix}features"], state_dict[f"{prefix}labels"], 0)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def own(backbone: Backbone, classes: int) -> Frozen:
    """Return a discriminator with its own layer to the logits of the classes.

    Raises:
        InputError: it tells no classes apart, or others in number.
    """
    known = backbone.class_layer if isinstance(backbone, Discriminator) else None
    if known is None:
        raise InputError(
            f"the discriminator of {backbone.settings['algorithm']} tells no classes apart; take a run of acgan or sgan"
        )
    if len(known["bias"]) != classes:
        raise InputError(f"the run knows {len(known['bias'])} classes, the cohort {classes}; take a run on that cohort")
    layer = nn.Linear(backbone.dimensions, classes)
    layer.load_state_dict(known)
    return Frozen(backbone, layer)


def probe(backbone: Backbone, classes: int) -> Frozen:
    """Return a frozen backbone with standardised features and a linear layer that is still to be solved for."""
    size = backbone.dimensions
    return Frozen(backbone, nn.Sequential(Standardised(size), nn.Linear(size, classes)))


def neighbours(backbone: Backbone, classes: int) -> Frozen:
    """Return a frozen backbone with standardised features and no neighbours yet."""
    return Frozen(backbone, nn.Sequential(Standardised(backbone.dimensions), Neighbours(classes)))
