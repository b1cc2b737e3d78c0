"""What every rule of a screen is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError
from dermsynth.encoders.chosen import Encoder, Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class View:
    """Images, and what several rules ask about them, computed when it is first asked for."""

    cohort: Cohort
    encoder: Encoder
    classifiers: Sequence[TrainedClassifier] = ()
    known: dict[str, Floats] = field(default_factory=dict)

    @property
    def features(self) -> Floats:
        """Return the encoder's features, n x d."""
        return self._once("features", lambda: self.encoder.features(self.cohort))

    @property
    def probabilities(self) -> Floats:
        """Return the class probabilities of every classifier, classifiers x n x classes."""
        return self._once("probabilities", lambda: np.stack([c.probabilities(self.cohort) for c in self.classifiers]))

    def take(self, rows: Ints) -> View:
        """Return these images; what is known of them is not computed again."""
        known = {name: values[..., rows, :] for name, values in self.known.items()}
        return View(self.cohort.select(rows), self.encoder, self.classifiers, known)

    def _once(self, name: str, compute: Callable[[], Floats]) -> Floats:
        if name not in self.known:
            self.known[name] = compute()
        return self.known[name]


@dataclass(frozen=True, eq=False)
class Views:
    """What a rule may look at: never a test image.

    Attributes:
        pool: The images to be judged, those that the rules before have kept.
        train: Real images that the generator may have learnt from.
        held_out: The real images of val: they say what a rule would do to real images.
    """

    pool: View
    train: View
    held_out: View


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a rule says about n images.

    Attributes:
        values: float64 (n,), in the rule's unit; may be infinite.
        thresholds: float64 (n,), of each image.
        rejected: bool (n,).
        real: float64 (m,), the values of held-out real images; empty where a real image has none.
        beside: None, or what an image is to be compared with, for the rows of some images.
    """

    values: Floats
    thresholds: Floats
    rejected: Bools
    real: Floats
    beside: Callable[[Ints], Pixels] | None = None


class Rule(Config):
    """A rule and its settings. `what` and `unit` name its value; `reason` says why an image was rejected."""

    what: ClassVar[str]
    unit: ClassVar[str] = ""
    reason: ClassVar[str]
    classifiers: ClassVar[int] = 0
    """How many it needs."""

    @property
    def high(self) -> bool:
        """Return whether images with large values are rejected, not those with small ones."""
        return False

    def judge(self, views: Views) -> Judgement:
        """Return what it says about the pool's images."""
        raise NotImplementedError

    @property
    def written(self) -> str:
        """Return it as it is written on the command line, with all its settings."""
        settings = self.canonical()
        name = settings.pop("rule")
        return f"{name}:" + ",".join(f"{key}={value}" for key, value in settings.items())

    def told(self, value: float, threshold: float) -> str:
        """Return why an image was rejected."""
        return self.reason.format(value=value, threshold=threshold)


def by_limit(rule: Rule, values: Floats, limit: float, real: Floats, **more: Any) -> Judgement:
    """Return the judgement that rejects what lies beyond one limit."""
    rejected = values > limit if rule.high else values < limit
    return Judgement(values, np.full(len(values), limit), rejected, real, **more)


def limit_of_real(rule: Rule, real: Floats, share: float) -> float:
    """Return the limit beyond which this share of held-out real images lies.

    Raises:
        InputError: too few of them to say.
    """
    needed = ceil(1 / share)
    if len(real) < needed:
        raise InputError(
            f"rule {rule.written}: a share of {share:g} of real images shows in {needed} or more, and val has "
            f"{len(real)}; choose a share of {1 / max(len(real), 1):.2g} or more"
        )
    return float(np.quantile(real, 1 - share if rule.high else share))


def by_order(rule: Rule, values: Floats, keep: float, labels: Ints, real: Floats) -> Judgement:
    """Return the judgement that keeps a share of each class, rounded up: the best by value, of equal ones the first."""
    thresholds, rejected = np.empty(len(labels)), np.ones(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = rows[np.argsort(values[rows] if rule.high else -values[rows], kind="stable")]
        kept = order[: ceil(keep * len(rows))]
        thresholds[rows] = values[kept[-1]]
        rejected[kept] = False
    return Judgement(values, thresholds, rejected, real)
