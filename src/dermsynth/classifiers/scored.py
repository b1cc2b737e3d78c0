"""From predictions files to the columns and comparisons of a scorecard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsynth.classifiers.aligned import read_aligned
from dermsynth.classifiers.predictions import Predictions, read_predictions, splits_of
from dermsynth.classifiers.recipes import Recipe
from dermsynth.classifiers.scorecard import (
    Benefit,
    Bin,
    Change,
    Column,
    Comparison,
    Confusion,
    Curves,
    Decisions,
    DeLong,
    Operating,
    PrecisionRecall,
    Question,
    Roc,
    Value,
)
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError
from dermsynth.metrics import operating
from dermsynth.metrics.calibration import Reliability
from dermsynth.metrics.delong import delong
from dermsynth.metrics.judged import (
    BENEFIT_THRESHOLDS,
    BenefitScores,
    CalibrationScores,
    Judged,
    OperatingScores,
    RankingScores,
    TableScores,
    chosen_thresholds,
)
from dermsynth.metrics.lesions import Lesions
from dermsynth.metrics.mcnemar import mcnemar
from dermsynth.metrics.ranking import precision_recall_curve
from dermsynth.metrics.redraws import Score, Spread, spreads
from dermsynth.metrics.scores import confusion_matrix, roc_curve

OVERALL = (
    "balanced_accuracy",
    "accuracy",
    "f1_macro",
    "f1_weighted",
    "precision_macro",
    "precision_weighted",
    "specificity_macro",
    "mcc",
    "kappa",
    "auc_macro",
    "average_precision_macro",
    "brier",
    "ece",
    "ece_equal_mass",
)
OF_QUESTION = ("sensitivity", "specificity", "precision", "f1", "auc", "average_precision")
_FEW_LESIONS = 10


@dataclass(frozen=True, eq=False)
class Scored:
    """All fits of some recipes on the same images, with the redraws of all their scores."""

    predictions: Predictions  # of the first fit
    judged: Judged
    row: dict[Path, int]
    questions: dict[str, Question]
    focus: str | None
    thresholds: npt.NDArray[np.float64]  # (F, B, 2)
    spreads: dict[str, Spread]
    confidence: float
    part: str

    @classmethod
    def of(
        cls,
        recipes: Sequence[Recipe],
        *,
        part: str,
        positive: tuple[str, ...],
        target: float,
        confidence: float,
        resamples: int,
        seed: int,
    ) -> Scored:
        """Read all fits, choose their thresholds on val, and redraw; the arguments are those of `score`."""
        paths = [path for recipe in recipes for path in recipe.fits]
        found = read_aligned(paths, part)
        first = found[0]
        groups = _groups(first.classes, positive)
        lesions = Lesions.of(first.labels, first.lesion_ids, len(first.classes))
        judged = Judged(first.labels, np.stack([one.probabilities for one in found]), lesions, groups)
        thresholds = np.stack([_thresholds(path, part, groups, target) for path in paths])
        scores: list[Score] = [
            TableScores(judged),
            RankingScores(judged),
            CalibrationScores(judged),
            OperatingScores(judged, thresholds),
            BenefitScores(judged),
        ]
        questions = {}
        for classes in groups:
            names = tuple(name for name, inside in zip(first.classes, classes, strict=True) if inside)
            questions[" + ".join(names)] = Question(
                positive=names,
                images=int(classes[first.labels].sum()),
                lesions=len(np.unique(first.lesion_ids[classes[first.labels]])),
            )
        return cls(
            predictions=first,
            judged=judged,
            row={path: index for index, path in enumerate(paths)},
            questions=questions,
            focus=" + ".join(name for name in first.classes if name in positive) or None,
            thresholds=thresholds,
            spreads=spreads(scores, lesions, resamples=resamples, seed=seed),
            confidence=confidence,
            part=part,
        )

    def column(self, recipe: Recipe) -> Column:
        """Return the scores of one recipe, with its curves."""
        rows = [self.row[path] for path in recipe.fits]
        classes = self.predictions.classes
        counts = np.sum(
            [confusion_matrix(self.judged.labels, self.judged.predicted[row], len(classes)) for row in rows], axis=0
        )
        curves = [self._curves(path) for path in recipe.fits]
        return Column(
            name=recipe.name,
            fits=tuple(str(path) for path in recipe.fits),
            seeds=recipe.seeds,
            overall={name: self._value(name, rows) for name in OVERALL},
            questions={
                question: {name: self._value(name, rows, b) for name in OF_QUESTION}
                for b, question in enumerate(self.questions)
            },
            operating={
                question: self._operating(rows, b)
                for b, question in enumerate(self.questions)
                if np.isfinite(self.thresholds[rows, b]).all()
            },
            confusion=Confusion(counts=tuple(tuple(row) for row in counts.tolist())),
            never_predicted=tuple(name for name, called in zip(classes, counts.sum(axis=0), strict=True) if not called),
            calibration_floor={
                name: float(np.mean([self._reliability(row, equal_mass=equal_mass).floor for row in rows]))
                for name, equal_mass in (("ece", False), ("ece_equal_mass", True))
            },
            net_benefit={question: self._benefit(rows, b) for b, question in enumerate(self.questions)},
            curves=tuple(curves),
        )

    def comparison(self, recipe: Recipe, baseline: Recipe) -> Comparison:
        """Return one recipe minus another, paired in the order of their fits."""
        one, other = ([self.row[path] for path in each.fits] for each in (recipe, baseline))
        alone = len(one) == 1
        correct = self.judged.predicted == self.judged.labels
        decided = mcnemar(correct[one[0]], correct[other[0]]) if alone else None
        return Comparison(
            name=recipe.name,
            against=baseline.name,
            overall={name: self._change(name, one, other) for name in OVERALL},
            questions={
                question: {name: self._change(name, one, other, b) for name in OF_QUESTION}
                for b, question in enumerate(self.questions)
            },
            delong=self._delong(one[0], other[0]) if alone else {},
            mcnemar=decided
            and Decisions(only_this=decided.only_first, only_against=decided.only_second, p_value=decided.p_value),
        )

    def notes(self, recipes: Sequence[Recipe]) -> list[str]:
        """Return what a reader of the numbers has to know."""
        found = []
        for name, question in self.questions.items():
            if question.lesions < _FEW_LESIONS:
                told = "1 lesion" if question.lesions == 1 else f"{question.lesions} lesions"
                found.append(f"'{name}' has {told} in {self.part}: its numbers say little")
        if any(len(recipe.fits) == 1 for recipe in recipes):
            found.append("a single fit has an interval over lesions only: another training would differ as well")
        for recipe in recipes:
            rows = [self.row[path] for path in recipe.fits]
            called = np.unique(self.judged.predicted[rows])
            never = [name for c, name in enumerate(self.predictions.classes) if c not in called]
            if never:
                told = ", ".join(f"'{name}'" for name in never)
                found.append(f"'{recipe.name}' never predicts {told}: a precision without predictions counts as 0")
        if self.part == "val":
            found += [
                "val chooses the state of a fit, so its scores are too good; report those of test",
                "no operating points: their thresholds would come from the images that they are judged on",
            ]
        else:
            unknown = [path for path, row in self.row.items() if not np.isfinite(self.thresholds[row]).all()]
            found += [
                f"{path}: holds no val image of some class or none at all, so that it has no threshold to judge"
                for path in unknown
            ]
        return found

    def _value(self, name: str, rows: Sequence[int], m: int = 0) -> Value:
        found = self.spreads[name].estimate(rows, m, confidence=self.confidence)
        return Value(value=found.mean, low=found.low, high=found.high, by_fit=found.by_seed)

    def _change(self, name: str, one: Sequence[int], other: Sequence[int], m: int = 0) -> Change:
        found = self.spreads[name].compare(one, other, m)
        low, high = found.interval(self.confidence)
        # -0.0 + 0.0 is 0.0: equal results have equal bytes.
        return Change(
            difference=found.value + 0.0,
            low=low,
            high=high,
            p_value=found.p_value,
            by_pair=tuple(value + 0.0 for value in found.by_seed),
        )

    def _operating(self, rows: list[int], b: int) -> Operating:
        for_specificity, for_sensitivity = (tuple(self.thresholds[rows, b, k].tolist()) for k in (0, 1))
        return Operating(
            thresholds_for_specificity=for_specificity,
            sensitivity_at_specificity=self._value("sensitivity_at_specificity", rows, b),
            specificity_reached=self._value("specificity_reached", rows, b),
            thresholds_for_sensitivity=for_sensitivity,
            specificity_at_sensitivity=self._value("specificity_at_sensitivity", rows, b),
            sensitivity_reached=self._value("sensitivity_reached", rows, b),
        )

    def _benefit(self, rows: list[int], b: int) -> tuple[Benefit, ...]:
        share = float(self.judged.positive[b].mean())
        of_all = operating.net_benefit_of_all(share, BENEFIT_THRESHOLDS)
        steps = len(BENEFIT_THRESHOLDS)
        return tuple(
            Benefit(
                threshold=float(threshold),
                net_benefit=self._value("net_benefit", rows, b * steps + t),
                of_acting_on_all=float(of_all[t]),
            )
            for t, threshold in enumerate(BENEFIT_THRESHOLDS)
        )

    def _reliability(self, row: int, *, equal_mass: bool) -> Reliability:
        return Reliability.of(self.judged.labels, self.judged.probabilities[row], equal_mass=equal_mass)

    def _curves(self, path: Path) -> Curves:
        row = self.row[path]
        roc, precision_recall = {}, {}
        for b, question in enumerate(self.questions):
            positive, scores = self.judged.positive[b], self.judged.scores[row, b]
            false, true = roc_curve(positive.astype(np.int64), np.column_stack([1 - scores, scores]), 1)
            roc[question] = Roc(false_positive_rate=tuple(false.tolist()), true_positive_rate=tuple(true.tolist()))
            thresholds, precision, recall = (
                tuple(values.tolist()) for values in precision_recall_curve(positive, scores)
            )
            precision_recall[question] = PrecisionRecall(thresholds=thresholds, precision=precision, recall=recall)
        found = self._reliability(row, equal_mass=True)
        bins = [
            Bin(
                low=float(found.edges[b]),
                high=float(found.edges[b + 1]),
                images=int(images),
                confidence=float(found.confidence[b]),
                accuracy=self._value("reliability", [row], b),
            )
            for b, images in enumerate(found.images)
            if images
        ]
        return Curves(fit=str(path), roc=roc, precision_recall=precision_recall, reliability=tuple(bins))

    def _delong(self, one: int, other: int) -> dict[str, DeLong]:
        """Return the difference of areas of each question that has two lesions on both sides."""
        from scipy.special import ndtr, ndtri

        lesions = np.unique(self.predictions.lesion_ids, return_inverse=True)[1]
        found = {}
        for b, question in enumerate(self.questions):
            positive = self.judged.positive[b]
            if min(len(np.unique(lesions[side])) for side in (positive, ~positive)) < 2:
                continue
            areas, covariance = delong(positive, self.judged.scores[[one, other], b], lesions)
            deviation = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0)))
            difference = float(areas[0] - areas[1])
            if deviation > 0:  # without it, no lesion tells the two apart
                half = float(ndtri((1 + self.confidence) / 2)) * deviation
                found[question] = DeLong(
                    difference=difference,
                    low=difference - half,
                    high=difference + half,
                    p_value=float(2 * ndtr(-abs(difference) / deviation)),
                )
        return found


def _groups(classes: tuple[str, ...], positive: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Return bool (B, C): each class alone, then the positive ones together if they are several."""
    for name in positive:
        if name not in classes:
            raise InputError(f"positive class '{name}': {nearest(name, classes)}")
    if len(positive) == len(classes):
        raise InputError(f"all {len(classes)} classes are positive; leave at least one out")
    alone = np.eye(len(classes), dtype=np.bool_)
    return np.vstack([alone, np.isin(classes, positive)]) if len(positive) > 1 else alone


def _thresholds(path: Path, part: str, groups: npt.NDArray[np.bool_], target: float) -> npt.NDArray[np.float64]:
    """Return float64 (B, 2) chosen on the val images of the same file; nan without any."""
    if part == "val" or "val" not in splits_of(path):
        return np.full((len(groups), 2), np.nan)
    val = read_predictions(path, "val")
    chosen = chosen_thresholds(val.labels, val.probabilities[None], groups, specificity=target, sensitivity=target)
    return np.asarray(chosen[0], dtype=np.float64)
