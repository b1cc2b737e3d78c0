"""Finished trials side by side as one HTML file that needs nothing else, and no network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from dermsynth.reports import numbers
from dermsynth.reports.figures import Row, forest
from dermsynth.reports.report import environment
from dermsynth.trials.compare import Against, Compared
from dermsynth.trials.verdict import Verdict


def render_comparison(found: Compared) -> str:
    """Return the page as text."""
    return environment().get_template("compare.html.j2").render(**_view(found))


def differences(found: Compared) -> list[tuple[str, list[str]]]:
    """Return the keys of the protocols that differ, each with its values as text, in the order of the trials."""
    with_protocol = [label for label in found.trials if label not in found.without_protocol]
    return [
        (key, [written(row[label]) if label in with_protocol else "?" for label in found.trials])
        for key, row in found.differs.items()
    ]


def written(value: Any) -> str:
    """Return a value of a protocol on one line, as it stands in YAML; a dash where there is none."""
    if value is None:
        return "–"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def scores(found: Compared) -> list[tuple[str, list[str]]]:
    """Return every arm's score with its interval, in per cent, in the order of the trials; a dash where it has none."""
    arms = _once(arm for verdict in found.trials.values() for arm in verdict.arms)
    return [(arm, [_score(verdict, arm) for verdict in found.trials.values()]) for arm in arms]


def effects(found: Compared) -> list[tuple[str, str, str, str, str, str]]:
    """Return trial, arms, difference in points, interval, p and outcome of every treatment against its control."""
    rows = []
    for label, verdict in found.trials.items():
        one = _effect(verdict)
        change = numbers.points(one.difference, unit=False)
        interval = numbers.points_range(one.low, one.high, unit=False)
        rows.append((label, f"{one.arm} − {one.against}", change, interval, numbers.p_value(one.p_value), one.outcome))
    return rows


def _score(verdict: Verdict, arm: str) -> str:
    if arm not in verdict.arms:
        return "–"
    band = getattr(verdict.arms[arm], verdict.endpoint.metric)
    return f"{numbers.percent(band.mean, unit=False)} ({numbers.share_range(band.low, band.high)})"


def _effect(verdict: Verdict) -> Any:
    found = verdict.comparison(verdict.treatment, verdict.control)
    assert found is not None
    return found


def _rival(one: Against, first: str) -> Row:
    if one.unpaired is not None:
        alone = one.unpaired
        return Row(f"{one.trial} − {first} (unpaired)", alone.difference, alone.low, alone.high, (), True)
    assert one.effect is not None
    return Row(
        f"{one.trial} − {first}", one.effect.difference, one.effect.low, one.effect.high, one.effect.by_seed, True
    )


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _view(found: Compared) -> dict[str, Any]:
    endpoint = next(iter(found.trials.values())).endpoint
    rows = [
        Row(f"{label}: {one.arm} − {one.against}", one.difference, one.low, one.high, one.by_seed)
        for label, one in ((label, _effect(verdict)) for label, verdict in found.trials.items())
    ]
    first = next(iter(found.trials))
    rivals = [_rival(one, first) for one in found.against]
    groups = {"Treatment minus control in each trial": rows, "Effect minus that of the first trial": rivals}

    def drawn(name: str, width_px: int) -> str:
        return forest(
            name,
            groups,
            margin=endpoint.smallest_difference,
            axis="difference, percentage points",
            width_px=width_px,
            title="Effects of the trials, and their differences",
        )

    return {
        "found": found,
        "metric": endpoint.metric.replace("_", " "),
        "part": endpoint.split,
        "confidence": f"{100 * endpoint.confidence:g}{numbers.GAP}%",
        "differences": differences(found),
        "scores": scores(found),
        "effects": effects(found),
        "figure": {
            "wide": drawn("effects-wide", 920),
            "narrow": drawn("effects-narrow", 340),
        },
    }
