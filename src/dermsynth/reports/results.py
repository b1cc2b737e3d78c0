"""The numbers of the verdict as the page shows them: the sentence's evidence, forest plots, arms, ROC, confusions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dermsynth.metrics import scores
from dermsynth.reports import figures, numbers
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.figures import Curve, Row
from dermsynth.reports.texts import METRICS, OUTCOMES

WIDE_PX, NARROW_PX = 960, 328
"""Widths at which a figure is drawn: for a desk or paper, and for a phone."""
_SENTENCE_END = re.compile(r"(?<=[a-z)]\.)\s+(?=[A-Z])")
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_RATES = np.linspace(0, 1, 81)


def metric_name(evidence: Evidence) -> str:
    """Return the endpoint's name for reading."""
    metric = str(evidence.verdict["endpoint"]["metric"])
    return METRICS.get(metric, metric.replace("_", " "))


def role_of(evidence: Evidence, arm: str) -> str:
    """Return `treatment`, `control` or `other`."""
    verdict = evidence.verdict
    return {verdict["treatment"]: "treatment", verdict["control"]: "control"}.get(arm, "other")


def hero(evidence: Evidence) -> dict[str, Any]:
    """Return the outcome, the effect and where its interval lies, in percent of the strip's width."""
    found, margin = evidence.primary, evidence.verdict["endpoint"]["smallest_difference"]
    reach: float = 1.12 * max(abs(found["low"]), abs(found["high"]), 1.9 * margin)

    def at(value: float) -> float:
        return round(50 + 50 * float(value) / reach, 2)

    finding, *rest = _SENTENCE_END.split(_typeset(evidence.verdict["sentence"]))
    sign, meaning = OUTCOMES[evidence.verdict["outcome"]]
    return {
        "finding": finding,
        "rest": " ".join(rest),
        "sign": sign,
        "meaning": meaning,
        "effect": numbers.points(found["difference"]),
        "interval": numbers.points_range(found["low"], found["high"]),
        "p": numbers.p_value(found["p_value"]),
        "margin": f"{100 * margin:.1f}{numbers.GAP}pp",
        "at": {name: at(found[name]) for name in ("low", "high", "difference")},
        "band": {"low": at(-margin), "high": at(margin)},
        "seeds_at": [at(value) for value in found["by_seed"]],
        "zero_fits": abs(at(margin) - 50) >= 3,
    }


def forests(evidence: Evidence) -> dict[str, Any]:
    """Return the forest plots of the endpoint and of the treatment's recalls, each wide and narrow."""
    verdict = evidence.verdict
    treatment, control = verdict["treatment"], verdict["control"]
    against_control = [c for c in verdict["comparisons"] if c["against"] == control]
    against_control.sort(key=lambda c: c["arm"] != treatment)
    others = [c for c in verdict["comparisons"] if c["against"] != control]
    groups = {f"each arm against the control ({control})": [_row(c, c is evidence.primary) for c in against_control]}
    if others:
        groups[f"the treatment ({treatment}) against the others"] = [_row(c, False) for c in others]
    tested = verdict["test"]["per_class"]
    classes = [
        Row(f"{name} ({numbers.several(tested[name]['lesions'], 'lesion')})", **_span(found))
        for name, found in evidence.primary["recall"].items()
    ]
    words = "; ".join(
        f"{c['arm']} minus {c['against']}: {numbers.points(c['difference'])},"
        f" interval {numbers.points_range(c['low'], c['high'])}"
        for c in (*against_control, *others)
    )
    recall_words = "; ".join(
        f"{name}: {numbers.points(c['difference'])}, interval {numbers.points_range(c['low'], c['high'])}"
        for name, c in evidence.primary["recall"].items()
    )
    metric, margin = metric_name(evidence), verdict["endpoint"]["smallest_difference"]

    def drawn(name: str, rows: Mapping[str, list[Row]], axis: str, label: str) -> dict[str, str]:
        return {
            size: figures.forest(f"{name}-{size}", rows, margin=margin, axis=axis, width_px=px, label=label)
            for size, px in (("wide", WIDE_PX), ("narrow", NARROW_PX))
        }

    return {
        "endpoint": drawn(
            "forest", groups, f"difference in {metric}, percentage points", f"Forest plot of {metric}. {words}."
        ),
        "recall": drawn(
            "recall",
            {"": classes},
            "difference in recall, percentage points",
            f"Forest plot of recall by class, {treatment} minus {control}. {recall_words}.",
        ),
        "classes": {
            "p": numbers.equals_p(evidence.primary["classes"]["p_value"]),
            "i_squared": numbers.percent(evidence.primary["classes"]["i_squared"]),
        },
        "beyond": any(c["low"] < -1 or c["high"] > 1 for c in evidence.primary["recall"].values()),
        "rows": [_words(c) for c in (*against_control, *others)],
        "recall_rows": [
            {"name": name, **tested[name], **_words({"arm": name, "against": "", **found})}
            for name, found in evidence.primary["recall"].items()
        ],
    }


