"""Looks: the trial's main comparison elsewhere, with other classifiers, on other images, in groups of test images.

None of them is the declared endpoint. All looks of a trial are one family, decided on p-values adjusted for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from dermsynth.classifiers.predictions import read_predictions
from dermsynth.core.config import Config
from dermsynth.metrics.families import decide
from dermsynth.metrics.heterogeneity import by_group, heterogeneity
from dermsynth.metrics.lesions import Lesions, Recalls, Statistic, bootstrap_recalls, recalls_inside
from dermsynth.metrics.scores import predicted_classes
from dermsynth.metrics.statistics import Contrast, contrast, estimate
from dermsynth.trials.comparisons import Band, Change, Spread, change_of, plain
from dermsynth.trials.evidence import Evidence

MAIN = "main"
"""The name of the protocol's `classifier` among all of them."""
FEWEST_LESIONS = 20
"""A group with fewer says nothing and is left out."""
_PARTS = 3
"""Groups that a column of numbers is cut into, with about as many images each."""

Fits = Mapping[str, Mapping[int, Path]]
Kind = Literal["classifier", "test", "subgroup", "published"]


class Look(Config):
    """Treatment minus control somewhere else than where it was declared.

    Attributes:
        kind: With another classifier, on a test of other images, in a group of the test images, or as published: the
            treatment judged on the test and new images of its generator, the control on the test alone.
        name: Of the classifier, of the test, or of the group; `column`: which column makes the group.
        classifier: With which the fits are trained; `main` is the protocol's own.
        classes: Those with an image; the balanced accuracy is over these.
        images: How many are judged; `lesions`: how many they show.
        treatment, control: Balanced accuracy.
        comparison: Of these, decided in the family of all looks.
        accuracy: The difference of the shares of images that are right, for comparison with what papers print.
    """

    kind: Kind
    name: str
    column: str = ""
    classifier: str = MAIN
    classes: tuple[str, ...]
    images: int
    lesions: int
    treatment: Band
    control: Band
    comparison: Change
    accuracy: Change


@dataclass(frozen=True, eq=False)
class Pair:
    """What a look compares: scores of S fits of the treatment (the first ones) and S of the control."""

    kind: Kind
    name: str
    classes: tuple[str, ...]
    images: int
    lesions: int
    balanced: Statistic
    accuracy: Statistic
    column: str = ""
    classifier: str = MAIN

    def contrast(self, statistic: Statistic) -> Contrast:
        """Return treatment minus control."""
        return contrast(statistic, self.arms, [1.0, -1.0])

    @property
    def arms(self) -> list[list[int]]:
        """Return the indices of the treatment's fits and of the control's."""
        seeds = len(self.balanced.values) // 2
        return [list(range(seeds)), list(range(seeds, 2 * seeds))]


def looks_of(pairs: Sequence[Pair], *, margin: float, confidence: float) -> tuple[Look, ...]:
    """Return what was found, decided as one family."""
    balanced, accuracy = ([one.contrast(getattr(one, name)) for one in pairs] for name in ("balanced", "accuracy"))
    decided = [decide(found, margin=margin, confidence=confidence) for found in (balanced, accuracy)]
    looks = []
    for number, pair in enumerate(pairs):
        bands = [Band(**plain(estimate(pair.balanced, fits, confidence=confidence))) for fits in pair.arms]
        looks.append(
            Look(
                kind=pair.kind,
                name=pair.name,
                column=pair.column,
                classifier=pair.classifier,
                classes=pair.classes,
                images=pair.images,
                lesions=pair.lesions,
                treatment=bands[0],
                control=bands[1],
                comparison=change_of(balanced[number], decided[0][number], confidence),
                accuracy=change_of(accuracy[number], decided[1][number], confidence),
            )
        )
    return tuple(looks)


