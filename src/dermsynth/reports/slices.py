"""The tries of a search as one figure: for each key, its values against the score on val, arm by arm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsynth.reports.svg import ACCENT, FAINT, MUTED, bare, canvas, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dermsynth.trials.space import Choice, Range
    from dermsynth.trials.tries import Tuning

_PANEL_PX, _HEAD_PX, _LEFT_PX = (220, 150), 34, 56


def slices(found: Tuning) -> str:
    """Draw a panel for every arm (rows) and key (columns): a dot for each try that is done, the best one in colour."""
    rows, columns = len(found.arms), len(found.space)
    width, height = _LEFT_PX + columns * (_PANEL_PX[0] + 30), 40 + rows * (_PANEL_PX[1] + _HEAD_PX)
    scores = [one.score for one in found.tries if one.score is not None]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    pad = max(0.05 * (high - low), 0.005)
    with canvas("slices", width, height) as figure:
        for row, arm in enumerate(found.arms):
            for column, knob in enumerate(found.space):
                left = (_LEFT_PX + column * (_PANEL_PX[0] + 30)) / width
                top = 20 + row * (_PANEL_PX[1] + _HEAD_PX) + _HEAD_PX / 2
                bottom = 1 - (top + _PANEL_PX[1] - 30) / height
                axes = figure.add_axes((left, bottom, _PANEL_PX[0] / width, (_PANEL_PX[1] - 30) / height))
                _panel(axes, found, arm, knob)
                axes.set_ylim(100 * (low - pad), 100 * (high + pad))
                if column == 0:
                    axes.set_ylabel("val, %")
                    axes.set_title(arm, loc="left", fontsize=12, color=MUTED)
        metric = found.metric.replace("_", " ")
        told = [
            f"{arm}: best {100 * best.score:.1f} %" for arm in found.arms if (best := found.best(arm)) and best.score
        ]
        keys = ", ".join(knob.key for knob in found.space)
        return render(figure, f"{metric} on val of every try, against {keys}", f"{'; '.join(told)}.")


def _panel(axes: Axes, found: Tuning, arm: str, knob: Range | Choice) -> None:
    tries = [one for one in found.of(arm) if one.score is not None]
    best = found.best(arm)
    y = [100 * (one.score or 0.0) for one in tries]
    values = [one.values[knob.key] for one in tries]
    if knob_values := getattr(knob, "values", None):
        names = [_name(value) for value in knob_values]
        x: Any = [names.index(_name(value)) for value in values]
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        x = np.array(values, dtype=float)
        axes.set_xscale("log" if getattr(knob, "log", False) else "linear")
    axes.plot(x, y, "o", color=FAINT, markersize=5, markeredgewidth=0)
    if best is not None:
        axes.plot([x[tries.index(best)]], [100 * (best.score or 0.0)], "D", color=ACCENT, markersize=7)
    bare(axes, keep="bottom left")
    axes.set_xlabel(knob.key, fontsize=11)


def _name(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
