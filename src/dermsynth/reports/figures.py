"""The figures of a report: numbers in, SVG out (see `svg` for how they follow the page).

Every figure returns one `<svg>` element as text. `width_px` is the width at which its letters have their right size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
_LETTER_PX, _NAMES_PX, _NUMBERS_PX = 7.2, 236, 160
"""Of a forest plot: width of a letter of a name, the least for names, and that of an interval on a phone."""
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
    """A line.

    Attributes:
        role: `treatment`, `control` or `other`.
        chosen: Points on it to ring.
        low: Lower edge of its band; `high`: the upper one.
        marked: With a dot at every point.
    """

    name: str
    x: FloatArray
    y: FloatArray
    role: str = "other"
    chosen: tuple[float, ...] = ()
    low: FloatArray | None = None
    high: FloatArray | None = None
    marked: bool = False


def forest(
    name: str,
    groups: Mapping[str, Sequence[Row]],
    *,
    margin: float,
    axis: str,
    width_px: int,
    title: str,
) -> str:
    """Draw intervals of differences against 0 and the margin of indifference.

    Args:
        name: Unique within the page.
        groups: Heading -> rows, from top to bottom; an empty heading is not drawn.
        margin: The smallest difference that matters, in [0, 1].
        axis: Legend of the axis of differences (in percentage points).
        width_px: From 600 on, names stand left of the plot and numbers right of it; below that, above each line.
        title: What it shows; the rows in words follow in the description.
    """
    beside = width_px >= 600
    longest_px = _LETTER_PX * max(len(row.label) for group in groups.values() for row in group)
    # On a phone a long name has a line of its own above the numbers.
    above_px = 0 if beside else 15 if longest_px < width_px - _NUMBERS_PX else 32
    row_px, head_px, foot_px = 34 if beside else 35 + above_px, 30, 46
    headings = sum(1 for heading in groups if heading)
    rows = sum(len(group) for group in groups.values())
    height_px = rows * row_px + headings * head_px + foot_px + 8
    left, right = (max(_NAMES_PX, longest_px), 196) if beside else (18.0, 18.0)
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
                middle = y + (row_px / 2 if beside else 18 + above_px)
                words = y + row_px / 2 + 4 if beside else y + 15
                weight = "bold" if row.highlighted else "normal"
                value = _measured(row)
                axes.text(-left / inner, words, row.label, transform=sides, fontsize=13, weight=weight)
                axes.text(
                    1 + right / inner,
                    words if beside else y + above_px,
                    value,
                    transform=sides,
                    fontsize=12,
                    weight=weight,
                    ha="right",
                )
                _interval(axes, row, middle)
                y += row_px
                if not beside:
                    _scale(axes, y - 29, y, margin)
        if beside:
            _scale(axes, 0, bottom, margin)
        bare(axes, keep="bottom")
        axes.set_yticks([])
        axes.xaxis.set_major_locator(_locator(8 if beside else 5))
        axes.xaxis.set_major_formatter(lambda value, _: points(value / 100, unit=False).removesuffix(".0"))
        axes.set_xlabel(axis, fontsize=12)
        told = [f"{row.label}: {_measured(row)}" for group in groups.values() for row in group]
        return render(figure, title, f"Difference and interval in percentage points. {'; '.join(told)}.")


def _measured(row: Row) -> str:
    return f"{points(row.difference, unit=False)} ({points_range(row.low, row.high, unit=False)})"


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


@dataclass(frozen=True)
class Frame:
    """The axes of a small plot: what lies along them and from where to where; `reference` is a dotted line in it."""

    x_axis: str
    x_limits: tuple[float, float] = (0.0, 1.0)
    y_limits: tuple[float, float] = (0.0, 1.0)
    reference: tuple[Sequence[float], Sequence[float]] = ((), ())
    y_ticks: tuple[float, ...] = (0.0, 0.5, 1.0)
    y_tick: Callable[[float], str] = "{:g}".format


def tile(
    name: str, curves: Sequence[Curve], frame: Frame, *, title: str, note: str, alternative: str, width_px: int = 190
) -> str:
    """Draw one of several small plots: treatment and control with their bands, before the rest.

    Args:
        name: Unique within the page.
        curves: Lines; those of treatment and control may have a band, `marked` ones a dot at every point.
        frame: The axes.
        title: Above it, at the left; `note`: at the right.
        alternative: The numbers in words.
        width_px: Of the square, with room for its labels.
    """
    height_px = width_px + 22
    x_ticks = (frame.x_limits[0], sum(frame.x_limits) / 2, frame.x_limits[1])
    with canvas(name, width_px, height_px) as figure:
        left = 34
        side = width_px - left - 8
        axes = figure.add_axes((left / width_px, 34 / height_px, side / width_px, side / height_px))
        if frame.y_limits[0] < 0:
            axes.axhline(0, color=LINE, linewidth=1)
        axes.plot(*frame.reference, color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
        styles: dict[str, Any] = {
            "other": {"color": FAINT, "linewidth": 0.9},
            "control": {"color": INK, "linewidth": 1.4, "linestyle": (0, (4, 2))},
            "treatment": {"color": ACCENT, "linewidth": 2.2},
        }
        for role, style in styles.items():
            for curve in curves:
                if curve.role != role:
                    continue
                if curve.low is not None and curve.high is not None:
                    axes.fill_between(curve.x, curve.low, curve.high, color=style["color"], alpha=0.16, linewidth=0)
                axes.plot(curve.x, curve.y, **style)
                if curve.marked:
                    axes.plot(curve.x, curve.y, "o", color=style["color"], markersize=4, markeredgewidth=0)
        pad_x, pad_y = (0.012 * (limits[1] - limits[0]) for limits in (frame.x_limits, frame.y_limits))
        axes.set(xlim=(frame.x_limits[0] - pad_x, frame.x_limits[1] + pad_x), xticks=x_ticks, yticks=frame.y_ticks)
        axes.set_ylim(frame.y_limits[0] - pad_y, frame.y_limits[1] + pad_y)
        axes.set_xticklabels([f"{tick:g}" for tick in x_ticks], fontsize=10)
        axes.set_yticklabels([frame.y_tick(tick) for tick in frame.y_ticks], fontsize=10)
        bare(axes, keep="bottom left")
        axes.tick_params(pad=4)
        figure.text(left / width_px, 1 - 18 / height_px, title, fontsize=12, weight="bold")
        figure.text(1 - 8 / width_px, 1 - 18 / height_px, note, fontsize=10, color=MUTED, ha="right")
        axes.set_xlabel(frame.x_axis, fontsize=10, labelpad=1)
        return render(figure, f"{title}: {note}" if note else title, alternative)


def progress(
    name: str,
    curves: Sequence[Curve],
    *,
    axis: str,
    width_px: int,
    height_px: int,
    title: str,
    description: str,
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
        return render(figure, title, description)


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
