"""Measure a pool: how near its images are to real ones, how varied, and whether they repeat what was learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.encoders.chosen import Encoder, Floats
from dermsynth.metrics.coverage import mean_distance, vendi_score
from dermsynth.metrics.frechet import frechet_distance
from dermsynth.metrics.kernel import kernel_distance
from dermsynth.metrics.manifold import overlap
from dermsynth.metrics.memorisation import (
    authenticity,
    copying_statistic,
    membership_attack,
    share_nearer_to_train,
)
from dermsynth.pools.encoder import pool_encoder
from dermsynth.pools.mix import check_comparable
from dermsynth.training.partial import SEEN

FEWEST, MOST = 20, 1000
"""Images of a class in each of the three sets: with fewer it is left out, and no more are compared."""

Measure = Callable[[Floats, Floats], float]

DISTANCES: dict[str, Measure] = {"frechet": frechet_distance, "kernel": kernel_distance}
MEASURES: dict[str, Measure] = {
    **DISTANCES,
    "precision": lambda real, other: overlap(real, other).precision,
    "recall": lambda real, other: overlap(real, other).recall,
    "density": lambda real, other: overlap(real, other).density,
    "coverage": lambda real, other: overlap(real, other).coverage,
    "vendi": lambda real, other: vendi_score(other),
    "mean_distance": lambda real, other: mean_distance(other),
}
"""Functions of (train images, other images); `floor` is what held-out real images score as the others."""


def measure(cohort: Cohort, pool: Cohort, *, encoder: Path | str | None = None, seed: int = 0) -> dict[str, Any]:
    """Return what is measured of a pool, as JSON values.

    Of every class as many synthetic, train and held-out (val and test) images are drawn, as many as the smallest set
    has and at most 1000; classes with fewer than 20 in a set are left out. `n` is their number in all.

    `measures` has for each of `MEASURES` the `value` of the synthetic images and the `floor`, that of held-out ones:
    both are compared with the same train images, and all three sets have equal classes. `classes` has the distances
    class by class. `left_out` says why a class is not there. `memorisation` compares with the train images that the
    generator learnt from. `authenticity`, with its floor, and `copying` (C_T, None if there are too few) look at the
    images above; `nearer_to_train` and `membership`, an attack on the generator, at all synthetic images of these
    classes, and at as many train as held-out images of every class. Intervals are clustered by lesion.

    Args:
        cohort: Real images with the split in which the pool is used.
        pool: Synthetic images, opened from their folder.
        encoder: Folder of a pretrained network; default: the offline encoder.
        seed: Picks the images.

    Raises:
        InputError: classes or sizes differ, or too few images of every class, with the numbers that are needed.
        LeakageError: the generator saw a lesion of val or test.
    """
    check_comparable(cohort, pool)
    train = cohort.part("train").select(pl.col("origin") == "real")
    held_out = cohort.select(pl.col("split").is_in(["val", "test"]))
    counts = {
        name: (pool.counts()[name], train.counts()[name], held_out.counts()[name])
        for name in cohort.classes
        if pool.counts()[name]
    }
    sizes = {name: min(MOST, *found) for name, found in counts.items() if min(found) >= FEWEST}
    left_out = {name: _too_few(*found) for name, found in counts.items() if name not in sizes}
    if not sizes:
        told = "; ".join(f"{name} has {few}" for name, few in left_out.items())
        raise InputError(f"{pool.path}: too few images to be measured: {told}")
    chosen = pool_encoder(encoder, cohort)
    sets = {name: _Set(images, chosen) for name, images in (("synthetic", pool), ("train", train), ("real", held_out))}
    drawn = {
        name: {label: each.draw(label, n, seed, f"measure {name}") for label, n in sizes.items()}
        for name, each in sets.items()
    }
    whole = {name: np.concatenate(list(rows.values())) for name, rows in drawn.items()}
    features = {name: each.features for name, each in sets.items()}
    classes = {
        label: {
            "n": n,
            "measures": _compared(DISTANCES, features, {name: rows[label] for name, rows in drawn.items()}),
        }
        for label, n in sizes.items()
    }
    return {
        "encoder": chosen.name,
        "n": len(whole["train"]),
        "measures": _compared(MEASURES, features, whole),
        "classes": classes,
        "left_out": left_out,
        "memorisation": _memorisation(pool, sets, whole, sizes, seed),
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


def _too_few(synthetic: int, train: int, held_out: int) -> str:
    return f"{synthetic} synthetic, {train} train and {held_out} held-out images, and {FEWEST} of each are needed"


def _compared(
    measures: Mapping[str, Measure], features: Mapping[str, Floats], rows: Mapping[str, NDArray[np.int64]]
) -> dict[str, dict[str, float]]:
    train, synthetic, real = (features[name][rows[name]] for name in ("train", "synthetic", "real"))
    return {
        name: {"value": function(train, synthetic), "floor": function(train, real)}
        for name, function in measures.items()
    }


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
