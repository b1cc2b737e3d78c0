"""A finished fit, to be asked about other images than those of its own cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.classifiers import rebuild
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import WEIGHTS, WEIGHTS_PREFIX
from dermsynth.classifiers.novelty import read_novelty
from dermsynth.classifiers.predict import look
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.stack import ImageStack
from dermsynth.core import artefacts
from dermsynth.core.config import parse
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.metrics.mahalanobis import Clusters
from dermsynth.metrics.temperature import tempered

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from dermsynth.classifiers.networks.network import Network


@dataclass(frozen=True)
class TrainedClassifier:
    """A finished fit of `dermsynth fit`.

    Attributes:
        path: Its folder.
        config: How it was trained.
        classes: In the order of its probabilities.
        size_px: Of the images that it saw.
        sha256: Hash of its weights.
        network: What `rebuild` makes its network from.
        temperature: What its calibration divides the logarithms of probabilities by; None: it is not calibrated.
        card: What `card.json` says.
    """

    path: Path
    config: FitConfig
    classes: tuple[str, ...]
    size_px: int
    sha256: str
    network: Mapping[str, Any]
    temperature: float | None
    card: Mapping[str, Any]

    @classmethod
    def open(cls, fit: Path | str) -> TrainedClassifier:
        """Return the fit; no weight is read yet. Raises ArtefactError if it is no finished fit."""
        path = Path(fit)
        card = artefacts.read_card(path, "fit")
        config = parse(FitConfig, card["config"], f"{path}: its card")
        if "network" not in card:
            raise ArtefactError(
                f"{path}: was fitted by an older version, whose networks are no longer known; fit again"
            )
        sha256 = card["files"][WEIGHTS]["sha256"]
        temperature = (card.get("temperature") or {}).get("value")
        return cls(path, config, tuple(card["classes"]), card["size_px"], sha256, card["network"], temperature, card)

    def check(self, cohort: Cohort) -> None:
        """Raise an error unless this is a fit of this very cohort and split.

        A fit shares no lesion between what it learnt from and what it predicts. So if it predicts the cohort's val and
        test images, and as these, it learnt from none of their lesions, and test chose nothing.

        Raises:
            InputError: other classes or another size.
            LeakageError: an image of val or test that the fit does not predict as such: it may have learnt from it.
        """
        if self.classes != cohort.classes or self.size_px != cohort.size_px:
            raise InputError(
                f"{self.path}: knows {', '.join(self.classes)} at {self.size_px} px, and {cohort.path or 'the cohort'} "
                f"has {', '.join(cohort.classes)} at {cohort.size_px} px; fit a classifier on that cohort"
            )
        for part in ("val", "test"):
            known = set(read_predictions(self.path, part).image_ids.tolist())
            strangers = [name for name in cohort.part(part).table["image_id"] if name not in known]
            if strangers:
                raise LeakageError(
                    f"{self.path}: may have learnt from image '{strangers[0]}', which is in the {part} part "
                    f"({len(strangers)} such images in all); fit a classifier on this cohort and this split"
                )

    def probabilities(self, cohort: Cohort) -> NDArray[np.float64]:
        """Return the class probabilities of every image, N x C, by the fit's temperature if it has one."""
        return self.look(cohort.images)[1]

    def look(self, images: ImageStack | NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return features (N x D, as they are computed when predicting) and `probabilities` of N x S x S x 3, uint8."""
        network, fabric = self._network
        seen, single = look(network, images, fabric, self.config.tta)
        found = single.astype(np.float64)
        return seen, found if self.temperature is None else tempered(found, self.temperature)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what its network's head sees of images (N x S x S x 3, uint8), N x D, computed in full float32."""
        import torch

        from dermsynth.training.device import to_network

        network, fabric = self._network
        count, found = network.at_once(self.size_px), []
        network.eval()
        with torch.inference_mode(), torch.autocast(fabric.device.type, enabled=False):
            for start in range(0, len(images), count):
                seen = to_network(torch.from_numpy(images[start : start + count]), fabric)
                found.append(network.features(seen).float().cpu().numpy())
        return np.concatenate(found)

    @cached_property
    def usual(self) -> Clusters | None:
        """Return where the features of its training images lie; None for a fit of an older version."""
        return read_novelty(self.path) if self.card.get("novelty") else None

    def loaded(self) -> Network:
        """Return its network with its weights, on the processor, in eval mode."""
        from dermsynth.training import checkpoint

        path = self.path / WEIGHTS
        network = rebuild(self.network, len(self.classes))
        checkpoint.load_network(WEIGHTS_PREFIX, network, checkpoint.load(path)[0], path)
        return network.eval()

    @cached_property
    def _network(self) -> tuple[Network, Fabric]:
        from dermsynth.training.device import make_fabric, place

        fabric, network = make_fabric(self.config.precision), self.loaded()
        # In the layout in which it learnt, so that it predicts the same bits again.
        place(network, fabric)
        return network, fabric
