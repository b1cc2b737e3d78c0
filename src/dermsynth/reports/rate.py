"""The curve of a learning-rate sweep as a figure."""

from __future__ import annotations

from dermsynth.classifiers.finder import RateCurve
from dermsynth.reports.svg import ACCENT, FAINT, INK, LINE, MUTED, bare, canvas, render

_ABOVE = 1.3
"""The axis of losses ends at so many times the first loss: where the sweep explodes is of no interest."""


def rate_figure(curve: RateCurve, *, width_px: int = 640, height_px: int = 320) -> str:
    """Return SVG: the loss of every batch as dots, the smoothed curve, and the suggested rate."""
    said = "no rate suggested" if curve.suggested is None else f"suggested: {curve.suggested:.1e}"
    with canvas("rate", width_px, height_px) as figure:
        axes = figure.add_axes((52 / width_px, 46 / height_px, 1 - 70 / width_px, 1 - 84 / height_px))
        axes.plot(curve.rates, curve.losses, "o", color=FAINT, markersize=2.5)
        axes.plot(curve.rates, curve.smoothed, color=INK, linewidth=1.8)
        top = _ABOVE * float(curve.smoothed[0])
        low = min(float(curve.smoothed.min()), 0.0)
        axes.set_ylim(low, top)
        axes.set_xscale("log")
        axes.set_xlim(float(curve.rates[0]), float(curve.rates[-1]))
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        bare(axes, keep="bottom")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}")  # the usual powers would need TeX
        axes.set_xlabel("learning rate", fontsize=12)
        figure.text(6 / width_px, 1 - 16 / height_px, "loss of a batch", color=MUTED, fontsize=12)
        figure.text(1 - 18 / width_px, 1 - 16 / height_px, said, color=ACCENT, fontsize=12, ha="right", weight="bold")
        if curve.suggested is not None:
            axes.axvline(curve.suggested, color=ACCENT, linewidth=1.8)
        return render(figure, f"Loss of a batch against the learning rate; {said}.")
