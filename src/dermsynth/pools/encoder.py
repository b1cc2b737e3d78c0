"""The encoder that a command on a pool was given: also a classifier that was fitted on the cohort."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import InputError
from dermsynth.encoders.chosen import Encoder, chosen_encoder

PREFIX = "fit:"
"""What the name of such an encoder starts with: `fit:FOLDER`."""
_VERSION = 1
"""Goes up with every change of what is computed."""
_LEARNS_FROM_POOL = ("hybrid", "placebo", "oracle")
"""Arms whose training set has other images than the cohort's."""


def pool_encoder(choice: Path | str | None, cohort: Cohort) -> Encoder:
    """Return the encoder of `--encoder`: what `chosen_encoder` knows, or `fit:FOLDER`.

    The features of a fit are what the last layer of its classifier sees. It must have learnt from the train part alone:
    one that saw val or test would find them more familiar than any pool, one that saw a pool would know that.

    Args:
        choice: As the command line has it.
        cohort: Real images with the split that the pool is for; the offline encoder is scaled by its real train images.

    Raises:
        InputError: what `chosen_encoder` refuses, a fit of other classes or another size, or of an arm with other
            images than the cohort's.
        LeakageError: a fit that may have learnt from val or test.
        ArtefactError: no finished fit.
    """
    classifier = fitted(choice)
    if classifier is None:
        return chosen_encoder(choice, _real_train(cohort))
    classifier.check(cohort)
    card, train = artefacts.read_card(classifier.path, "fit"), _real_train(cohort)
    arm = card.get("arm")
    if arm in _LEARNS_FROM_POOL or (arm is None and card["train_counts"] != train.counts()):
        learnt = f"the arm '{arm}'" if arm else str(card["train_counts"])
        raise InputError(
            f"{classifier.path}: learnt from {learnt}, which has other images than the cohort's train part; take a fit "
            "of the arm 'real'"
        )
    name = f"{PREFIX}{classifier.path.resolve().name}@{classifier.sha256[:12]}"
    return Encoder(name, classifier.features, f"fit-{_VERSION} {classifier.sha256}")


def fitted(choice: Path | str | None) -> TrainedClassifier | None:
    """Return the classifier that `fit:FOLDER` names, or None for another choice."""
    text = "" if choice is None else str(choice)
    return TrainedClassifier.open(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None


def _real_train(cohort: Cohort) -> Cohort:
    return cohort.part("train").select(pl.col("origin") == "real")
