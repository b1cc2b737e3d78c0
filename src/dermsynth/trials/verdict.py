"""From prediction files to a verdict: does training on the treatment instead of the control change the endpoint?

Nothing else is read: no images, no models. Re-analysis takes seconds. The statistics and their reasoning are in
`dermsynth.metrics.statistics`; the words of the sentence are in `dermsynth.trials.wording`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from dermsynth.core.config import Config
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.metrics import scores
from dermsynth.metrics.lesions import Lesions, Recalls, Statistic, auc_statistic, bootstrap_recalls
from dermsynth.metrics.statistics import Outcome, estimate
from dermsynth.trials import wording
from dermsynth.trials.comparisons import Band, Comparison, Spread, compared, plain
from dermsynth.trials.doses import Dose, doses_of
from dermsynth.trials.evidence import Evidence
from dermsynth.trials.looks import Look, Pair, in_groups, looks_of

SCHEMA = 3


class Declared(Config):
    """What is measured and what counts as a difference, declared before anything is trained."""

    metric: Literal["balanced_accuracy"] = Field("balanced_accuracy", description="the mean of the classes' recalls")
    smallest_difference: float = Field(default=0.02, gt=0, lt=1, description="share, 0.02 = 2 points")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of every interval")
    resamples: int = Field(default=2000, ge=100, description="redraws of lesions")
    split: Literal["test", "val"] = Field("test", description="which images are judged; val also chose the states")


class Endpoint(Declared):
    """The declared endpoint with the seed of its resampling."""

    seed: int = 0


class Arm(Config):
    """How one arm's classifiers did on the split.

    Attributes:
        recipe: What its training set is made by; `settings`: what a grid of arms set here.
        confusion: Rows actual, columns predicted, summed over seeds.
    """

    recipe: str
    settings: dict[str, float | str] = Field(default_factory=dict)
    balanced_accuracy: Band
    accuracy: Band
    macro_auc: Band
    recall: dict[str, Band]
    confusion: tuple[tuple[int, ...], ...]
    train_counts: dict[str, int] | None


class Count(Config):
    """Images and lesions of one class."""

    images: int
    lesions: int


class TestSet(Config):
    """What the verdict rests on."""

    __test__ = False  # for pytest: this is no test class

    images: int
    lesions: int
    per_class: dict[str, Count]


class Chosen(Config):
    """How the treatment was chosen: the mean score on val of every arm that it could have been."""

    among: dict[str, float]
    on: Literal["val"] = "val"


class Verdict(Config):
    """The result of a trial; `to_json()` is `verdict.json`, `Verdict.model_validate` reads it back."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    trial: str
    sentence: str
    outcome: Outcome
    treatment: str
    control: str
    endpoint: Declared
    seeds: tuple[int, ...]
    generators: int
    classes: tuple[str, ...]
    test: TestSet
    leaky: str | None = None
    edited: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
    chosen: Chosen | None = None
    arms: dict[str, Arm]
    comparisons: tuple[Comparison, ...]
    doses: tuple[Dose, ...] = ()
    looks: tuple[Look, ...] = ()
    subgroups: dict[str, Spread] = Field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values without times or paths: equal inputs give equal bytes."""
        return self.model_dump(mode="json", by_alias=True)

    def of_recipe(self, recipe: str) -> str | None:
        """Return the first arm with a recipe, or None if there is none."""
        return next((name for name, arm in self.arms.items() if arm.recipe == recipe), None)

    def comparison(self, arm: str, against: str | None) -> Comparison | None:
        """Return the comparison of two arms, or None if the trial does not make it."""
        return next((c for c in self.comparisons if (c.arm, c.against) == (arm, against)), None)


@dataclass(frozen=True)
class ArmFacts:
    """What is known of an arm beside its predictions; `train_counts`: training images per class, as far as known."""

    recipe: str
    settings: Mapping[str, float | str] = field(default_factory=dict)
    train_counts: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Context:
    """What a trial knows beside its predictions.

    Attributes:
        arms: Facts of each arm; an arm that is not named has the recipe of its name.
        leaky: In words how test images show what train shows, if the split allows it.
        chosen: How the treatment was chosen.
        edited: What was declared before the run, and what is judged by, where they are not the same.
        columns: Values of the judged images, sorted by image_id, by which they are split into groups.
        pairs: Further looks.
    """

    arms: Mapping[str, ArmFacts] = field(default_factory=dict)
    leaky: str | None = None
    chosen: Chosen | None = None
    edited: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()


def judge(
    fits: Mapping[str, Mapping[int, Path]],
    endpoint: Endpoint,
    *,
    control: str,
    treatment: str,
    name: str,
    generators: int,
    context: Context | None = None,
) -> Verdict:
    """Compare the arms of a trial.

    Args:
        fits: For each arm and seed, the fit's folder or its `predictions.parquet`.
        endpoint: What was declared.
        control: The arm that every other one is compared with.
        treatment: The arm the verdict is about; it is also compared with placebo, classical and real.
        name: Of the trial.
        generators: How many generators were trained; 0 if no arm has synthetic images.
        context: What else is known.

    Raises:
        ConfigError: control or treatment is no arm, they are the same, or generators is negative.
        InputError: arms with different seeds; a predictions file that cannot be used, or that is about other images,
            labels, lesions or classes than the others; a class without an image.
    """
    context = context or Context()
    seeds = _checked_seeds(fits, control, treatment)
    if generators < 0:
        raise ConfigError(f"generators is {generators}; expected 0 or more")
    evidence = Evidence.read(fits, seeds, endpoint.split)
    lesions = Lesions.of(evidence.labels, evidence.lesion_ids, len(evidence.classes))
    recalls = bootstrap_recalls(evidence.correct, lesions, resamples=endpoint.resamples, seed=endpoint.seed)
    facts = {arm: context.arms.get(arm, ArmFacts(arm)) for arm in evidence.arms}
    comparisons = compared(
        evidence,
        recalls,
        {arm: one.recipe for arm, one in facts.items()},
        control=control,
        treatment=treatment,
        metric=endpoint.metric,
        margin=endpoint.smallest_difference,
        confidence=endpoint.confidence,
        seed=endpoint.seed,
    )
    pairs = list(context.pairs)
    spreads: dict[str, Spread] = {}
    for column, values in context.columns.items():
        found, spread = in_groups(column, _in_order(values, evidence), evidence, (treatment, control))
        pairs += found
        spreads |= {} if spread is None else {column: spread}
    verdict = Verdict(
        schema=SCHEMA,
        trial=name,
        sentence="",
        outcome=next(c for c in comparisons if c.arm == treatment).outcome,
        treatment=treatment,
        control=control,
        endpoint=Declared.model_validate(endpoint.model_dump(exclude={"seed"})),
        seeds=seeds,
        generators=generators,
        classes=evidence.classes,
        test=_test_set(evidence, lesions),
        leaky=context.leaky,
        edited=dict(context.edited),
        chosen=context.chosen,
        arms=_arms(evidence, recalls, lesions, endpoint.confidence, facts),
        comparisons=comparisons,
        doses=doses_of(evidence, recalls, facts, confidence=endpoint.confidence, seed=endpoint.seed),
        looks=looks_of(pairs, margin=endpoint.smallest_difference, confidence=endpoint.confidence) if pairs else (),
        subgroups=spreads,
    )
    return verdict.model_copy(update={"sentence": wording.sentence(verdict)})


def _in_order(values: Mapping[str, Any], evidence: Evidence) -> pl.Series:
    """Return a column of the cohort in the order of the predictions; images that it does not have have no value."""
    return pl.Series([values.get(name) for name in evidence.image_ids.tolist()], strict=False)


def _checked_seeds(fits: Mapping[str, Mapping[int, Path]], control: str, treatment: str) -> tuple[int, ...]:
    for role, arm in (("control", control), ("treatment", treatment)):
        if arm not in fits:
            raise ConfigError(f"the {role} '{arm}' is no arm of this trial; arms: {', '.join(fits)}")
    if control == treatment:
        raise ConfigError(f"treatment and control are both '{control}'; compare two different arms")
    seeds = tuple(sorted(fits[control]))
    if not seeds:
        raise InputError(f"arm '{control}' has no fit; fit every arm with every seed")
    for arm, by_seed in fits.items():
        if tuple(sorted(by_seed)) != seeds:
            raise InputError(
                f"arm '{arm}' was fitted with seeds {sorted(by_seed)}, arm '{control}' with {list(seeds)}; "
                "differences are paired by seed: fit every arm with the same seeds"
            )
    return seeds


def _arms(
    evidence: Evidence,
    recalls: Recalls,
    lesions: Lesions,
    confidence: float,
    facts: Mapping[str, ArmFacts],
) -> dict[str, Arm]:
    shares = np.bincount(evidence.labels, minlength=len(evidence.classes)) / len(evidence.labels)
    balanced, accuracy = recalls.balanced_accuracy(), recalls.combined(shares)
    auc = auc_statistic(evidence.labels, evidence.probabilities, lesions)
    predicted = evidence.predicted

    def band(statistic: Statistic, arm: str) -> Band:
        return Band(**plain(estimate(statistic, evidence.fits_of(arm), confidence=confidence)))

    def confusion(arm: str) -> tuple[tuple[int, ...], ...]:
        each = [
            scores.confusion_matrix(evidence.labels, predicted[f], len(evidence.classes)) for f in evidence.fits_of(arm)
        ]
        return tuple(tuple(row) for row in np.sum(each, axis=0).tolist())

    return {
        arm: Arm(
            recipe=facts[arm].recipe,
            settings=dict(facts[arm].settings),
            balanced_accuracy=band(balanced, arm),
            accuracy=band(accuracy, arm),
            macro_auc=band(auc, arm),
            recall={name: band(recalls.of_class(index), arm) for index, name in enumerate(evidence.classes)},
            confusion=confusion(arm),
            train_counts=None if (known := facts[arm].train_counts) is None else dict(known),
        )
        for arm in evidence.arms
    }


def _test_set(evidence: Evidence, lesions: Lesions) -> TestSet:
    images = np.bincount(evidence.labels, minlength=len(evidence.classes))
    return TestSet(
        images=len(evidence.labels),
        lesions=len(np.unique(evidence.lesion_ids)),
        per_class={
            name: Count(images=int(images[index]), lesions=int(lesions.counts[index]))
            for index, name in enumerate(evidence.classes)
        },
    )
