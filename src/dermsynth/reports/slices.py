"""The tries of a search as one figure: for each key, its values against the score on val, arm by arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermsynth.reports.side_by_side import written
from dermsynth.reports.svg import ACCENT, FAINT, MUTED, bare, canvas, render
from dermsynth.trials.space import Choice, Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dermsynth.trials.tries import Tuning

_WIDE_PX, _HIGH_PX, _GAP_PX, _LEFT_PX, _HEAD_PX, _FOOT_PX = 220, 120, 26, 56, 30, 44


def slices(found: Tuning) -> str:
    """Draw a panel for every arm (rows) and key (columns): a dot for each try that is done, the best one in colour."""
    rows, columns = len(found.arms), len(found.space)
    width = _LEFT_PX + columns * (_WIDE_PX + _GAP_PX)
    height = rows * (_HEAD_PX + _HIGH_PX + _FOOT_PX)
    scores = [100 * one.score for one in found.tries if one.score is not None] or [0.0, 100.0]
    pad = max(0.06 * (max(scores) - min(scores)), 0.5)
    with canvas("slices", width, height) as figure:
        for row, arm in enumerate(found.arms):
            bottom = height - (row + 1) * (_HEAD_PX + _HIGH_PX + _FOOT_PX) + _FOOT_PX
            for column, knob in enumerate(found.space):
                left = _LEFT_PX + column * (_WIDE_PX + _GAP_PX)
                axes = figure.add_axes((left / width, bottom / height, _WIDE_PX / width, _HIGH_PX / height))
                _panel(axes, found, arm, knob)
                axes.set_ylim(min(scores) - pad, max(scores) + pad)
                if column:
                    axes.set_yticklabels([])
                else:
                    axes.set_ylabel("val, %")
                    axes.set_title(arm, loc="left", fontsize=13)
        metric = found.metric.replace("_", " ")
        bests = {arm: found.best(arm) for arm in found.arms}
        told = [f"{arm}: best {100 * (best.score or 0):.1f} %" for arm, best in bests.items() if best]
        keys = ", ".join(knob.key for knob in found.space)
        return render(figure, f"{metric} on val of every try, against {keys}", f"{'; '.join(told)}.")


def _panel(axes: Axes, found: Tuning, arm: str, knob: Range | Choice) -> None:
    tries = [one for one in found.of(arm) if one.score is not None]
    y = [100 * (one.score or 0.0) for one in tries]
    values = [one.values[knob.key] for one in tries]
    if isinstance(knob, Choice):
        x = [float(knob.values.index(value)) for value in values]
        axes.set_xlim(-0.5, len(knob.values) - 0.5)
        axes.set_xticks(range(len(knob.values)), [written(value) for value in knob.values])
    else:
        x = [float(value) for value in values]
        _scale(axes, knob)
    axes.plot(x, y, "o", color=FAINT, markersize=5, markeredgewidth=0, clip_on=False)
    best = found.best(arm)
    if best is not None:
        at = tries.index(best)
        axes.plot(x[at], y[at], "D", color=ACCENT, markersize=7, clip_on=False)
    bare(axes, keep="bottom left")
    axes.set_xlabel(knob.key, fontsize=11, color=MUTED)


def _scale(axes: Axes, knob: Range) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xlim(knob.low, knob.high)
    if knob.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        if not any(knob.low <= tick <= knob.high for tick in axes.get_xticks()):
            axes.set_xticks([knob.low, knob.high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