def elsewhere(kind: Kind, name: str, fits: Fits, split: str, *, resamples: int, seed: int) -> Pair:
    """Return the pair of two arms' fits on the same images, over the classes that have any.

    Args:
        kind: Of the look; `name`: its name.
        fits: Of the treatment and of the control, in this order, by seed.
        split: Which of their predictions.
        resamples: Redraws of lesions, with `seed`.
    """
    evidence = Evidence.read(fits, tuple(next(iter(fits.values()))), split, every_class=False)
    present = np.unique(evidence.labels)
    labels = np.searchsorted(present, evidence.labels)
    lesions = Lesions.of(labels, evidence.lesion_ids, len(present))
    recalls = bootstrap_recalls(evidence.correct, lesions, resamples=resamples, seed=seed)
    classes = tuple(evidence.classes[index] for index in present)
    return _pair(kind, name, recalls, labels, classes, len(np.unique(evidence.lesion_ids)))


def as_published(name: str, fits: Fits, synthetic: Mapping[int, Path], split: str) -> Pair:
    """Return the pair in which the treatment's test also has synthetic images.

    Args:
        name: Of the test.
        fits: Of the treatment and of the control, in this order, by seed.
        synthetic: What the treatment's fits say of new synthetic images, by seed.
        split: Which of the fits' predictions.
    """
    seeds = tuple(synthetic)
    evidence = Evidence.read(fits, seeds, split)
    drawn = [read_predictions(synthetic[seed]) for seed in seeds]
    real, number = len(evidence.labels), 2 * len(seeds)
    labels = np.concatenate([evidence.labels, *(one.labels for one in drawn)])
    # The images of two seeds may bear the same name, and are two images.
    names = [np.char.add(f"seed {seed} ", one.lesion_ids) for seed, one in zip(seeds, drawn, strict=True)]
    lesion_ids = np.concatenate([evidence.lesion_ids, *names])
    correct, inside = (np.zeros((len(labels), number), dtype=bool) for _ in range(2))
    correct[:real], inside[:real] = evidence.correct, True
    start = real
    for fit, one in enumerate(drawn):
        rows = slice(start, start + len(one))
        correct[rows, fit] = predicted_classes(one.probabilities) == one.labels
        inside[rows, fit] = True
        start = rows.stop
    lesions = Lesions.of(labels, lesion_ids, len(evidence.classes))
    recalls = recalls_inside(correct, inside, labels, lesions)
    of_one_fit = inside[:, 0]
    found = _pair("published", name, recalls, labels, evidence.classes, len(np.unique(lesion_ids[of_one_fit])))
    shares = [np.bincount(labels[inside[:, fit]], minlength=len(evidence.classes)) for fit in (0, number - 1)]
    weights = np.stack([shares[0] if fit < len(seeds) else shares[1] for fit in range(number)]).astype(np.float64)
    return Pair(
        found.kind,
        name,
        found.classes,
        int(of_one_fit.sum()),
        found.lesions,
        found.balanced,
        _weighted(recalls, weights / weights.sum(axis=1, keepdims=True)),
    )


