"""The page of a screening: for every rule its rejection curve and a sheet of what it rejected."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsynth.cohorts.cohort import Cohort
from dermsynth.pools.screen import Screened, Step
from dermsynth.reports.sheets import Row, drawn
from dermsynth.reports.svg import ACCENT, FAINT, INK, MUTED, bare, canvas, render

PAGE = "screens.html"
_COLUMNS = 8
_WIDTH_PX, _HEIGHT_PX = 560, 240

Floats = npt.NDArray[np.float64]


def page(screened: Screened) -> bytes:
    """Return one HTML page that needs nothing else; where rules compare with training images, it shows them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dermsynth.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    steps = [_step(screened.pool, step, number) for number, step in enumerate(screened.steps)]
    view = {"pool": len(screened.pool), "kept": len(screened.kept), "encoder": screened.encoder, "steps": steps}
    return environment.get_template("screens.html.j2").render(view).encode()


def _step(pool: Cohort, step: Step, number: int) -> dict[str, Any]:
    from markupsafe import Markup

    rejected = step.judgement.rejected
    sheet = drawn(list(rows(pool, step))) if rejected.any() else None
    return {
        "rule": step.rule.written,
        "about": (step.rule.__doc__ or "").split("\n")[0],
        "kept": len(step.kept),
        "rejected": int(rejected.sum()),
        "curve": Markup(curve(step, f"rule-{number}")),
        "sheet": sheet and "data:image/png;base64," + base64.b64encode(sheet).decode("ascii"),
        "compared": step.judgement.beside is not None,
    }


def rows(pool: Cohort, step: Step) -> Iterator[Row]:
    """Yield a row of rejected images for every class, the clearest cases first, and below it what they repeat."""
    judgement, labels = step.judgement, pool.labels[step.rows]
    order = np.argsort(-judgement.values if step.rule.high else judgement.values, kind="stable")
    order = order[judgement.rejected[order]]
    for number, label in enumerate(pool.classes):
        here = order[labels[order] == number]
        if len(here):
            shown = here[:_COLUMNS]
            values = [f"{value:.3g}" for value in judgement.values[shown]]
            yield Row(label, f"{len(here):,} rejected", pool.images[step.rows[shown]], values)
            if judgement.beside:
                yield Row("", "the other image", judgement.beside(shown), [""] * len(shown))


def curve(step: Step, name: str) -> str:
    """Draw which share of the images would be rejected at which limit, of the pool and of held-out real images."""
    judgement, high = step.judgement, step.rule.high
    limits = np.unique(judgement.thresholds)
    finite = np.concatenate([each[np.isfinite(each)] for each in (judgement.values, judgement.real, limits)])
    at = np.linspace(finite.min(), finite.max(), 400) if finite.size else np.zeros(1)
    with canvas(name, _WIDTH_PX, _HEIGHT_PX) as figure:
        axes = figure.add_axes((52 / _WIDTH_PX, 48 / _HEIGHT_PX, 1 - 150 / _WIDTH_PX, 1 - 66 / _HEIGHT_PX))
        for told, values, colour, top_px in (("pool", judgement.values, ACCENT, 30), ("real", judgement.real, INK, 48)):
            if len(values):
                axes.plot(at, 100 * rejected_share(values, at, high=high), color=colour, linewidth=2)
                figure.text(1 - 88 / _WIDTH_PX, 1 - top_px / _HEIGHT_PX, told, color=colour, fontsize=12)
        for limit in limits[np.isfinite(limits)]:
            axes.axvline(limit, color=FAINT, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
        axes.set(ylim=(0, 102), xlabel=", ".join(filter(None, (step.rule.what, step.rule.unit))))
        axes.xaxis.label.set_fontsize(12)
        bare(axes, keep="bottom left")
        figure.text(6 / _WIDTH_PX, 1 - 14 / _HEIGHT_PX, "% rejected", color=MUTED, fontsize=12)
        return render(figure, f"Share of images that {step.rule.written} rejects, by limit")


def rejected_share(values: Floats, at: Floats, *, high: bool) -> Floats:
    """Return the share of values beyond each limit: above it if `high`, else below it."""
    ordered = np.sort(values)
    if high:
        return np.asarray(1 - np.searchsorted(ordered, at, side="right") / len(ordered))
    return np.asarray(np.searchsorted(ordered, at, side="left") / len(ordered))
