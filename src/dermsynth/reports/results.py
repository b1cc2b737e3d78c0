"""The numbers of the verdict as the page shows them: the sentence's evidence, the arms' scores, their confusions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dermsynth.reports import exhibits, numbers
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.exhibits import Data
from dermsynth.reports.texts import METRICS, OUTCOMES

WIDE_PX, NARROW_PX = 960, 328
"""Widths at which a figure is drawn: for a desk or paper, and for a phone."""
_SENTENCE_END = re.compile(r"(?<=[a-z)]\.)\s+(?=[A-Z])")
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")


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


def chosen(evidence: Evidence) -> dict[str, str] | None:
    """Return on which part the treatment was chosen and among which arms, with their scores there; None if declared."""
    found = evidence.verdict.get("chosen")
    if not found:
        return None
    among = ", ".join(f"{arm} ({numbers.percent(score)})" for arm, score in found["among"].items())
    return {"on": found["on"], "among": among}


def arms_data(evidence: Evidence) -> Data:
    """Return every score of every arm, of which `arms` shows a table."""
    rows = []
    for name, arm in evidence.verdict["arms"].items():
        measured = {key: arm[key] for key in ("balanced_accuracy", "accuracy", "macro_auc")}
        measured |= {f"recall of {label}": found for label, found in arm["recall"].items()}
        for measure, found in measured.items():
            rows.append((name, measure, found["mean"], found["low"], found["high"], *found["by_seed"]))
    seeds = [f"seed_{seed}" for seed in evidence.seeds]
    return exhibits.data("arms", ("arm", "measure", "mean", "low", "high", *seeds), rows)


def confusions_data(evidence: Evidence) -> Data:
    """Return the counts of all confusion matrices."""
    classes = evidence.verdict["classes"]
    rows = [
        (name, actual, predicted, arm["confusion"][i][j])
        for name, arm in evidence.verdict["arms"].items()
        for i, actual in enumerate(classes)
        for j, predicted in enumerate(classes)
    ]
    return exhibits.data("confusion-matrices", ("arm", "actual", "predicted", "predictions"), rows)


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


def _share(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mean": numbers.percent(found["mean"], unit=False),
        "range": numbers.share_range(found["low"], found["high"]),
    }