def in_groups(
    column: str, values: pl.Series, evidence: Evidence, arms: tuple[str, str]
) -> tuple[list[Pair], Spread | None]:
    """Return the pair in every group of the test images, and whether the groups' differences differ.

    Args:
        column: Name of what makes the groups; `values`: its value for every image of `evidence`, in its order. Numbers
            are cut into three ranges. Groups of fewer than 20 lesions are left out, as are images without a value.
        evidence: Of all arms.
        arms: Treatment and control.

    Returns:
        Nothing where fewer than two groups are left that have two classes in common.
    """
    names, groups = _groups(values, evidence)
    fits = [fit for arm in arms for fit in evidence.fits_of(arm)]
    correct, labels = evidence.correct[:, fits], evidence.labels
    lesions = Lesions.of(labels, evidence.lesion_ids, len(evidence.classes))
    while len(names) > 1:
        shared = [c for c in np.unique(labels) if all(((groups == k) & (labels == c)).any() for k in range(len(names)))]
        if len(shared) > 1:
            break
        # The group with the fewest classes stands in the way; of equal ones the smallest.
        sizes = [(len(np.unique(labels[groups == k])), int((groups == k).sum())) for k in range(len(names))]
        dropped = sizes.index(min(sizes))
        groups = np.where(groups == dropped, -1, np.where(groups > dropped, groups - 1, groups))
        names = [name for number, name in enumerate(names) if number != dropped]
    if len(names) < 2:
        return [], None
    found = by_group(correct, labels, lesions, groups)
    seeds = len(fits) // 2
    differences, covariance = found.differences(range(seeds), range(seeds, 2 * seeds))
    spread = heterogeneity(differences, covariance)
    pairs = []
    for number, name in enumerate(names):
        rows = groups == number
        inside = rows & np.isin(labels, found.classes)
        here = np.searchsorted(np.array(found.classes), labels[inside])
        own = Lesions.of(here, evidence.lesion_ids[inside], len(found.classes))
        recalls = recalls_inside(correct[inside], np.ones_like(correct[inside]), here, own)
        classes = tuple(evidence.classes[index] for index in found.classes)
        count = len(np.unique(evidence.lesion_ids[inside]))
        pair = _pair("subgroup", name, recalls, here, classes, count)
        pairs.append(
            Pair(pair.kind, name, classes, pair.images, count, found.statistics[number], pair.accuracy, column)
        )
    return pairs, Spread(q=spread.q, p_value=spread.p_value, i_squared=spread.i_squared)


def _groups(values: pl.Series, evidence: Evidence) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the names of the groups that are large enough, and the number of every image's group (or -1)."""
    named = _ranges(values) if values.dtype.is_numeric() else values.cast(pl.String)
    names: list[str] = []
    groups = np.full(len(values), -1, dtype=np.int64)
    order = named.drop_nulls().unique(maintain_order=False).sort()
    if values.dtype.is_numeric():
        first = pl.DataFrame({"name": named, "value": values}).drop_nulls().group_by("name").agg(pl.col("value").min())
        order = first.sort("value")["name"]
    for name in order:
        rows = (named == name).fill_null(value=False).to_numpy()
        if name and len(np.unique(evidence.lesion_ids[rows])) >= FEWEST_LESIONS:
            groups[rows] = len(names)
            names.append(str(name))
    return names, groups


def _ranges(values: pl.Series) -> pl.Series:
    """Return for every number the name of its third: 'up to 45', '45 to 60', 'above 60'."""
    known = values.cast(pl.Float64).drop_nulls().drop_nans()
    cuts = sorted({float(known.quantile(k / _PARTS, "lower") or 0.0) for k in range(1, _PARTS)}) if len(known) else []

    def name(value: float | None) -> str | None:
        if value is None or value != value or not cuts:
            return None
        above = [cut for cut in cuts if value > cut]
        if not above:
            return f"up to {cuts[0]:g}"
        beyond = [cut for cut in cuts if cut > above[-1]]
        return f"above {above[-1]:g}" + (f", up to {beyond[0]:g}" if beyond else "")

    return pl.Series(values.name, [name(value) for value in values.cast(pl.Float64)], dtype=pl.String)


def _pair(
    kind: Kind, name: str, recalls: Recalls, labels: npt.NDArray[np.int64], classes: tuple[str, ...], lesions: int
) -> Pair:
    shares = np.bincount(labels, minlength=len(classes)) / len(labels)
    balanced, accuracy = recalls.balanced_accuracy(), recalls.combined(shares)
    return Pair(kind, name, classes, len(labels), lesions, balanced, accuracy)


def _weighted(recalls: Recalls, weights: npt.NDArray[np.float64]) -> Statistic:
    """Return each fit's weighted sum of recalls, with weights (F, C) of its own."""
    covariance = weights.T[:, :, None] * weights.T[:, None, :] * recalls.covariance
    floor = float(((weights / recalls.lesions) ** 2).sum(axis=1).max())
    return Statistic((weights.T * recalls.values).sum(axis=0), covariance, recalls.lesions, floor)
