"""The comparisons of arms as the page shows them: forest plots, heat map of classes, what each control rules out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dermsynth.reports import exhibits, figures, numbers
from dermsynth.reports.evidence import Evidence
from dermsynth.reports.exhibits import Data, Exhibit
from dermsynth.reports.figures import Row
from dermsynth.reports.results import NARROW_PX, WIDE_PX, metric_name, role_of
from dermsynth.reports.texts import BEATEN, EXPLAINED_BY, OUTCOMES

CHANGE = ("difference", "low", "high", "p_value", "adjusted_p", "equivalence_p", "outcome")
"""The fields of a comparison in a file of numbers."""
_LISTED = 6


def forests(evidence: Evidence) -> dict[str, Any]:
    """Return the forest plots of the endpoint and of the treatment's recalls, with their tables."""
    verdict = evidence.verdict
    treatment, control = verdict["treatment"], verdict["control"]
    against_control = [c for c in verdict["comparisons"] if c["against"] == control]
    against_control.sort(key=lambda c: c["arm"] != treatment)
    others = [c for c in verdict["comparisons"] if c["against"] != control]
    groups = {f"minus the control ({control})": [_row(c["arm"], c, c is evidence.primary) for c in against_control]}
    if others:
        groups["the treatment minus others"] = [_row(f"{c['arm']} − {c['against']}", c, False) for c in others]
    tested = verdict["test"]["per_class"]
    recalls = evidence.primary["recall"]
    classes = [
        Row(f"{name} ({numbers.several(tested[name]['lesions'], 'lesion')})", **span(found))
        for name, found in recalls.items()
    ]
    metric, every = metric_name(evidence), (*against_control, *others)
    return {
        "endpoint": forest(
            evidence,
            "comparisons",
            groups,
            f"difference in {metric}, percentage points",
            f"Forest plot of {metric}",
            change_data(evidence, "comparisons", ("arm", "against"), [((c["arm"], c["against"]), c) for c in every]),
        ),
        "recall": forest(
            evidence,
            "recall-by-class",
            {"": classes},
            "difference in recall, percentage points",
            f"Forest plot of recall by class, {treatment} minus {control}",
            change_data(evidence, "recall-by-class", ("class",), [((name,), c) for name, c in recalls.items()]),
        ),
        "classes": {
            "p": numbers.equals_p(evidence.primary["classes"]["p_value"]),
            "i_squared": numbers.percent(evidence.primary["classes"]["i_squared"]),
        },
        "beyond": any(c["low"] < -1 or c["high"] > 1 for c in recalls.values()),
        "rows": [{"arm": c["arm"], "against": c["against"], **words(c)} for c in every],
        "recall_rows": [{"name": name, **tested[name], **words(found)} for name, found in recalls.items()],
    }


def forest(
    evidence: Evidence, name: str, groups: Mapping[str, Sequence[Row]], axis: str, title: str, data: Data
) -> Exhibit:
    """Return a forest plot, wide and narrow."""
    margin = evidence.verdict["endpoint"]["smallest_difference"]

    def drawn(size: str, width_px: int) -> tuple[str, ...]:
        return (figures.forest(f"{name}-{size}", groups, margin=margin, axis=axis, width_px=width_px, title=title),)

    return Exhibit(drawn("wide", WIDE_PX), data, drawn("narrow", NARROW_PX))


def change_data(
    evidence: Evidence,
    name: str,
    keys: Sequence[str],
    changes: Sequence[tuple[Sequence[object], Mapping[str, Any]]],
) -> Data:
    """Return comparisons as a file, with the difference of every seed; each comes with what its `keys` say of it."""
    rows = [(*key, *(found[field] for field in CHANGE), *found["by_seed"]) for key, found in changes]
    return exhibits.data(name, (*keys, *CHANGE, *(f"seed_{seed}" for seed in evidence.seeds)), rows)


