"""The figures of a report: numbers in, SVG out (see `svg` for how they follow the page).

Every figure returns one `<svg>` element as text. `width_px` is the width at which its letters have their right size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsynth.reports.numbers import points, points_range
from dermsynth.reports.svg import ACCENT, BAND, FAINT, INK, LINE, MUTED, PAPER, bare, canvas, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

FloatArray = npt.NDArray[np.float64]
_DASHES = [(0, (4, 2)), (0, (1, 2)), (0, (6, 2, 1, 2)), (0, (2, 1)), (0, (8, 3))]


@dataclass(frozen=True)
class Row:
    """One line of a forest plot: a difference in [-1, 1], its interval, and the difference of every seed."""

    label: str
    difference: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    highlighted: bool = False


@dataclass(frozen=True, eq=False)
class Curve:
    """A line over images seen; `role` is `treatment`, `control` or `other`; `chosen` marks points on it."""

    name: str
    x: FloatArray
    y: FloatArray
    role: str = "other"
    chosen: tuple[float, ...] = ()


def forest(
    name: str, groups: Mapping[str, Sequence[Row]], *, margin: float, axis: str, width_px: int, label: str
) -> str:
    """Draw intervals of differences against 0 and the margin of indifference.

    Args:
        name: Unique within the page.
        groups: Heading -> rows, from top to bottom; an empty heading is not drawn.
        margin: The smallest difference that matters, in [0, 1].
        axis: Legend of the axis of differences (in percentage points).
        width_px: From 600 on, names stand left of the plot and numbers right of it; below that, above each line.
        label: Text alternative.
    """
    beside = width_px >= 600
    row_px, head_px, foot_px = (34 if beside else 50), 30, 46
    headings = sum(1 for heading in groups if heading)
    rows = sum(len(group) for group in groups.values())
    height_px = rows * row_px + headings * head_px + foot_px + 8
    left, right = (236, 196) if beside else (18, 18)
    with canvas(name, width_px, height_px) as figure:
        axes = figure.add_axes(
            (left / width_px, foot_px / height_px, 1 - (left + right) / width_px, 1 - (foot_px + 4) / height_px)
        )
        bottom = height_px - foot_px - 4
        axes.set_ylim(bottom, 0)
        ends = [100 * end for group in groups.values() for row in group for end in (row.low, row.high, *row.by_seed)]
        low, high = min([*ends, -100 * margin]), max([*ends, 100 * margin])
        pad = 0.05 * (high - low)
        axes.set_xlim(max(low - pad, -105), min(high + pad, 105))  # no share differs by more than 100 points
        axes.set_autoscale_on(False)
        sides = axes.get_yaxis_transform()  # x in shares of the axes, y in pixels
        inner = width_px - left - right
        y = 0.0
        for heading, group in groups.items():
            if heading:
                axes.text(-left / inner, y + 20, heading, transform=sides, color=MUTED, fontsize=12)
                y += head_px
            for row in group:
                middle = y + (row_px / 2 if beside else 33)
                words = y + row_px / 2 + 4 if beside else y + 15
                weight = "bold" if row.highlighted else "normal"
                value = f"{points(row.difference, unit=False)} ({points_range(row.low, row.high, unit=False)})"
                axes.text(-left / inner, words, row.label, transform=sides, fontsize=13, weight=weight)
                axes.text(1 + right / inner, words, value, transform=sides, fontsize=12, weight=weight, ha="right")
                _interval(axes, row, middle)
                y += row_px
                if not beside:
                    _scale(axes, y - row_px + 21, y, margin)
        if beside:
            _scale(axes, 0, bottom, margin)
        bare(axes, keep="bottom")
        axes.set_yticks([])
        axes.xaxis.set_major_locator(_locator(8 if beside else 5))
        axes.xaxis.set_major_formatter(lambda value, _: points(value / 100, unit=False).removesuffix(".0"))
        axes.set_xlabel(axis, fontsize=12)
        return render(figure, label)


def _scale(axes: Axes, top: float, bottom: float, margin: float) -> None:
    """Draw 0 and the margin behind the lines between two heights."""
    axes.fill_between([-100 * margin, 100 * margin], top, bottom, color=BAND, linewidth=0, zorder=0)
    axes.plot([0, 0], [top, bottom], color=MUTED, linewidth=1, zorder=1, solid_capstyle="butt")


def _interval(axes: Axes, row: Row, y: float) -> None:
    colour = ACCENT if row.highlighted else INK
    axes.plot([100 * row.low, 100 * row.high], [y, y], color=colour, linewidth=2.6 if row.highlighted else 1.8)
    seeds = [100 * value for value in row.by_seed]
    axes.plot(seeds, [y + 8] * len(seeds), "o", color=colour, markersize=4.4, alpha=0.6, markeredgewidth=0)
    axes.plot([100 * row.difference], [y], "D", color=colour, markersize=7, markeredgecolor=PAPER, markeredgewidth=1.2)


def roc(
    name: str, curves: Sequence[Curve], *, title: str, note: str, width_px: int = 190, label: str | None = None
) -> str:
    """Draw one class's ROC curves (x = false positive rate, y = sensitivity), treatment and control before the rest."""
    height_px = width_px + 22
    with canvas(name, width_px, height_px) as figure:
        side = width_px - 40
        axes = figure.add_axes((32 / width_px, 34 / height_px, side / width_px, side / height_px))
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1)
        styles: dict[str, Any] = {
            "other": {"color": FAINT, "linewidth": 0.9},
            "control": {"color": INK, "linewidth": 1.4, "linestyle": (0, (4, 2))},
            "treatment": {"color": ACCENT, "linewidth": 2.2},
        }
        for role, style in styles.items():
            for curve in curves:
                if curve.role == role:
                    axes.plot(curve.x, curve.y, **style)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xticklabels(["0", "0.5", "1"], fontsize=10)
        axes.set_yticklabels(["0", "0.5", "1"], fontsize=10)
        bare(axes, keep="bottom left")
        axes.tick_params(pad=4)
        figure.text(32 / width_px, 1 - 18 / height_px, title, fontsize=12, weight="bold")
        figure.text(1 - 8 / width_px, 1 - 18 / height_px, note, fontsize=10, color=MUTED, ha="right")
        axes.set_xlabel("false positive rate", fontsize=10, labelpad=1)
        return render(figure, label or f"ROC curves of {title}: {note}")


