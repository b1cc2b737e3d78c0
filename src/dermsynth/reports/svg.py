"""Matplotlib figures as small inline SVG that follows the page: its colours, its font, light or dark.

The figure is drawn in the light theme's colours, and each of them is then replaced by the CSS variable of the same name
with that colour as its fallback. So the same SVG also stands alone, for example in a README.
"""

from __future__ import annotations

import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "ink": "#1b2228",
    "muted": "#56616b",
    "faint": "#a3adb5",
    "line": "#dde2e6",
    "band": "#e9eef1",
    "paper": "#fdfdfc",
    "accent": "#0b6a8f",
}
INK, MUTED, FAINT, LINE, BAND, PAPER, ACCENT = COLOURS.values()

_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and set in the page's font
    "font.size": 12,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.5,
    "savefig.facecolor": "none",
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
}


@contextlib.contextmanager
def canvas(name: str, width_px: int, height_px: int) -> Iterator[Figure]:
    """Give an empty figure whose units are CSS pixels (72 dpi); `name` must be unique within a page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(width_px / 72, height_px / 72), dpi=72)
        figure.set_gid(name)
        yield figure


def render(figure: Figure, title: str, description: str = "") -> str:
    """Return the figure as `<svg>`; the same figure gives the same characters.

    Must be called inside the `canvas` block, whose settings it uses.

    Args:
        figure: From `canvas`.
        title: What it shows, in a few words; browsers show it under the pointer.
        description: Its numbers in words, for those who do not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    name = str(figure.get_gid())
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<style type="text/css">.*?</style>', "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?:[A-Za-z0-9.]+_\d+|' + re.escape(name) + r')"', "", text)  # would repeat within the page
    text = re.sub(r"(?<![-\w])font: *(?:(\d+) )?([\d.]+)px [^;\"]*", _font, text)
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), text)  # but not in what it says
    text = re.sub(r"\s*\n\s*", "\n", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    width, height = (round(side * 72) for side in figure.get_size_inches())
    told = {"title": title, "desc": description}
    words = "".join(f'<{tag} id="{name}-{tag}">{html.escape(text)}</{tag}>' for tag, text in told.items() if text)
    names = " ".join(f"{name}-{tag}" for tag, text in told.items() if text)
    opening = (
        f'<svg class="plot" role="img" aria-labelledby="{names}" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'stroke-linejoin="round">{words}'
    )
    return opening + text[text.index(">") + 1 :].strip()


def bare(axes: Axes, *, keep: str = "") -> None:
    """Hide the marks of an axes' ticks, and its frame but for the sides named in `keep`."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep.split())
    axes.tick_params(left=False, bottom=False, pad=6)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}px; font-family: system-ui, sans-serif"
