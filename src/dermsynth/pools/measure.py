"""Measure a pool: how near its images are to real ones, how varied, and whether they repeat what was learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core.errors import InputError, LeakageError
from dermsynth.core.randomness import numpy_generator
from dermsynth.encoders.chosen import Encoder
from dermsynth.metrics.memorisation import (
    authenticity,
    copying_statistic,
    membership_attack,
    share_nearer_to_train,
)
from dermsynth.metrics.ssim import scales
from dermsynth.pools.encoder import fitted, pool_encoder
from dermsynth.pools.mix import check_comparable, check_no_synthetic_outside_train
from dermsynth.pools.sides import PAIRS, Side, class_tests, compared, with_floors

FEWEST, MOST = 20, 1000
"""Images of a class in each of the three sets: with fewer it is left out, and no more are compared."""


def measure(cohort: Cohort, pool: Cohort, *, encoder: Path | str | None = None, seed: int = 0) -> dict[str, Any]:
    """Return what is measured of a pool, as JSON values.

    Of every class as many synthetic, train and held-out (val and test) images are drawn, as many as the smallest set
    has and at most 1000; classes with fewer than 20 in a set are left out. `n` is their number in all, `dimensions`
    that of the features.

    `measures` has for each measure of `dermsynth.pools.sides.GROUPS` the `value` of the synthetic images and the
    `floor`, that of held-out ones: both are compared with the same train images, and all three sets have equal
    classes. Some have an interval (`low`, `high`) or a `standard_error`. `classes` has the same class by class.
    `left_out` says why a class is not there. `memorisation` compares with the train images that the generator learnt
    from. `authenticity`, with its floor, and `copying` (C_T, None if there are too few) look at the images above;
    `nearer_to_train` and `membership`, an attack on the generator, at all synthetic images of these classes, and at as
    many train as held-out images of every class. Intervals are clustered by lesion.

    Args:
        cohort: Real images with the split in which the pool is used.
        pool: Synthetic images, opened from their folder.
        encoder: As `dermsynth.pools.encoder.pool_encoder` takes it; default: the offline encoder.
        seed: Picks the images.

    Raises:
        InputError: classes or sizes differ, or too few images of every class, with the numbers that are needed.
        LeakageError: the generator saw a lesion of val or test, an image there is synthetic or also in train, or the
            encoder is a fit that may have learnt from there.
    """
    check_no_synthetic_outside_train(cohort)
    check_comparable(cohort, pool)
    train = cohort.part("train").select(pl.col("origin") == "real")
    held_out = cohort.select(pl.col("split").is_in(["val", "test"]))
    _check_apart(train, held_out)
    sizes, left_out = _sizes(cohort, {"synthetic": pool, "train": train, "held-out": held_out})
    if not sizes:
        told = "; ".join(f"{name} has {few}" for name, few in left_out.items())
        raise InputError(
            f"{pool.path}: too few images to be measured: {told}; draw more, split less for training, or look at "
            "them with 'dermsynth preview nearest'"
        )
    chosen, classifier = pool_encoder(encoder, cohort), fitted(encoder)
    sets = {name: _Set(images, chosen) for name, images in (("synthetic", pool), ("train", train), ("real", held_out))}
    rows = {
        name: np.concatenate([each.draw(label, n, seed, f"measure {name}") for label, n in sizes.items()])
        for name, each in sets.items()
    }
    sides = {}
    for name, each in sets.items():
        drawn = each.cohort.select(rows[name])
        probabilities = classifier.probabilities(drawn) if classifier else None
        sides[name] = Side.of(drawn, each.features[rows[name]], probabilities)
    return {
        "encoder": chosen.name,
        "dimensions": int(sides["train"].features.shape[1]),
        "n": len(rows["train"]),
        "ms_ssim": {"scales": scales(cohort.size_px), "pairs_of_a_class": PAIRS},
        "measures": _measures(sides, seed),
        "classes": {
            label: {
                "n": n,
                "measures": _measures(
                    {name: side.of_class(cohort.classes.index(label)) for name, side in sides.items()}, seed
                ),
            }
            for label, n in sizes.items()
        },
        "left_out": left_out,
        "memorisation": _memorisation(pool, sets, rows, sizes, seed),
    }


class _Set:
    """Images with their features and what is needed to draw from them."""

    def __init__(self, cohort: Cohort, encoder: Encoder) -> None:
        self.cohort = cohort
        self.features = encoder.features(cohort)
        self.lesions = np.array(cohort.table["lesion_id"].to_list(), dtype=np.str_)

    def draw(
        self, label: str, n: int, seed: int, purpose: str, among: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Return the rows of n images of a class."""
        number = self.cohort.classes.index(label)
        of_class = self.cohort.labels == number
        rows = np.flatnonzero(of_class if among is None else of_class & among)
        return numpy_generator(seed, purpose, number).choice(rows, n, replace=False)