def progress(
    name: str,
    curves: Sequence[Curve],
    *,
    axis: str,
    width_px: int,
    height_px: int,
    label: str,
    limits: tuple[float, float] | None = None,
) -> str:
    """Draw curves over images seen, each named at its right end; rings mark chosen checkpoints."""
    right = 34 + max(7 * len(curve.name) for curve in curves)
    with canvas(name, width_px, height_px) as figure:
        box = (44 / width_px, 46 / height_px, 1 - (44 + right) / width_px, 1 - (46 + 30) / height_px)
        axes = figure.add_axes(box)
        others = [curve for curve in curves if curve.role == "other"]
        ordered = others + [c for c in curves if c.role == "control"] + [c for c in curves if c.role == "treatment"]
        lines = [_line(curve.role, others.index(curve) if curve in others else 0) for curve in ordered]
        for curve, line in zip(ordered, lines, strict=True):
            axes.plot(curve.x, curve.y, **line)
            if curve.chosen:
                at = np.interp(curve.chosen, curve.x, curve.y)
                ring = {"color": PAPER, "markeredgecolor": line["color"], "markersize": 5, "markeredgewidth": 1.4}
                axes.plot(curve.chosen, at, "o", clip_on=False, **ring)  # the last point lies on the frame
        if limits:
            axes.set_ylim(*limits)
        axes.set_xlim(0, max(float(curve.x[-1]) for curve in curves))
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        bare(axes, keep="bottom")
        axes.yaxis.set_major_locator(_locator(5))
        axes.xaxis.set_major_locator(_locator(5))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
        axes.set_xlabel("images seen", fontsize=12)
        figure.text(6 / width_px, 1 - 16 / height_px, axis, color=MUTED, fontsize=12)
        low, high = axes.get_ylim()
        ends = _apart([float(curve.y[-1]) for curve in ordered], 15 / (box[3] * height_px) * (high - low))
        for curve, line, y in zip(ordered, lines, ends, strict=True):
            inner = box[2] * width_px
            axes.plot(
                [1 + 7 / inner, 1 + 25 / inner], [y, y], transform=axes.get_yaxis_transform(), clip_on=False, **line
            )
            axes.annotate(
                curve.name,
                (1, y),
                (31, 0),
                xycoords=axes.get_yaxis_transform(),
                textcoords="offset points",
                va="center",
                color=line["color"],
                fontsize=12,
                weight="bold" if curve.role == "treatment" else "normal",
                annotation_clip=False,
            )
        return render(figure, label)


def _line(role: str, number: int) -> dict[str, Any]:
    """Return how a curve is drawn; the arms that are neither treatment nor control differ by their dashes."""
    if role == "treatment":
        return {"color": ACCENT, "linewidth": 2.4}
    if role == "control":
        return {"color": INK, "linewidth": 1.8}
    return {"color": MUTED, "linewidth": 1.2, "linestyle": _DASHES[number % len(_DASHES)]}


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Return the values moved as little as it takes to lie `gap` apart."""
    order = np.argsort(values, kind="stable")
    clusters: list[list[float]] = []  # [sum of (value - its offset), how many]: merged as long as they overlap
    for number in order:
        clusters.append([float(values[number]), 1])
        while len(clusters) > 1:
            (total, n), (above, m) = clusters[-2], clusters[-1]
            if total / n + gap * (n - 1) / 2 + gap <= above / m - gap * (m - 1) / 2:
                break
            clusters[-2:] = [[total + above, n + m]]
    placed = [total / n + gap * (i - (n - 1) / 2) for total, n in clusters for i in range(int(n))]
    result = [0.0] * len(values)
    for place, number in zip(placed, order, strict=True):
        result[int(number)] = place
    return result


def _locator(ticks: int) -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10])
