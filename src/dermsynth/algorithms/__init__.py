"""Published generative methods, one file each. The registry maps a name to its class without importing torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    from dermsynth.algorithms.base import Algorithm

ALGORITHMS = {
    "acgan": "dermsynth.algorithms.acgan:Acgan",
    "cgan": "dermsynth.algorithms.cgan:Cgan",
    "cyclegan": "dermsynth.algorithms.cyclegan:Cyclegan",
    "dcgan": "dermsynth.algorithms.dcgan:Dcgan",
    "gan": "dermsynth.algorithms.gan:Gan",
    "lapgan": "dermsynth.algorithms.lapgan:Lapgan",
    "progressive": "dermsynth.algorithms.progressive:Progressive",
    "r3gan": "dermsynth.algorithms.r3gan:R3gan",
    "rectified-flow": "dermsynth.algorithms.rectified_flow:RectifiedFlow",
    "sgan": "dermsynth.algorithms.sgan:Sgan",
    "stylegan2": "dermsynth.algorithms.stylegan2:StyleGan2",
    "wgan-gp": "dermsynth.algorithms.wgan_gp:WganGp",
}


def algorithm_class(name: str) -> type[Algorithm]:
    """Return the class of an algorithm; raises ConfigError that suggests the nearest name."""
    if name not in ALGORITHMS:
        raise ConfigError(f"unknown algorithm '{name}'; {nearest(name, ALGORITHMS)}")
    module, attribute = ALGORITHMS[name].split(":")
    found: type[Algorithm] = getattr(import_module(module), attribute)
    return found
