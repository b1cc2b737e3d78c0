"""Classifiers: from a cohort to predictions. The registry maps a name to its builder without importing torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

MODELS = {
    "small-cnn": "dermsynth.classifiers.models:SmallCnn",
}


def model_builder(name: str) -> Callable[[int, int], nn.Module]:
    """Return the builder (classes, width) -> network; raises ConfigError that suggests the nearest name."""
    if name not in MODELS:
        raise ConfigError(f"unknown model '{name}'; {nearest(name, MODELS)}")
    module, attribute = MODELS[name].split(":")
    found: Callable[[int, int], nn.Module] = getattr(import_module(module), attribute)
    return found
