"""Rules that ask classifiers whether an image shows its class."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from dermsynth.encoders.chosen import Floats
from dermsynth.pools.screens.rule import Ints, Judgement, Rule, Views, by_limit, by_order


def confidence(probabilities: Floats, labels: Ints) -> Floats:
    """Return the probability that classifiers give an image's class, their mean; of K x n x C probabilities."""
    return np.asarray(probabilities.mean(axis=0)[np.arange(len(labels)), labels])


def votes(probabilities: Floats, labels: Ints) -> Floats:
    """Return the share of K classifiers whose most probable class is the image's own; of K x n x C probabilities."""
    return np.asarray((probabilities.argmax(axis=2) == labels).mean(axis=0))


def margin(probabilities: Floats, labels: Ints) -> Floats:
    """Return by how much the mean probability of an image's class exceeds that of the best other one, in [-1, 1]."""
    mean = probabilities.mean(axis=0)
    rows = np.arange(len(labels))
    others = mean.copy()
    others[rows, labels] = -1
    return np.asarray(mean[rows, labels] - others.max(axis=1))


class Confidence(Rule):
    """Rejects images that classifiers do not believe to be of their class."""

    what: ClassVar[str] = "probability of its class"
    reason: ClassVar[str] = "probability of its class {value:.3f}, less than {threshold:.3f}"
    classifiers: ClassVar[int] = 1
    rule: Literal["confidence"] = "confidence"
    least: float = Field(0.5, gt=0, lt=1)

    def judge(self, views: Views) -> Judgement:
        """Judge by the mean probability of all classifiers."""
        values, real = (confidence(view.probabilities, view.cohort.labels) for view in (views.pool, views.held_out))
        return by_limit(self, values, self.least, real)


class Agreement(Rule):
    """Rejects images that some of the classifiers take for another class."""

    what: ClassVar[str] = "share of the classifiers that see its class"
    reason: ClassVar[str] = "{value:.0%} of the classifiers see its class, less than {threshold:.0%}"
    classifiers: ClassVar[int] = 2
    rule: Literal["agreement"] = "agreement"
    least: float = Field(1.0, gt=0, le=1)

    def judge(self, views: Views) -> Judgement:
        """Judge by the classifiers' most probable classes."""
        values, real = (votes(view.probabilities, view.cohort.labels) for view in (views.pool, views.held_out))
        return by_limit(self, values, self.least, real)


class Rank(Rule):
    """Keeps the share of each class of which classifiers are surest, or least sure.

    `best` is the selection of Wei et al. 2019 (arXiv:1910.05827). It keeps what a classifier knows already; `worst` is
    there to be compared with it.
    """

    what: ClassVar[str] = "probability of its class"
    reason: ClassVar[str] = "probability of its class {value:.3f}; the last kept of its class has {threshold:.3f}"
    classifiers: ClassVar[int] = 1
    rule: Literal["rank"] = "rank"
    keep: float = Field(0.5, gt=0, lt=1)
    """Share of each class, rounded up."""
    order: Literal["best", "worst"] = "best"

    @property
    def high(self) -> bool:
        """Return whether the surest images are rejected."""
        return self.order == "worst"

    def judge(self, views: Views) -> Judgement:
        """Judge by the mean probability of all classifiers."""
        values, real = (confidence(view.probabilities, view.cohort.labels) for view in (views.pool, views.held_out))
        return by_order(self, values, self.keep, views.pool.cohort.labels, real)


class Boundary(Rule):
    """Keeps the share of each class that lies nearest to the boundary with another class, on either side."""

    what: ClassVar[str] = "distance of its class's probability from the best other one"
    reason: ClassVar[str] = "{value:.3f} from the boundary of its class; the last kept has {threshold:.3f}"
    classifiers: ClassVar[int] = 1
    rule: Literal["boundary"] = "boundary"
    keep: float = Field(0.5, gt=0, lt=1)
    """Share of each class, rounded up."""

    @property
    def high(self) -> bool:
        """Return True."""
        return True

    def judge(self, views: Views) -> Judgement:
        """Judge by the mean probabilities of all classifiers."""
        values, real = (margin(view.probabilities, view.cohort.labels) for view in (views.pool, views.held_out))
        return by_order(self, np.abs(values), self.keep, views.pool.cohort.labels, np.abs(real))
