"""Sources of images, one file per data set, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from dermsynth.cohorts.sources.base import Source
from dermsynth.cohorts.sources.folder import FolderConfig, FolderSource
from dermsynth.cohorts.sources.ham10000 import Ham10000Config, Ham10000Source
from dermsynth.cohorts.sources.isic2018 import Isic2018Config, Isic2018Source
from dermsynth.cohorts.sources.phantom import PhantomConfig, PhantomSource
from dermsynth.core.config import nearest, parse
from dermsynth.core.errors import ConfigError

SourceConfig = Annotated[FolderConfig | Ham10000Config | Isic2018Config | PhantomConfig, Field(discriminator="kind")]

_SOURCES: dict[str, tuple[type[Any], type[Any]]] = {
    "folder": (FolderConfig, FolderSource),
    "ham10000": (Ham10000Config, Ham10000Source),
    "isic2018-task3": (Isic2018Config, Isic2018Source),
    "phantom": (PhantomConfig, PhantomSource),
}


def source_config(kind: str, values: Mapping[str, Any]) -> SourceConfig:
    """Return the checked configuration of a source; raises ConfigError that suggests the nearest kind or key."""
    if kind not in _SOURCES:
        raise ConfigError(f"unknown source '{kind}'; {nearest(kind, _SOURCES)}")
    config: SourceConfig = parse(_SOURCES[kind][0], values, f"source {kind}")
    return config


def make_source(config: SourceConfig) -> Source:
    """Return the source that a configuration describes."""
    source: Source = _SOURCES[config.kind][1](config)
    return source
