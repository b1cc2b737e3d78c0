"""What `dermsynth score` finds, as frozen values: one JSON file holds all of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dermsynth.core.config import Config

SCHEMA = 1


class Value(Config):
    """A score: mean over the fits (seeds) of a recipe, its interval, and the score of each fit."""

    value: float
    low: float
    high: float
    by_fit: tuple[float, ...]


class Change(Config):
    """A paired difference: mean over seeds, its interval, two-sided p-value, and the difference of each pair."""

    difference: float
    low: float
    high: float
    p_value: float
    by_pair: tuple[float, ...]


class Question(Config):
    """A question of yes or no: which classes are positive. All others are negative."""

    positive: tuple[str, ...]
    images: int
    lesions: int


class Operating(Config):
    """Calls at thresholds that were chosen on validation, judged on the part.

    Attributes:
        thresholds_for_specificity: Of each fit, the lowest that left the target's share of val's negatives uncalled.
        sensitivity_at_specificity: What it finds here; `specificity_reached`: what it leaves uncalled here.
        thresholds_for_sensitivity: Of each fit, the highest that found the target's share of val's positives.
        specificity_at_sensitivity: What it leaves uncalled here; `sensitivity_reached`: what it finds here.
    """

    thresholds_for_specificity: tuple[float, ...]
    sensitivity_at_specificity: Value
    specificity_reached: Value
    thresholds_for_sensitivity: tuple[float, ...]
    specificity_at_sensitivity: Value
    sensitivity_reached: Value


class Confusion(Config):
    """Counts of images, summed over fits."""

    rows: str = "actual class"
    columns: str = "predicted class"
    counts: tuple[tuple[int, ...], ...]


class Roc(Config):
    """Corners of a ROC curve."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


class PrecisionRecall(Config):
    """Points of a precision-recall curve, from the highest threshold down."""

    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


class Bin(Config):
    """Images of similar confidence: from `low` to below `high`."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: Value


class Curves(Config):
    """The curves of one fit; those of questions by the question's name."""

    fit: str
    roc: dict[str, Roc]
    precision_recall: dict[str, PrecisionRecall]
    reliability: tuple[Bin, ...]


class Benefit(Config):
    """Net benefit of acting from a probability of `threshold` on. To act on nobody has 0."""

    threshold: float
    net_benefit: Value
    of_acting_on_all: float


class Column(Config):
    """The scores of one recipe: a fit, or several that differ in their seed alone."""

    name: str
    fits: tuple[str, ...]
    seeds: tuple[int, ...] | None
    overall: dict[str, Value]
    questions: dict[str, dict[str, Value]]
    operating: dict[str, Operating]
    confusion: Confusion
    never_predicted: tuple[str, ...]
    calibration_floor: dict[str, float]
    net_benefit: dict[str, tuple[Benefit, ...]]
    curves: tuple[Curves, ...]


class DeLong(Config):
    """Two areas under ROC curves on the same lesions: their difference, interval and two-sided p-value (normal)."""

    difference: float
    low: float
    high: float
    p_value: float


class Decisions(Config):
    """McNemar's test of two fits: images that only one of them gave their own class. Photos count as independent."""

    only_this: int
    only_against: int
    p_value: float


class Comparison(Config):
    """A column minus the one it is held against. DeLong and McNemar know one fit on each side only."""

    name: str
    against: str
    overall: dict[str, Change]
    questions: dict[str, dict[str, Change]]
    delong: dict[str, DeLong]
    mcnemar: Decisions | None


class Scorecard(Config):
    """All scores of fits on the same images; `to_json()` is what `--json` writes."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    part: str
    confidence: float
    resamples: int
    seed: int
    target: float
    classes: tuple[str, ...]
    images: int
    lesions: int
    focus: str | None
    questions: dict[str, Question]
    columns: tuple[Column, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values without times: equal inputs give equal bytes."""
        return self.model_dump(mode="json", by_alias=True)
