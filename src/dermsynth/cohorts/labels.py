"""Label maps: the classes of one data set in those of another, as data with their meaning.

A map is a YAML file with `meaning`, the convention in words with its source, and `labels`, from every label that may
occur to its class, or to null for images that are left out. Those in `maps/` go by their names.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from pydantic import Field

from dermsynth.core.config import Config, load_yaml, nearest
from dermsynth.core.errors import ConfigError, InputError

MAPS = Path(__file__).parent / "maps"


class LabelMap(Config):
    """What each label becomes."""

    meaning: str = Field(min_length=1)
    labels: dict[str, str | None] = Field(min_length=1)


def load_map(name_or_path: str) -> LabelMap:
    """Return the map in a YAML file, or one that comes with dermsynth by its name.

    Raises:
        ConfigError: no such file or name (with the nearest one), or a file that is no map.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        names = sorted(known.stem for known in MAPS.glob("*.yaml"))
        if name_or_path not in names:
            raise ConfigError(f"no label map '{name_or_path}'; {nearest(name_or_path, names)}, or give a .yaml file")
        path = MAPS / f"{name_or_path}.yaml"
    return load_yaml(LabelMap, path)


def relabelled(rows: pl.DataFrame, classes: tuple[str, ...], name_or_path: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the rows of a source under the classes of a label map, and these classes in the map's order.

    Rows whose label becomes null are left out. The column `original_label` keeps what the source said.

    Args:
        rows: As `Source.check` returns them.
        classes: The source's classes.
        name_or_path: Of the map.

    Raises:
        ConfigError: as `load_map`.
        InputError: a class that the map does not know, or fewer than two classes left.
    """
    labels = load_map(name_or_path).labels
    for name in classes:
        if name not in labels:
            raise InputError(f"label map {name_or_path}: says nothing about class '{name}'; {nearest(name, labels)}")
    reached = {labels[name] for name in classes}
    left = tuple(name for name in dict.fromkeys(labels.values()) if name is not None and name in reached)
    if len(left) < 2:
        raise InputError(
            f"label map {name_or_path}: leaves {len(left)} of {len(classes)} classes; 2 at least are needed"
        )
    renamed = rows.with_columns(
        label=pl.col("label").replace_strict(labels, return_dtype=pl.String), original_label="label"
    )
    return renamed.filter(pl.col("label").is_not_null()), left
