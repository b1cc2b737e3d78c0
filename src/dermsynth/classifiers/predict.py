"""What a network says about images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.augment.geometry import views
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.stack import ImageStack
from dermsynth.training.device import to_network

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

    from dermsynth.classifiers.networks.network import Network

Found = TypeVar("Found")


def predict(network: Network, cohort: Cohort, fabric: Fabric, tta: int = 1) -> NDArray[np.float32]:
    """Return the class probabilities of every image, float32 (N, C): a float32 softmax over the network's scores.

    The mean over the first `tta` of an image's eight mirrors and quarter turns. The network is in eval mode for it and
    in train mode afterwards.
    """
    return look(network, cohort.images, fabric, tta)[1]


def look(
    network: Network, images: ImageStack | NDArray[np.uint8], fabric: Fabric, tta: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the head sees of every image as it is, float32 (N, D), and the probabilities as `predict` does.

    Args:
        network: In train mode afterwards.
        images: uint8 N x S x S x 3, N >= 1.
        fabric: Where and how the network computes.
        tta: Views.
    """
    import torch

    def both(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        each = [network.with_features(view) for view in views(batch, tta)]
        return each[0][0], torch.stack([scores.float().softmax(dim=1) for _, scores in each]).mean(dim=0)

    seen, probabilities = zip(*_over(network, images, fabric, both), strict=True)
    return torch.cat(seen).cpu().numpy(), torch.cat(probabilities).cpu().numpy()


def features(network: Network, cohort: Cohort, fabric: Fabric) -> NDArray[np.float32]:
    """Return what the head sees of every image, float32 (N, D), computed as when the network predicts."""
    import torch

    seen: NDArray[np.float32] = torch.cat(_over(network, cohort.images, fabric, network.features)).cpu().numpy()
    return seen


def _over(
    network: Network, images: ImageStack | NDArray[np.uint8], fabric: Fabric, function: Callable[[torch.Tensor], Found]
) -> list[Found]:
    """Return what a function makes of batches of images, without gradients and with the network in eval mode."""
    import torch

    count = network.at_once(images.shape[1])
    parts = (images[start : start + count] for start in range(0, len(images), count))
    network.eval()
    with torch.no_grad(), fabric.autocast():
        found = [function(to_network(torch.from_numpy(part), fabric)) for part in parts]
    network.train()
    return found
