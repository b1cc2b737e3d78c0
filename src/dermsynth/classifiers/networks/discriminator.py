"""The discriminator of a generator as a classifier: its features, for paper 003, and its own class logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dermsynth.algorithms import algorithm_class
from dermsynth.algorithms.base import Algorithm
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.network import Backbone
from dermsynth.core.config import parse
from dermsynth.core.errors import InputError
from dermsynth.training.finished import FinishedRun


class Discriminator(Backbone):
    """The layers of an algorithm's discriminator up to its features, for images of the size that it was made for.

    Args:
        algorithm: Its name.
        settings: Its settings.
        size_px: Side of its images.
        classes: The classes that it knows.

    Attributes:
        class_layer: Weight and bias from the features to the logits of these classes; None where it has none.

    Raises:
        InputError: the algorithm has no such layers.
    """

    kind = "discriminator"

    def __init__(self, algorithm: str, settings: Mapping[str, Any], size_px: int, classes: Sequence[str]) -> None:
        super().__init__()
        self._arguments = {
            "algorithm": algorithm,
            "settings": dict(settings),
            "size_px": size_px,
            "classes": list(classes),
        }
        self.take(_made(self._arguments))
        self.least_px = size_px

    def take(self, algorithm: Algorithm) -> None:
        """Take over the layers of this algorithm's discriminator, with its weights."""
        layers = algorithm.feature_layers()
        if layers is None:
            raise InputError(
                f"the discriminator of {algorithm.name} does not make features of an image alone; "
                "take a run of acgan, dcgan, r3gan, sgan or wgan-gp"
            )
        own = algorithm.class_layer()
        self.class_layer = None if own is None else own.state_dict()
        self.layers = nn.Sequential(*(nn.Sequential(*block) for block in _blocks(layers))).eval()
        with torch.no_grad():
            self.dimensions = int(self.layers(torch.zeros(1, 3, algorithm.size_px, algorithm.size_px)).shape[1])
        self.layers.train(self.training)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the algorithm, its settings, the size and the classes."""
        return self._arguments

    def blocks(self) -> list[nn.Module]:
        """Return each convolution or block with the norms that follow it."""
        return list(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float32."""
        features: Tensor = self.layers(images).float()
        return features

    def check(self, size_px: int) -> None:
        """Raise InputError unless images have the side that the discriminator was made for."""
        if size_px != self.least_px:
            raise InputError(f"images have {size_px} px, this discriminator knows {self.least_px}; ingest at that size")


def _blocks(layers: nn.Sequential) -> list[list[nn.Module]]:
    """Return the layers in groups that begin with those that have more than scales and biases."""
    found: list[list[nn.Module]] = []
    for layer in layers:
        if not found or any(weight.ndim > 1 for weight in layer.parameters()):
            found.append([])
        found[-1].append(layer)
    return found


def untrained(choice: NetworkConfig, argument: str, size_px: int) -> Discriminator:
    """Return the discriminator of DCGAN, which paper 003 classifies with, from scratch."""
    settings = {} if choice.width is None else {"width": choice.width}
    return Discriminator("dcgan", settings, size_px, ["lesion"])


def of_run(choice: NetworkConfig, argument: str, size_px: int) -> Discriminator:
    """Return the discriminator of a finished run with its last weights, or new ones where the choice is `fresh`.

    Raises:
        ArtefactError: no finished run.
        InputError: an algorithm whose discriminator makes no features of an image alone.
    """
    run = FinishedRun.open(argument)
    made = Discriminator(run.name, run.card["config"]["settings"], run.size_px, run.classes)
    if not choice.fresh:
        algorithm = _made(made.settings)
        run.load(algorithm)
        made.take(algorithm)
    made.origin = {"run": run.card["config"], "networks_sha256": run.sha256, "fresh": choice.fresh}
    return made


def _made(arguments: Mapping[str, Any]) -> Algorithm:
    chosen = algorithm_class(arguments["algorithm"])
    config = parse(chosen.Config, arguments["settings"], f"settings of {chosen.name}")
    return chosen(config, arguments["size_px"], arguments["classes"])
