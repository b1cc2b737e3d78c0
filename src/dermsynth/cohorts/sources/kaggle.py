"""Kaggle's "Skin Cancer: Malignant vs. Benign" (fanconic): 3,297 images of 224 x 224 px, the set of many papers."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

_PARTS = ("train", "test")


class KaggleConfig(Config):
    """The folder that holds `train` and `test`, or Kaggle's zip."""

    kind: Literal["kaggle-benign-malignant"] = "kaggle-benign-malignant"
    root: str
    """Folder or zip of the published files."""


class KaggleSource(FileSource):
    """`<train|test>/<benign|malignant>/*.jpg`, at any depth; an image's id is that path without the ending.

    The same file names occur in train and test and mean different images. Kaggle's zip holds everything a second time
    below `data/`: of such copies the outermost is read.
    """

    classes = ("benign", "malignant")
    lesions = "unknown: no ids of lesions or patients are published; every image counts as a lesion of its own"
    licence = "as the ISIC Archive's. kaggle.com/datasets/fanconic/skin-cancer-malignant-vs-benign"

    def __init__(self, config: KaggleConfig) -> None:
        self.root = expand(config.root)

    @property
    def table(self) -> Path:
        """Return the root: there is no table."""
        return self.root

    @cached_property
    def files(self) -> ImageFiles:
        """The images of both parts, once each."""
        whole = ImageFiles([self.root], _path)
        trees: dict[str, dict[str, str]] = {}
        for path in whole.ids:
            tree, image_id = _divided(path)
            trees.setdefault(tree, {})[image_id] = path
        if not trees:
            raise InputError(
                f"{self.root}: has no image in train/benign, train/malignant, test/benign or test/malignant"
            )
        outermost = min(trees, key=lambda tree: (tree.count("/"), tree))
        for tree, images in trees.items():
            if images.keys() != trees[outermost].keys():
                raise InputError(
                    f"{self.root}: '{tree or '.'}' and '{outermost or '.'}' both hold images and not the same ones; "
                    "give one of them as the root"
                )
        return whole.renamed(trees[outermost])

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image, train first."""
        ids = sorted(self.files.ids, key=lambda image_id: (not image_id.startswith("train"), image_id))
        rows = [(image_id, *image_id.split("/")[:2], self.files.title(image_id)) for image_id in ids]
        table = pl.DataFrame(rows, schema=dict.fromkeys(("image_id", "part", "label", "at"), pl.String), orient="row")
        return table.with_columns(
            lesion_id=pl.col("image_id"), patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("kaggle")
        )


def _path(path: PurePosixPath) -> str | None:
    """Return the path without ending of an image in a folder of a class in a folder of a part."""
    *_, part, label, _ = ("", "", "", *path.parts)
    return str(path.with_suffix("")) if part in _PARTS and label in KaggleSource.classes else None


def _divided(path: str) -> tuple[str, str]:
    """Return the folder that holds the parts, and the image's id below it."""
    parts = path.split("/")
    return "/".join(parts[:-3]), "/".join(parts[-3:])
