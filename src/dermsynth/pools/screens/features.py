"""Rules that ask whether an image lies where real ones lie, and whether those that are kept cover their class."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.encoders.chosen import Floats
from dermsynth.metrics.manifold import realism
from dermsynth.pools.screens.rule import Ints, Judgement, Rule, Views, by_limit, limit_of_real

_FOLDS = 5
_RIDGE = 0.01
"""Inverse strength of the penalty: with features in units of their deviation, and more of them than images."""


class Realism(Rule):
    """Rejects images that are farther from the training images than nearly all held-out real ones are."""

    what: ClassVar[str] = "realism"
    unit: ClassVar[str] = "a real image's radius / distance from it"
    reason: ClassVar[str] = "realism {value:.3f}, less than {threshold:.3f}"
    rule: Literal["realism"] = "realism"
    share: float = Field(0.05, gt=0, le=0.5)
    """Of the real images of val that it would reject, which sets the limit."""

    def judge(self, views: Views) -> Judgement:
        """Judge by the realism of Kynkaanniemi et al. 2019 (arXiv:1904.06991) among the training images."""
        values, real = (realism(views.train.features, view.features) for view in (views.pool, views.held_out))
        return by_limit(self, values, limit_of_real(self, real, self.share), real)


class Discriminator(Rule):
    """Rejects images that a discriminator, trained on other images, tells from real ones.

    After discriminator rejection sampling (Azadi et al. 2019, arXiv:1810.06758), but with a fresh discriminator on the
    encoder's features: that of a GAN's training is not calibrated, has seen the generator's answers, and not every
    algorithm has one.
    """

    what: ClassVar[str] = "probability to be real"
    reason: ClassVar[str] = "probability to be real {value:.3f}, less than {threshold:.3f}"
    rule: Literal["discriminator"] = "discriminator"
    share: float = Field(0.05, gt=0, le=0.5)
    """Of the real images of val that it would reject, which sets the limit."""

    def judge(self, views: Views) -> Judgement:
        """Judge by `probability_real`."""
        pool, train, held_out = views.pool.features, views.train.features, views.held_out.features
        if len(pool) < _FOLDS:
            raise InputError(f"rule {self.written}: {len(pool)} images are left; it needs {_FOLDS} to learn from")
        values, real = probability_real(pool, train, held_out)
        return by_limit(self, values, limit_of_real(self, real, self.share), real)


def probability_real(pool: Floats, train: Floats, held_out: Floats) -> tuple[Floats, Floats]:
    """Return the probability that an image is real, of n synthetic and m held-out real images, both kinds as frequent.

    Logistic regression on standardised features, in five folds: a synthetic image is judged by the model that did not
    learn from it, a held-out one by the mean of all.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = numpy_generator(0, "discriminator").permutation(len(pool)) % _FOLDS
    values, real = np.empty(len(pool)), np.zeros(len(held_out))
    for number in range(_FOLDS):
        shown = pool[fold != number]
        regression = LogisticRegression(C=_RIDGE, class_weight="balanced", max_iter=1000)
        model = make_pipeline(StandardScaler(), regression)
        model.fit(np.concatenate([train, shown]), np.repeat([1, 0], [len(train), len(shown)]))
        values[fold == number] = model.predict_proba(pool[fold == number])[:, 1]
        real += model.predict_proba(held_out)[:, 1] / _FOLDS
    return values, real


class KCentre(Rule):
    """Keeps a share of each class that covers it: no rejected image is far from a kept one.

    The greedy choice of the farthest image next is within a factor of two of the best cover (Gonzalez 1985,
    doi:10.1016/0304-3975(85)90224-5) and of the most dispersed set (Ravi et al. 1994, doi:10.1287/opre.42.2.299).
    """

    what: ClassVar[str] = "distance from the images kept before it"
    unit: ClassVar[str] = "encoder distance"
    reason: ClassVar[str] = "{value:.3g} from an image that is kept; those kept are {threshold:.3g} or more apart"
    rule: Literal["k-centre"] = "k-centre"
    keep: float = Field(0.5, gt=0, lt=1)
    """Share of each class, rounded up."""

    def judge(self, views: Views) -> Judgement:
        """Judge class by class."""
        labels, features = views.pool.cohort.labels, views.pool.features
        values, thresholds = np.empty(len(labels)), np.empty(len(labels))
        rejected = np.ones(len(labels), dtype=bool)
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            order, distances = farthest_first(features[rows])
            kept = int(np.ceil(self.keep * len(rows)))
            values[rows[order]], thresholds[rows] = distances, distances[kept - 1]
            rejected[rows[order[:kept]]] = False
        return Judgement(values, thresholds, rejected, np.empty(0))


def farthest_first(features: Floats) -> tuple[Ints, Floats]:
    """Return the rows (n, d) in greedy order, and how far each was from those before it, which never grows.

    The first is the row nearest to the mean, at an infinite distance from nothing.
    """
    row = int(np.linalg.norm(features - features.mean(axis=0), axis=1).argmin())
    order, distances = [row], [np.inf]
    left = np.linalg.norm(features - features[row], axis=1)
    while len(order) < len(features):
        left[order] = -1
        row = int(left.argmax())
        order.append(row)
        distances.append(float(left[row]))
        left = np.minimum(left, np.linalg.norm(features - features[row], axis=1))
    return np.array(order, dtype=np.int64), np.array(distances)
