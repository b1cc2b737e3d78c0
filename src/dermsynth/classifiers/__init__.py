"""Classifiers: from a cohort to predictions. The registry maps names to networks without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    from dermsynth.classifiers.networks.config import NetworkConfig
    from dermsynth.classifiers.networks.network import Network

_NETWORKS = "dermsynth.classifiers.networks"


@dataclass(frozen=True)
class Family:
    """Where a network is made, and the settings of `NetworkConfig` that it has.

    `make` is called with a NetworkConfig, what follows the colon of the model's name, and the images' side in px; it
    returns a backbone.
    """

    make: str
    takes: frozenset[str] = frozenset()
    argument: str = ""
    """What follows the colon, for people; empty where nothing does."""


MODELS = {
    "small-cnn": Family(f"{_NETWORKS}.small_cnn:small_cnn", frozenset({"width"})),
    "mobilenet-v1": Family(f"{_NETWORKS}.scratch:mobilenet_v1", frozenset({"width", "stem"})),
    "resnet-18": Family(f"{_NETWORKS}.scratch:resnet_18", frozenset({"width", "stem"})),
    "resnet-50": Family(f"{_NETWORKS}.scratch:resnet_50", frozenset({"width", "stem"})),
    "hf": Family(f"{_NETWORKS}.hub:pretrained", frozenset({"input_px", "fresh"}), "FOLDER"),
}
BACKBONES = {
    "small-cnn": f"{_NETWORKS}.small_cnn:SmallCnn",
    "vision": f"{_NETWORKS}.vision:Vision",
}
"""The classes of backbones by `kind`, for networks that are made again from their settings."""


@dataclass(frozen=True)
class Choice:
    """A model's name, understood."""

    family: Family
    argument: str = ""


def find(model: str) -> Choice:
    """Return what a model's name stands for; raises ConfigError that suggests the nearest name."""
    name, _, argument = model.partition(":")
    if name not in MODELS:
        raise ConfigError(f"unknown model; {nearest(name, MODELS)}")
    return Choice(MODELS[name], argument)


def build(choice: NetworkConfig, classes: int, size_px: int) -> Network:
    """Return the network of a configuration, with the weights that it starts from.

    Weights that are not read from a file are drawn from torch's global generator.

    Args:
        choice: The network; a FitConfig is one.
        classes: Number of scores.
        size_px: Side of the images.

    Raises:
        InputError: images that are too small for it.
    """
    from dermsynth.classifiers.networks.network import linear

    found = find(choice.model)
    return linear(_load(found.family.make)(choice, found.argument, size_px), classes, size_px)


def rebuild(description: Mapping[str, Any], classes: int, size_px: int) -> Network:
    """Return the network that `Network.description` describes, whose weights are still to be loaded."""
    from dermsynth.classifiers.networks.network import linear

    backbone = _load(BACKBONES[description["backbone"]])(**description["settings"])
    return linear(backbone, classes, size_px)


def _load(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)