def _check_apart(train: Cohort, held_out: Cohort) -> None:
    """Raise LeakageError if held-out images show what train shows: they would be no floor, but memories."""
    for column in ("sha256", "image_id", "lesion_id"):
        both = held_out.table.filter(pl.col(column).is_in(train.table[column].implode()))
        if both.height:
            first = both.row(0, named=True)
            raise LeakageError(
                f"{train.path or 'cohort'}: image '{first['image_id']}' of the {first['split']} part has {column} "
                f"'{first[column]}', and so has one of train ({both.height} such images in all): held-out images are "
                "no floor then; split the cohort by lesion"
            )


def _sizes(cohort: Cohort, sets: Mapping[str, Cohort]) -> tuple[dict[str, int], dict[str, str]]:
    """Return how many images of each class are compared, and why some classes are not."""
    sizes, left_out = {}, {}
    for label in cohort.classes:
        counts = {name: images.counts()[label] for name, images in sets.items()}
        if min(counts.values()) >= FEWEST:
            sizes[label] = min(MOST, *counts.values())
        elif not counts["synthetic"]:
            left_out[label] = "no synthetic image"
        else:
            (synthetic, train, held_out) = counts.values()
            left_out[label] = (
                f"{synthetic} synthetic, {train} train and {held_out} held-out images, and {FEWEST} of each are needed"
            )
    return sizes, left_out


def _measures(sides: Mapping[str, Side], seed: int) -> dict[str, dict[str, Any]]:
    train, synthetic, real = (sides[name] for name in ("train", "synthetic", "real"))
    found = with_floors(compared(train, synthetic, seed), compared(train, real, seed))
    return {**found, **class_tests(train, synthetic, real)}


def _memorisation(
    pool: Cohort, sets: Mapping[str, _Set], drawn: Mapping[str, NDArray[np.int64]], sizes: Mapping[str, int], seed: int
) -> dict[str, Any]:
    train, real = sets["train"], sets["real"]
    learnt = _learnt(pool, train.cohort)
    fewer = {
        label: min(int(learnt[train.cohort.labels == number].sum()), real.cohort.counts()[label])
        for number, label in enumerate(train.cohort.classes)
        if label in sizes
    }
    equal = {label: n for label, n in fewer.items() if n >= FEWEST}
    if not equal:
        raise InputError(
            f"{pool.path}: its generator learnt from too few images of the train part: "
            + ", ".join(f"{label} {n}" for label, n in fewer.items())
            + f"; {FEWEST} of a class are needed; give the cohort that it was trained on"
        )
    members, others = (
        np.concatenate([each.draw(label, n, seed, purpose, among) for label, n in equal.items()])
        for each, purpose, among in ((train, "members", learnt), (real, "non-members", None))
    )
    synthetic = sets["synthetic"].features[pool.table["label"].is_in(list(equal)).to_numpy()]
    learnt_from = train.features[learnt]
    fakes, unseen = sets["synthetic"].features[drawn["synthetic"]], real.features[drawn["real"]]
    lesions = train.lesions[members], real.lesions[others]
    copying = copying_statistic(fakes, learnt_from, unseen)
    return {
        "nearer_to_train": {
            **asdict(share_nearer_to_train(synthetic, train.features[members], real.features[others], lesions)),
            "null": 0.5,
        },
        "authenticity": {
            "value": authenticity(fakes, learnt_from),
            "floor": authenticity(unseen, learnt_from),
            "images": len(fakes),
        },
        "membership": {
            **asdict(membership_attack(synthetic, train.features[members], real.features[others], lesions)),
            "null": 0.5,
        },
        "copying": copying and {**asdict(copying), "null": 0.0},
    }


def _learnt(pool: Cohort, train: Cohort) -> NDArray[np.bool_]:
    """Return which train images the generator learnt from."""
    assert pool.path is not None
    seen = pl.read_parquet(pool.path / SEEN)
    if "held_out" in seen.columns:
        seen = seen.filter(~pl.col("held_out"))
    keys = set(seen.select("image_id", "sha256").iter_rows())
    return np.array([key in keys for key in train.table.select("image_id", "sha256").iter_rows()], dtype=bool)