def arms(evidence: Evidence) -> list[dict[str, Any]]:
    """Return one entry per arm: scores with intervals, recalls, and how many images it was trained on."""
    return [
        {
            "name": name,
            "role": role_of(evidence, name),
            "balanced_accuracy": _share(arm["balanced_accuracy"]),
            "accuracy": _share(arm["accuracy"]),
            "macro_auc": {
                "mean": numbers.area(arm["macro_auc"]["mean"]),
                "range": f"{numbers.area(arm['macro_auc']['low'])}–{numbers.area(arm['macro_auc']['high'])}",
            },
            "images": numbers.count(sum(arm["train_counts"].values())) if arm.get("train_counts") else None,
            "recall": {label: _share(found) for label, found in arm["recall"].items()},
        }
        for name, arm in evidence.verdict["arms"].items()
    ]


def rocs(evidence: Evidence) -> list[str]:
    """Return one plot of one-vs-rest ROC curves per class; a curve is the mean sensitivity over seeds."""
    classes, verdict = evidence.verdict["classes"], evidence.verdict
    shown = []
    for number, name in enumerate(classes):
        curves, areas = [], {}
        for arm in verdict["arms"]:
            fits = [evidence.fits[arm][seed].predictions for seed in evidence.seeds]
            found = [scores.roc_curve(one.labels, one.probabilities, number) for one in fits]
            mean = np.mean([np.interp(_RATES, fpr, tpr) for fpr, tpr in found], axis=0)
            curves.append(Curve(arm, np.r_[0, _RATES], np.r_[0, mean], role_of(evidence, arm)))
            areas[arm] = float(np.mean([np.trapezoid(tpr, fpr) for fpr, tpr in found]))
        note = f"{areas[verdict['treatment']]:.2f} · {areas[verdict['control']]:.2f}"
        every = ", ".join(f"{arm} {numbers.area(value)}" for arm, value in areas.items())
        label = f"ROC curves of {name} against the rest, mean over seeds. Areas: {every}."
        shown.append(figures.roc(f"roc-{number}", curves, title=name, note=note, label=label))
    return shown


def confusions(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the confusion matrices, control and treatment first; a cell has its share of the row, 0 to 100."""
    classes = evidence.verdict["classes"]
    order = {"control": 0, "treatment": 1, "other": 2}
    shown = []
    for name in sorted(evidence.verdict["arms"], key=lambda arm: order[role_of(evidence, arm)]):
        matrix = np.asarray(evidence.verdict["arms"][name]["confusion"])
        totals = matrix.sum(axis=1)
        rows = [
            {
                "actual": actual,
                "total": int(totals[i]),
                "cells": [
                    {"predicted": predicted, "count": int(matrix[i, j]), "percent": 100 * matrix[i, j] / totals[i]}
                    for j, predicted in enumerate(classes)
                ],
            }
            for i, actual in enumerate(classes)
        ]
        shown.append({"name": name, "role": role_of(evidence, name), "rows": rows})
    return shown


def _typeset(sentence: str) -> str:
    """Return the sentence with true minus signs and no line break before a per cent sign."""
    return _MINUS.sub(numbers.MINUS, sentence).replace(" %", f"{numbers.GAP}%")


def _row(comparison: Mapping[str, Any], highlighted: bool) -> Row:
    return Row(f"{comparison['arm']} − {comparison['against']}", **_span(comparison), highlighted=highlighted)


def _span(found: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: float(found[name]) for name in ("difference", "low", "high")}
    return {**values, "by_seed": tuple(float(value) for value in found["by_seed"])}


def _words(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "arm": found["arm"],
        "against": found["against"],
        "difference": numbers.points(found["difference"], unit=False),
        "interval": numbers.points_range(found["low"], found["high"], unit=False),
        "p": numbers.p_value(found["p_value"]),
        "adjusted": numbers.p_value(found["adjusted_p"]),
        "equivalence": numbers.p_value(found["equivalence_p"]),
        "outcome": found["outcome"],
        "sign": OUTCOMES[found["outcome"]][0],
        "by_seed": [numbers.points(value, unit=False) for value in found["by_seed"]],
    }


def _share(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mean": numbers.percent(found["mean"], unit=False),
        "range": numbers.share_range(found["low"], found["high"]),
    }
