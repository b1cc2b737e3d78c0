"""Rules that reject what was there before: near-copies of training images, and repeats."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from dermsynth.cohorts.duplicates import SIMILAR, near_duplicates
from dermsynth.cohorts.stack import ImageStack
from dermsynth.encoders.chosen import Floats
from dermsynth.pools.nearest import nearest
from dermsynth.pools.screens.rule import Ints, Judgement, Pixels, Rule, Views, by_limit, limit_of_real


class NearCopy(Rule):
    """Rejects images that are more like a training image than real images of other lesions are."""

    what: ClassVar[str] = "difference from the nearest training image"
    unit: ClassVar[str] = "grey levels"
    reason: ClassVar[str] = "{value:.1f} grey levels from a training image, less than {threshold:.1f}"
    rule: Literal["near-copy"] = "near-copy"
    share: float = Field(0.01, gt=0, le=0.5)
    """Of the real images of val that it would reject, which sets the limit."""

    def judge(self, views: Views) -> Judgement:
        """Judge by the pixels of the training image that the encoder proposes, under all mirrors and quarter turns."""
        train = views.train.cohort.images
        found, real = (
            nearest(view.cohort.images, train, view.encoder, views.train.features)
            for view in (views.pool, views.held_out)
        )
        limit = limit_of_real(self, real.difference, self.share)

        def beside(rows: Ints) -> Pixels:
            return found.beside(train, rows)

        return by_limit(self, found.difference, limit, real.difference, beside=beside)


class Duplicate(Rule):
    """Rejects images that show the photograph of another one: of those in the pool all but the first.

    Resized, recompressed, mirrored, turned, toned or cropped copies, see `cohorts.duplicates`.
    """

    what: ClassVar[str] = "similarity to another image"
    unit: ClassVar[str] = "correlation of aligned details"
    reason: ClassVar[str] = "similarity {value:.3f} to another image, more than {threshold:.3f}"
    rule: Literal["duplicate"] = "duplicate"
    of: Literal["pool", "train"] = "pool"
    similar: float = Field(SIMILAR, ge=SIMILAR, lt=1)
    """What is less similar than the default is never found."""

    @property
    def high(self) -> bool:
        """Return True."""
        return True

    def judge(self, views: Views) -> Judgement:
        """Judge by the most similar training image, or by the images of the pool that show the same."""
        pool, train = views.pool.cohort.images, views.train.cohort.images
        if self.of == "pool":
            others, real = pool, np.empty(0)
            values, partners = repeats(pool, self.similar)
        else:
            others, real = train, copies(views.held_out.cohort.images, train)[0]
            values, partners = copies(pool, train)

        def beside(rows: Ints) -> Pixels:
            return others[partners[rows]]

        return by_limit(self, values, self.similar, real, beside=beside)


def copies(images: ImageStack, others: ImageStack) -> tuple[Floats, Ints]:
    """Return how similar each image is to the most similar of the others, 0 for none, and which that is."""
    values, partners = np.zeros(len(images)), np.zeros(len(images), dtype=np.int64)
    for a, b, similarity in near_duplicates(images, others).select("a", "b", "similarity").iter_rows():
        if similarity > values[a]:
            values[a], partners[a] = similarity, b
    return values, partners


def repeats(images: ImageStack, similar: float) -> tuple[Floats, Ints]:
    """Return how similar each image is to others of its group, 0 for the group's first, and which that is.

    Groups are what pairs more similar than `similar` connect: of many copies only the nearest are known as pairs.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = near_duplicates(images).filter(pl.col("similarity") > similar)
    a, b, similarity = (pairs[name].to_numpy() for name in ("a", "b", "similarity"))
    size = len(images)
    groups = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(size, size)), directed=False)[1]
    first = np.unique(groups, return_index=True)[1][groups].astype(np.int64)
    values = np.zeros(size)
    for side in (a, b):
        np.maximum.at(values, side, similarity)
    values[first] = 0
    return values, first
