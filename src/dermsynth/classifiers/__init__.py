"""Classifiers: from a cohort to predictions. The registry maps names to networks without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    from dermsynth.classifiers.networks.config import NetworkConfig
    from dermsynth.classifiers.networks.network import Backbone, Network

_NETWORKS = "dermsynth.classifiers.networks"


@dataclass(frozen=True)
class Family:
    """Where a model's network comes from.

    Attributes:
        make: Function of a NetworkConfig, what follows the name's colon, and the images' side in px; returns a
            backbone with the weights that it starts from.
        takes: The settings of `NetworkConfig` that the network has.
        head: Name in `HEADS`.
        source: What follows the colon: the folder of a pretrained network, a run of `dermsynth train`, or nothing.
        least_width: The smallest `width` that it takes.
    """

    make: str
    takes: frozenset[str] = frozenset()
    head: str = "linear"
    source: Literal["nothing", "folder", "run"] = "nothing"
    least_width: int = 1


_SCALED, _STARTED = frozenset({"width", "stem"}), frozenset({"fresh"})
_FOLDER = Family(f"{_NETWORKS}.hub:pretrained", _STARTED | {"input_px"}, source="folder")
_RUN = Family(f"{_NETWORKS}.discriminator:of_run", _STARTED, source="run")
MODELS = {
    "small-cnn": Family(f"{_NETWORKS}.small_cnn:small_cnn", frozenset({"width"})),
    "mobilenet-v1": Family(f"{_NETWORKS}.scratch:mobilenet_v1", _SCALED),
    # With fewer than 8 maps, the backward pass of its convolutions corrupts memory (torch 2.13, x86 without AVX-512).
    "resnet-18": Family(f"{_NETWORKS}.scratch:resnet_18", _SCALED, least_width=8),
    "resnet-50": Family(f"{_NETWORKS}.scratch:resnet_50", _SCALED),
    "discriminator": Family(f"{_NETWORKS}.discriminator:untrained", frozenset({"width"})),
    "discriminator:RUN": _RUN,
    "hf:FOLDER": _FOLDER,
    "class-head:RUN": Family(f"{_NETWORKS}.discriminator:of_run", head="own", source="run"),
    "probe:ENCODER": Family("", head="probe"),
    "knn:ENCODER": Family("", head="knn"),
}
"""The models by name; in capitals, what people put in its place."""
ENCODERS = {
    "handmade": Family(f"{_NETWORKS}.handmade:handmade"),
    "hf:FOLDER": _FOLDER,
    "discriminator:RUN": _RUN,
}
"""The networks whose features `probe:` and `knn:` use as they are."""
BACKBONES = {
    "small-cnn": f"{_NETWORKS}.small_cnn:SmallCnn",
    "vision": f"{_NETWORKS}.vision:Vision",
    "discriminator": f"{_NETWORKS}.discriminator:Discriminator",
    "handmade": f"{_NETWORKS}.handmade:Handmade",
}
"""The classes of backbones by `kind`, for networks that are made again from their settings."""
HEADS = {
    "linear": f"{_NETWORKS}.network:linear",
    "own": f"{_NETWORKS}.frozen:own",
    "probe": f"{_NETWORKS}.frozen:probe",
    "knn": f"{_NETWORKS}.frozen:neighbours",
}
"""Functions of a backbone and the number of classes; they return the network."""


@dataclass(frozen=True)
class Choice:
    """A model's name, understood: where its backbone comes from, with which argument, and its head."""

    backbone: Family
    argument: str
    head: str

    @property
    def learns_in_steps(self) -> bool:
        """Return whether the network is trained by gradient steps."""
        return self.head == "linear"


def find(model: str) -> Choice:
    """Return what a model's name stands for; raises ConfigError that suggests the nearest name."""
    family, argument = _find(model, MODELS, "model")
    if family.make:
        return Choice(family, argument, family.head)
    encoder, inner = _find(argument, ENCODERS, "encoder")
    return Choice(encoder, inner, family.head)


def build(choice: NetworkConfig, classes: int, size_px: int) -> Network:
    """Return the network of a configuration, with the weights that it starts from.

    Weights that are not read from a file are drawn from torch's global generator.

    Args:
        choice: The network; a FitConfig is one.
        classes: Number of scores.
        size_px: Side of the images.

    Raises:
        InputError: images that are too small for it, or a folder or run that it cannot be made from.
        ArtefactError: a run that is none.
    """
    found = find(choice.model)
    backbone: Backbone = _load(found.backbone.make)(choice, found.argument, size_px)
    backbone.check(size_px)
    return _with_head(backbone, classes, found.head)


def rebuild(description: Mapping[str, Any], classes: int) -> Network:
    """Return the network that `Network.description` describes, whose weights are still to be loaded."""
    backbone = _load(BACKBONES[description["backbone"]])(**description["settings"])
    backbone.origin = description["origin"]
    return _with_head(backbone, classes, description["head"])


def _with_head(backbone: Backbone, classes: int, head: str) -> Network:
    network: Network = _load(HEADS[head])(backbone, classes)
    network.description = {
        "backbone": backbone.kind,
        "settings": backbone.settings,
        "origin": backbone.origin,
        "head": head,
    }
    return network


def _find(name: str, known: Mapping[str, Family], what: str) -> tuple[Family, str]:
    first, colon, argument = name.partition(":")
    asking = next((key for key in known if key.startswith(f"{first}:")), None)
    if argument and asking:
        return known[asking], argument
    if first in known and not colon:
        return known[first], ""
    if first in known or asking:
        raise ConfigError(f"unknown {what}; write '{asking or first}'")
    raise ConfigError(f"unknown {what}; {nearest(first, known)}")


def _load(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)
