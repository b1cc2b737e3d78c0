"""What a network says about images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.augment.geometry import views
from dermsynth.cohorts.cohort import Cohort
from dermsynth.training.device import to_network

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from dermsynth.classifiers.networks.network import Network


def predict(network: Network, cohort: Cohort, fabric: Fabric, tta: int = 1) -> NDArray[np.float32]:
    """Return the class probabilities of every image, float32 (N, C): a float32 softmax over the network's scores.

    The mean over the first `tta` of an image's eight mirrors and quarter turns. The network is in eval mode for it and
    in train mode afterwards.
    """
    import torch

    found, count = [], network.at_once(cohort.size_px)
    network.eval()
    with torch.no_grad(), fabric.autocast():
        for start in range(0, len(cohort), count):
            images = to_network(torch.from_numpy(cohort.images[start : start + count]), fabric)
            seen = [network(view).float().softmax(dim=1) for view in views(images, tta)]
            found.append(torch.stack(seen).mean(dim=0))
    network.train()
    probabilities: NDArray[np.float32] = torch.cat(found).cpu().numpy()
    return probabilities
