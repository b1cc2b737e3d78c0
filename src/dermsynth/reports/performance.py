"""How well the arms rank, how honest their probabilities are, and what acting on them is worth: curves and areas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dermsynth.metrics.calibration import Reliability
from dermsynth.metrics.judged import BENEFIT_THRESHOLDS, BenefitScores, CalibrationScores, Judged, RankingScores
from dermsynth.metrics.operating import net_benefit_of_all
from dermsynth.metrics.redraws import Spread, spreads
from dermsynth.metrics.statistics import Estimate
from dermsynth.reports import exhibits, figures, numbers
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.exhibits import Exhibit
from dermsynth.reports.figures import Curve, Frame
from dermsynth.reports.judgements import Judgements, declared_seed, judgements
from dermsynth.reports.results import role_of

Floats = npt.NDArray[np.float64]

_REDRAWS = 400
"""Of lesions: enough for a deviation, which a quantile would not be known from."""
_RATES = np.linspace(0, 1, 81)
_RECALLS = np.linspace(0.0125, 1, 80)
_HIGHEST = 0.6
"""Net benefit is drawn up to this threshold: nobody waits for more certainty before a biopsy."""
_BINS_PX = 300


def performance(evidence: Evidence) -> dict[str, Any]:
    """Return the curves of every class and the areas under them, reliability, and net benefit, with intervals."""
    verdict = evidence.verdict
    treatment, control = str(verdict["treatment"]), str(verdict["control"])
    both, every = judgements(evidence, (treatment, control)), judgements(evidence, tuple(verdict["arms"]))
    judged = both.judged
    found = spreads(
        [RankingScores(judged), CalibrationScores(judged), BenefitScores(judged)],
        judged.lesions,
        resamples=_REDRAWS,
        seed=declared_seed(evidence),
    )
    return {
        "roc": _curves(evidence, every, "roc"),
        "precision": _curves(evidence, every, "precision"),
        "areas": _areas(evidence, found, both.fits),
        "reliability": _reliability(evidence, found, judged, both.fits),
        "benefit": _benefit(evidence, found["net_benefit"], judged, both.fits),
    }


def _curves(evidence: Evidence, every: Judgements, kind: str) -> Exhibit:
    """Return one plot per class: the mean over seeds, and for treatment and control the range of seeds."""
    verdict = evidence.verdict
    grid, judged = _RATES if kind == "roc" else _RECALLS, every.judged
    panels, rows = [], []
    for number, name in enumerate(verdict["classes"]):
        share = float(judged.positive[number].mean())
        curves, told = [], []
        for arm, fits in every.fits.items():
            of_seed = np.stack([_course(judged.positive[number], judged.scores[fit, number], kind) for fit in fits])
            mean, role = of_seed.mean(axis=0), role_of(evidence, arm)
            banded = role != "other" and len(fits) > 1
            low, high = (of_seed.min(axis=0), of_seed.max(axis=0)) if banded else (None, None)
            curves.append(_drawn(kind, Curve(arm, grid, mean, role, low=low, high=high)))
            rows += [
                (name, arm, at, *values)
                for at, *values in zip(
                    grid.tolist(), *(e.tolist() for e in (mean, of_seed.min(axis=0), of_seed.max(axis=0))), strict=True
                )
            ]
            if role != "other":
                middle = float(np.interp(0.2 if kind == "roc" else 0.8, grid, mean))
                told.append(f"{arm} {numbers.percent(middle)}")
        if kind == "roc":
            frame = Frame("false positive rate", reference=((0, 1), (0, 1)))
            words = f"Sensitivity at a false positive rate of 20 %: {', '.join(told)}."
        else:
            frame = Frame("recall", reference=((0, 1), (share, share)))
            words = f"Precision at a recall of 80 %: {', '.join(told)}; chance {numbers.percent(share)}."
        panels.append(figures.tile(f"{kind}-{number}", curves, frame, title=name, note="", alternative=words))
    measured = ("false_positive_rate", "sensitivity") if kind == "roc" else ("recall", "precision")
    columns = ("class", "arm", *measured, "lowest_seed", "highest_seed")
    return Exhibit(tuple(panels), exhibits.data(f"{kind}-curves", columns, rows))


def _drawn(kind: str, curve: Curve) -> Curve:
    """Return a ROC curve from its corner at 0, 0 on; a precision at no recall at all is not defined."""
    if kind != "roc":
        return curve
    low, high = (None if edge is None else np.r_[0, edge] for edge in (curve.low, curve.high))
    return Curve(curve.name, np.r_[0, curve.x], np.r_[0, curve.y], curve.role, low=low, high=high)


def _course(positive: npt.NDArray[np.bool_], values: Floats, kind: str) -> Floats:
    """Return sensitivity at each false positive rate, or the precision of the fewest calls that reach each recall.

    One order of the images gives both; equal values are called together.
    """
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)
    true, called = np.cumsum(positive[order])[last], np.flatnonzero(last) + 1
    if kind == "roc":
        false = called - true
        return np.asarray(np.interp(_RATES, np.r_[0, false / false[-1]], np.r_[0, true / true[-1]]))
    return np.asarray((true / called)[np.searchsorted(true / true[-1], _RECALLS - 1e-12)])


def _areas(evidence: Evidence, found: dict[str, Spread], fits: dict[str, list[int]]) -> dict[str, Any]:
    """Return the table of both areas by class: treatment, control, and their difference with its interval."""
    verdict = evidence.verdict
    confidence = verdict["endpoint"]["confidence"]
    (of_treatment, of_control), rows, lines, clear = fits.values(), [], [], []
    names = [*verdict["classes"], "mean of the classes"]
    for place, name in enumerate(names):
        cells = []
        for measure in ("auc", "average_precision"):
            mean = place == len(names) - 1
            spread, m = found[f"{measure}_macro" if mean else measure], 0 if mean else place
            both = [spread.estimate(of_arm, m, confidence=confidence) for of_arm in (of_treatment, of_control)]
            change = spread.compare(of_treatment, of_control, m)
            low, high = change.interval(confidence)
            if low > 0 or high < 0:
                words = "area under the ROC curve" if measure == "auc" else "average precision"
                clear.append(f"{name} ({words}, {_signed(change.value)})")
            cells.append([*map(_area, both), {"mean": _signed(change.value), "range": _signed_range(low, high)}])
            ends = [value for one in both for value in (one.mean, one.low, one.high)]
            lines.append((measure, name, *ends, change.value, low, high))
        rows.append({"name": name, "cells": [cell for group in cells for cell in group]})
    ends_of = [f"{arm}{end}" for arm in ("treatment", "control", "difference") for end in ("", "_low", "_high")]
    return {"rows": rows, "told": clear, "data": exhibits.data("areas", ("measure", "class", *ends_of), lines)}


def _reliability(
    evidence: Evidence, found: dict[str, Spread], judged: Judged, fits: dict[str, list[int]]
) -> dict[str, Any]:
    """Return a plot per arm of how often it is right where it is how sure, and its calibration errors."""
    confidence = evidence.verdict["endpoint"]["confidence"]
    panels, rows, told = [], [], []
    for arm, of_arm in fits.items():
        bins = [Reliability.of(judged.labels, judged.probabilities[fit], equal_mass=True) for fit in of_arm]
        count = min(len(one.images) for one in bins)
        sure = np.mean([one.confidence[:count] for one in bins], axis=0)
        right = [found["reliability"].estimate(of_arm, m, confidence=confidence) for m in range(count)]
        mean, low, high = (np.array([getattr(one, end) for one in right]) for end in ("mean", "low", "high"))
        role = role_of(evidence, arm)
        error = found["ece"].estimate(of_arm, 0, confidence=confidence)
        floor = float(np.mean([Reliability.of(judged.labels, judged.probabilities[fit]).floor for fit in of_arm]))
        frame = Frame("confidence", reference=((0, 1), (0, 1)))
        surest = numbers.percent(float(sure[-1])), numbers.percent(float(mean[-1]))
        told.append(
            {
                "arm": arm,
                "error": numbers.percent(error.mean),
                "range": numbers.share_range(error.low, error.high),
                "floor": numbers.percent(floor),
                "sure": surest[0],
                "right": surest[1],
            }
        )
        panels.append(
            figures.tile(
                f"reliability-{role}",
                [Curve(arm, sure, mean, role, low=low, high=high, marked=True)],
                frame,
                title=f"{arm} ({role})",
                note="",
                alternative=f"Where {arm} is {surest[0]} sure, it is right in {surest[1]} of cases.",
                width_px=_BINS_PX,
            )
        )
        rows += [(arm, *values) for values in zip(*(e.tolist() for e in (sure, mean, low, high)), strict=True)]
    columns = ("arm", "confidence", "share_right", "low", "high")
    return {"figure": Exhibit(tuple(panels), exhibits.data("reliability", columns, rows)), "arms": told}


def _benefit(evidence: Evidence, spread: Spread, judged: Judged, fits: dict[str, list[int]]) -> dict[str, Any]:
    """Return the decision curve of every class, and in words where the arms differ."""
    verdict = evidence.verdict
    confidence, steps = verdict["endpoint"]["confidence"], len(BENEFIT_THRESHOLDS)
    of_treatment, of_control = fits.values()
    shown = BENEFIT_THRESHOLDS <= _HIGHEST
    at = BENEFIT_THRESHOLDS[shown]
    panels, rows, differ = [], [], []
    for number, name in enumerate(verdict["classes"]):
        share = float(judged.positive[number].mean())
        curves, told = [], []
        for arm, of_arm in fits.items():
            each = [spread.estimate(of_arm, number * steps + step, confidence=confidence) for step in range(steps)]
            mean, low, high = (np.array([getattr(one, end) for one in each])[shown] for end in ("mean", "low", "high"))
            curves.append(Curve(arm, at, mean, role_of(evidence, arm), low=low, high=high))
            rows += [(name, arm, *row) for row in zip(*(e.tolist() for e in (at, mean, low, high)), strict=True)]
            told.append(f"{arm} {np.interp(0.1, at, mean):.3f}")
        everyone = net_benefit_of_all(share, at)
        limits = (-0.25 * share, 1.2 * share)
        frame = Frame(
            "threshold", (0.0, _HIGHEST), limits, (at.tolist(), everyone.tolist()), (0.0, share), "{:.2f}".format
        )
        told.append(f"calling all {np.interp(0.1, at, everyone):.3f}")
        words = f"Net benefit at a threshold of 10 %: {', '.join(told)}."
        panels.append(figures.tile(f"benefit-{number}", curves, frame, title=name, note="", alternative=words))
        changes = [spread.compare(of_treatment, of_control, number * steps + step) for step in range(len(at))]
        for word, sign in (("more", 1), ("less", -1)):
            beyond = [sign * c.value > 0 and c.p_value < 1 - confidence for c in changes]
            if any(beyond):
                span = at[beyond]
                where = f"{100 * span[0]:.0f}" if len(span) == 1 else f"{100 * span[0]:.0f} to {100 * span[-1]:.0f}"
                differ.append(f"{name}: {word} at {int(sum(beyond))} of {len(at)} thresholds ({where}{numbers.GAP}%)")
    columns = ("class", "arm", "threshold", "net_benefit", "low", "high")
    return {"figure": Exhibit(tuple(panels), exhibits.data("net-benefit", columns, rows)), "differ": differ}


def _area(found: Estimate) -> dict[str, str]:
    return {"mean": numbers.area(found.mean), "range": f"{numbers.area(found.low)}–{numbers.area(found.high)}"}


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", numbers.MINUS)


def _signed_range(low: float, high: float) -> str:
    return f"{_signed(low)} to {_signed(high)}"
