"""Sources of images, one file per data set, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from dermsynth.cohorts.sources.base import Source
from dermsynth.cohorts.sources.csv_table import CsvConfig, CsvSource
from dermsynth.cohorts.sources.dermamnist import DermaMnistConfig, DermaMnistSource
from dermsynth.cohorts.sources.folder import FolderConfig, FolderSource
from dermsynth.cohorts.sources.ham10000 import Ham10000Config, Ham10000Source
from dermsynth.cohorts.sources.isic2016 import Isic2016Config, Isic2016Source
from dermsynth.cohorts.sources.isic2017 import Isic2017Config, Isic2017Source
from dermsynth.cohorts.sources.isic2018 import Isic2018Config, Isic2018Source
from dermsynth.cohorts.sources.isic2019 import Isic2019Config, Isic2019Source
from dermsynth.cohorts.sources.isic2020 import Isic2020Config, Isic2020Source
from dermsynth.cohorts.sources.isic_archive import IsicArchiveConfig, IsicArchiveSource
from dermsynth.cohorts.sources.kaggle import KaggleConfig, KaggleSource
from dermsynth.cohorts.sources.ph2 import Ph2Config, Ph2Source
from dermsynth.cohorts.sources.phantom import PhantomConfig, PhantomSource
from dermsynth.core.config import nearest, parse
from dermsynth.core.errors import ConfigError

SourceConfig = Annotated[
    CsvConfig
    | DermaMnistConfig
    | FolderConfig
    | Ham10000Config
    | Isic2016Config
    | Isic2017Config
    | Isic2018Config
    | Isic2019Config
    | Isic2020Config
    | IsicArchiveConfig
    | KaggleConfig
    | Ph2Config
    | PhantomConfig,
    Field(discriminator="kind"),
]

SOURCES: dict[str, tuple[type[Any], type[Any]]] = {
    "folder": (FolderConfig, FolderSource),
    "csv": (CsvConfig, CsvSource),
    "ham10000": (Ham10000Config, Ham10000Source),
    "isic2016-task3": (Isic2016Config, Isic2016Source),
    "isic2017-task3": (Isic2017Config, Isic2017Source),
    "isic2018-task3": (Isic2018Config, Isic2018Source),
    "isic2019": (Isic2019Config, Isic2019Source),
    "isic2020": (Isic2020Config, Isic2020Source),
    "isic-archive": (IsicArchiveConfig, IsicArchiveSource),
    "kaggle-benign-malignant": (KaggleConfig, KaggleSource),
    "ph2": (Ph2Config, Ph2Source),
    "dermamnist": (DermaMnistConfig, DermaMnistSource),
    "phantom": (PhantomConfig, PhantomSource),
}


def source_config(kind: str, values: Mapping[str, Any]) -> SourceConfig:
    """Return the checked configuration of a source; raises ConfigError that suggests the nearest kind or key."""
    if kind not in SOURCES:
        raise ConfigError(f"unknown source '{kind}'; {nearest(kind, SOURCES)}")
    config: SourceConfig = parse(SOURCES[kind][0], values, f"source {kind}")
    return config


def make_source(config: SourceConfig) -> Source:
    """Return the source that a configuration describes."""
    source: Source = SOURCES[config.kind][1](config)
    return source
