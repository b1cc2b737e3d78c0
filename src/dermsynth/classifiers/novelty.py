"""Images unlike those that a classifier learnt from, by the features that its head sees.

A fit keeps what is needed beside its weights, so that it can tell on its own, wherever it is taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import write_atomically
from dermsynth.core.errors import ArtefactError
from dermsynth.metrics.mahalanobis import Clusters, clusters

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from dermsynth.classifiers.networks.network import Network

FILE = "novelty.safetensors"
SHARE = 0.99
"""Of the validation images that are not called unusual."""
_MOST_IMAGES = 2048
"""Training images whose features are taken: of more, the clusters hardly change."""

_LEAST = 1e-6
"""In place of a threshold of 0, where all images have the same features."""


def write_novelty(
    folder: Path, network: Network, train: Cohort, rows: NDArray[np.int64], val: Cohort, fabric: Fabric
) -> dict[str, Any]:
    """Write the clusters of the training images' features into a fit's folder; return the `novelty` of its card.

    An image is unusual if it lies further from the nearest class than 99 % of the validation images.

    Args:
        folder: Where `novelty.safetensors` is written.
        network: The chosen state.
        train: The training images, and `rows` of them, repeats allowed; at most 2,048, evenly spread, are asked.
        val: Chooses the threshold.
        fabric: Where and how the network computes.
    """
    from safetensors.numpy import save

    from dermsynth.classifiers.predict import features

    once = np.unique(rows)
    asked = once[np.linspace(0, len(once) - 1, min(len(once), _MOST_IMAGES)).astype(np.int64)]
    part = train.select(asked)
    found = clusters(features(network, part, fabric), part.labels)
    # As they are read: the threshold must be that of the clusters on the disk.
    arrays = {"means": found.means.astype(np.float32), "whitening": found.whitening.astype(np.float32)}
    write_atomically(folder / FILE, save(arrays))
    distances = _clusters(arrays).distances(features(network, val, fabric))
    return {
        "distance": "Mahalanobis distance of the head's input to the nearest class",
        "training_images": len(asked),
        "threshold": max(float(np.quantile(distances, SHARE)), _LEAST),
        "share_of_val_below": SHARE,
    }


def read_novelty(folder: Path) -> Clusters:
    """Return the clusters of a fit; raises ArtefactError if they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return _clusters(load_file(folder / FILE))
    except (OSError, SafetensorError, KeyError) as error:
        raise ArtefactError(f"{folder / FILE}: cannot be read ({' '.join(str(error).split())}); fit again") from None


def _clusters(arrays: dict[str, NDArray[np.float32]]) -> Clusters:
    return Clusters(arrays["means"].astype(np.float64), arrays["whitening"].astype(np.float64))