def heat(evidence: Evidence) -> dict[str, Any] | None:
    """Return arms x classes, the change of recall against the control; None with a single arm beside it."""
    verdict = evidence.verdict
    found = [c for c in verdict["comparisons"] if c["against"] == verdict["control"]]
    if len(found) < 2:
        return None
    reach = max(abs(change["difference"]) for c in found for change in c["recall"].values())
    metric = metric_name(evidence)
    rows = [
        {
            "name": c["arm"],
            "role": role_of(evidence, c["arm"]),
            "cells": [shade(change, reach) for change in (*c["recall"].values(), c)],
        }
        for c in found
    ]
    told = [
        (c["arm"], name, change)
        for c in found
        for name, change in c["recall"].items()
        if change["outcome"] in ("helps", "harms")
    ]
    changes = [((c["arm"], name), change) for c in found for name, change in c["recall"].items()]
    return {
        "rows": rows,
        "columns": [*verdict["classes"], metric],
        "sentence": _told(told, len(changes)),
        "data": change_data(evidence, "recall-by-arm-and-class", ("arm", "class"), changes),
    }


def _told(told: Sequence[tuple[str, str, Mapping[str, Any]]], of: int) -> str:
    """Return which changes of recall are told apart from 0; of many, how many and the largest on either side."""
    if not told:
        return f"Of {of} changes none is told apart from 0."
    verbs = {"helps": "gains", "harms": "loses"}
    ranked = sorted(told, key=lambda one: -abs(one[2]["difference"]))
    if len(told) > _LISTED:
        sides = {side: [one for one in ranked if one[2]["outcome"] == side] for side in verbs}
        counts = f"{len(sides['helps'])} gains and {len(sides['harms'])} losses"
        start = f"Of {of} changes {len(told)} are told apart from 0, {counts}; the largest: "
        ranked = [side[0] for side in sides.values() if side]
    else:
        start = f"Of {of} changes {'these are' if len(told) > 1 else 'this one is'} told apart from 0: "
    said = (f"{arm} {verbs[c['outcome']]} {name} ({numbers.points(c['difference'])})" for arm, name, c in ranked)
    return f"{start}{'; '.join(said)}."


def shade(change: Mapping[str, Any], reach: float) -> dict[str, Any]:
    """Return a cell of a heat map: its number, its outcome, its direction, and its shade as a share of the largest."""
    difference = change["difference"]
    outcome = change["outcome"]
    return {
        "text": numbers.points(difference, unit=False),
        "interval": numbers.points_range(change["low"], change["high"]),
        "outcome": outcome,
        "sign": OUTCOMES[outcome][0] if outcome != "inconclusive" else "",
        "direction": "up" if difference > 0 else "down",
        "share": round(min(100.0, 100 * abs(difference) / reach), 1) if reach else 0.0,
    }


def explanations(evidence: Evidence) -> dict[str, Any]:
    """Return what else could explain a gain, by the arm that has it, and whether the treatment is told to beat that."""
    verdict, rows = evidence.verdict, []
    for c in verdict["comparisons"]:
        if c["arm"] == verdict["treatment"]:
            explains = EXPLAINED_BY.get(evidence.recipe_of(c["against"]), "What that arm does")
            equals_p = numbers.equals_p(c["adjusted_p"])
            said = {"against": c["against"], "explains": explains, "said": BEATEN[c["outcome"]], "equals_p": equals_p}
            rows.append({**said, **words(c)})
    beaten = sum(row["outcome"] == "helps" for row in rows)
    gain = evidence.primary["outcome"] == "helps"
    start = "" if gain else "There is no gain to explain. "
    return {
        "rows": rows,
        "sentence": f"{start}Of {numbers.several(len(rows), 'simpler explanation')}, each tried by an arm of its own, "
        f"{beaten or 'none'} {'is' if beaten < 2 else 'are'} ruled out.",
    }


def span(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a comparison as a row of a forest plot has them."""
    values = {name: float(found[name]) for name in ("difference", "low", "high")}
    return {**values, "by_seed": tuple(float(value) for value in found["by_seed"])}


def words(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a comparison as a table has them."""
    return {
        "difference": numbers.points(found["difference"], unit=False),
        "interval": numbers.points_range(found["low"], found["high"], unit=False),
        "p": numbers.p_value(found["p_value"]),
        "adjusted": numbers.p_value(found["adjusted_p"]),
        "equivalence": numbers.p_value(found["equivalence_p"]),
        "outcome": found["outcome"],
        "sign": OUTCOMES[found["outcome"]][0],
    }


def _row(label: str, comparison: Mapping[str, Any], highlighted: bool) -> Row:
    return Row(label, **span(comparison), highlighted=highlighted)
