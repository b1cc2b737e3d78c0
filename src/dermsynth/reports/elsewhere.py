"""Where else the treatment was looked at: other classifiers, other tests, subgroups, other amounts of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dermsynth.reports import exhibits, figures, numbers
from dermsynth.reports.comparisons import change_data, forest, shade, span, words
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.exhibits import Exhibit
from dermsynth.reports.figures import Curve, Frame, Row
from dermsynth.reports.results import metric_name

_STEP = 5.0
"""An axis of scores starts and ends at a multiple of so many per cent."""
KINDS = {
    "classifier": "other classifiers",
    "test": "other tests",
    "subgroup": "subgroups of the test",
    "published": "tested as published",
}


def looks(evidence: Evidence) -> dict[str, Any] | None:
    """Return the further looks at treatment against control; None where the trial has none."""
    found = evidence.verdict.get("looks") or []
    if not found:
        return None
    treatment, control = evidence.verdict["treatment"], evidence.verdict["control"]
    groups: dict[str, list[Row]] = {"the verdict": [Row("all test images", **span(evidence.primary), highlighted=True)]}
    for kind, heading in KINDS.items():
        rows = [Row(_named(look), **span(look["comparison"])) for look in found if look["kind"] == kind]
        if rows:
            groups[heading] = rows
    metric = metric_name(evidence)
    keys = ("kind", "name", "column", "classes", "images", "lesions", "treatment", "control")
    lines = [
        (
            (
                *(look["kind"], look["name"], look.get("column") or "", " ".join(look["classes"])),
                *(look["images"], look["lesions"], look["treatment"]["mean"], look["control"]["mean"]),
            ),
            look["comparison"],
        )
        for look in found
    ]
    sign, honest = np.sign(evidence.primary["difference"]), [look for look in found if look["kind"] != "published"]
    decided = [
        f"{_named(look)}: {look['comparison']['outcome']} ({numbers.points(look['comparison']['difference'])})"
        for look in honest
        if look["comparison"]["outcome"] in ("helps", "harms")
    ]
    return {
        "figure": forest(
            evidence,
            "looks",
            groups,
            f"difference in {metric}, percentage points",
            f"Forest plot of {metric} elsewhere, {treatment} minus {control}",
            change_data(evidence, "looks", keys, lines),
        ),
        "count": len(honest),
        "same_sign": sum(bool(np.sign(look["comparison"]["difference"]) == sign) for look in honest),
        "decided": decided,
        "rows": [
            {
                "name": _named(look),
                "images": look["images"],
                "lesions": look["lesions"],
                "classes": len(look["classes"]),
                "treatment": _score(look["treatment"]),
                "control": _score(look["control"]),
                **words(look["comparison"]),
            }
            for look in found
        ],
        "groups": [
            {"column": column, "p": numbers.equals_p(one["p_value"]), "i_squared": numbers.percent(one["i_squared"])}
            for column, one in (evidence.verdict.get("subgroups") or {}).items()
        ],
        "fewer_classes": any(len(look["classes"]) < len(evidence.verdict["classes"]) for look in found),
        "published": [
            {
                "name": _named(look),
                "balanced": numbers.points(look["comparison"]["difference"]),
                "accuracy": numbers.points(look["accuracy"]["difference"]),
                "honest": numbers.points(evidence.primary["difference"]),
            }
            for look in found
            if look["kind"] == "published"
        ],
    }


def doses(evidence: Evidence) -> dict[str, Any] | None:
    """Return the scores over amounts, each with its trend in words; None where no arms differ in an amount alone.

    Several series of arms show the endpoint alone: what they do to each class is in the file, and in the grid.
    """
    found = evidence.verdict.get("doses") or []
    if not found:
        return None
    series = list(dict.fromkeys((one["key"], _others(one)) for one in found))
    metric = evidence.verdict["endpoint"]["metric"]
    shown = [one for one in found if one["metric"] == metric or len(series) == 1]
    panels, rows = [], []
    for number, one in enumerate(shown):
        title = metric_name(evidence) if one["metric"] == metric else f"recall of {one['metric']}"
        trend = _trend(one, 1 - evidence.verdict["endpoint"]["confidence"])
        panels.append(_panel(f"dose-{number}", title if len(series) == 1 else _others(one), one, trend))
        rows.append({"name": one["metric"], "of": _others(one), "unit": _unit(one["key"]), **trend})
    lines = [
        (one["metric"], one["key"], _others(one), arm, *values)
        for one in found
        for arm, *values in zip(
            *(one[key] for key in ("arms", "doses", "means", "lows", "highs", "monotone")), strict=True
        )
    ]
    columns = ("of", "key", "arms", "arm", "dose", "mean", "low", "high", "monotone")
    return {
        "figure": Exhibit(tuple(panels), exhibits.data("dose-response", columns, lines)),
        "rows": [row for row in rows if row["name"] == metric],
        "classes": [row for row in rows if row["name"] != metric and row["told"]],
        "untold": [row["name"] for row in rows if row["name"] != metric and not row["told"]],
    }


def _panel(name: str, title: str, one: Mapping[str, Any], trend: Mapping[str, Any]) -> str:
    x, means, lows, highs = (np.array(one[key], float) for key in ("doses", "means", "lows", "highs"))
    low = max(0.0, _STEP * math.floor(100 * lows.min() / _STEP))
    high = min(100.0, _STEP * math.ceil(100 * highs.max() / _STEP))
    frame = Frame(
        _last(one["key"]),
        (float(x[0]), float(x[-1])),
        (low, high),
        (list(one["doses"]), [100 * value for value in one["monotone"]]),
        (low, (low + high) / 2, high),
    )
    drawn = Curve(title, x, 100 * means, "treatment", low=100 * lows, high=100 * highs, marked=True)
    points = "; ".join(f"{numbers.percent(mean)} at {dose:g}" for dose, mean in zip(x, means, strict=True))
    return figures.tile(
        name,
        [drawn],
        frame,
        title=title,
        note="",
        alternative=f"{trend['said']}: {points}.",
    )


def _others(one: Mapping[str, Any]) -> str:
    """Return what the arms of a series have in common: the recipe, and what else a grid set."""
    others = dict(one["others"])
    recipe = str(others.pop("recipe", ""))
    return ", ".join([recipe, *(f"{_last(key)} {_value(value)}" for key, value in others.items())])


def _unit(key: str) -> str:
    kind, _, name = key.partition(".")
    return f"images of {name} added" if kind == "add" else "images that each class is filled up to"


def grids(evidence: Evidence) -> list[dict[str, Any]]:
    """Return a heat map for every recipe whose arms vary in two settings: the difference from the control."""
    verdict = evidence.verdict
    changes = {c["arm"]: c for c in verdict["comparisons"] if c["against"] == verdict["control"]}
    families: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, arm in verdict["arms"].items():
        if arm.get("settings") and name in changes:
            families.setdefault(evidence.recipe_of(name), {})[name] = arm["settings"]
    found = []
    for recipe, settings in families.items():
        fields = sorted({field for one in settings.values() for field in one})
        values = {field: list(dict.fromkeys(one.get(field) for one in settings.values())) for field in fields}
        varied = [field for field in fields if len(values[field]) > 1]
        if len(varied) != 2:
            continue
        down, across = varied
        reach = max(abs(changes[name]["difference"]) for name in settings)
        cells = {(one.get(down), one.get(across)): changes[name] for name, one in settings.items()}
        best = max(settings, key=lambda name: changes[name]["difference"])
        shaded = {place: shade(change, reach) for place, change in cells.items()}
        rows = [
            {"value": _value(one), "cells": [shaded.get((one, other)) for other in values[across]]}
            for one in values[down]
        ]
        lines = [((one, other), change) for (one, other), change in cells.items()]
        keys = (_last(down), _last(across))
        found.append(
            {
                "recipe": recipe,
                "down": _last(down),
                "across": _last(across),
                "columns": [_value(other) for other in values[across]],
                "rows": rows,
                "best": best,
                "gain": numbers.points(changes[best]["difference"]),
                "interval": numbers.points_range(changes[best]["low"], changes[best]["high"]),
                "outcome": changes[best]["outcome"],
                "data": change_data(evidence, f"grid-{recipe}", keys, lines),
            }
        )
    return found


def _named(look: Mapping[str, Any]) -> str:
    return f"{look['column']}: {look['name']}" if look.get("column") else str(look["name"])


def _score(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mean": numbers.percent(found["mean"], unit=False),
        "range": numbers.share_range(found["low"], found["high"]),
    }


def _trend(one: Mapping[str, Any], chance: float) -> dict[str, Any]:
    """Return the change from the first to the last dose, on the straight line, with its interval."""
    first, last = one["doses"][0], one["doses"][-1]
    slope, low, high = ((last - first) * one[key] for key in ("slope", "slope_low", "slope_high"))
    rises = one["monotone"][-1] > one["monotone"][0]
    told = bool(one["p_value"] < chance)
    return {
        "told": told,
        "said": ("rises" if rises else "falls") if told else "no trend can be told",
        "change": numbers.points(slope),
        "interval": numbers.points_range(low, high),
        "p": numbers.equals_p(one["p_value"]),
        "span": f"{first:g} to {last:g}",
    }


def _last(field: str) -> str:
    """Return the last part of a dotted key."""
    return str(field).rsplit(".", 1)[-1]


def _value(value: object) -> str:
    """Return a setting as it is read."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)
