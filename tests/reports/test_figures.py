from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.reports import figures, svg
from dermsynth.reports.figures import Curve, Frame, Row


def forest(name: str = "forest", width_px: int = 960, title: str = "Two arms") -> str:
    rows = [
        Row("hybrid − oversampled", 0.021, -0.004, 0.046, (0.01, 0.03), highlighted=True),
        Row("real <&> $x$", -0.03, -0.06, 0.0, (-0.02,)),
    ]
    return figures.forest(name, {"against": rows}, margin=0.02, axis="points", width_px=width_px, title=title)


def test_a_figure_is_well_formed_and_says_what_it_shows() -> None:
    root = ET.fromstring(forest(title='"quoted" & <marked>'))
    assert root.get("role") == "img"
    told = {element.get("id"): element.text for element in root if element.tag.endswith(("title", "desc"))}
    title, numbers = (told[name] for name in str(root.get("aria-labelledby")).split())
    assert title == '"quoted" & <marked>'
    assert "hybrid − oversampled: +2.1 (−0.4 to +4.6)" in str(numbers)


def test_the_same_figure_has_the_same_bytes() -> None:
    assert forest() == forest()


def test_two_figures_of_a_page_share_no_id() -> None:
    ids = [re.findall(r' id="([^"]+)"', forest(name)) for name in ("one", "two")]
    assert not set(ids[0]) & set(ids[1])
    assert len(ids[0]) == len(set(ids[0]))


def test_every_reference_within_a_figure_has_its_target() -> None:
    text = forest()
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text)) <= set(re.findall(r' id="([^"]+)"', text))


def test_colours_follow_the_page_and_fall_back_to_themselves() -> None:
    text = forest()
    assert f"var(--accent, {svg.ACCENT})" in text
    assert not re.sub(r"var\([^)]*\)", "", text).count("#0b6a8f")
    assert not re.findall(r"(?:fill|stroke): *#(?!fff)", re.sub(r"var\([^)]*\)", "", text))


def test_names_are_drawn_as_they_are() -> None:
    words = "".join(ET.fromstring(forest()).itertext())
    assert "real <&> $x$" in words
    assert "+2.1 (−0.4 to +4.6)" in words


def test_a_forest_plot_is_small() -> None:
    assert len(forest().encode()) < 20_000


def test_a_narrow_forest_plot_keeps_its_numbers() -> None:
    assert "+2.1 (−0.4 to +4.6)" in "".join(ET.fromstring(forest(width_px=328)).itertext())


def test_numbers_in_words_keep_their_digits() -> None:
    frame = Frame("threshold", y_ticks=(0.0, 0.0612), y_limits=(0.0, 0.1), y_tick="{:.4f}".format)
    x = np.linspace(0, 1, 5)
    text = figures.tile("t", [Curve("a", x, x / 10)], frame, title="t", note="p = 0.0023", alternative="0.12345")
    words = [text.strip() for text in ET.fromstring(text).itertext()]
    assert {"0.0612", "p = 0.0023", "0.12345"} <= set(words)


@pytest.mark.parametrize("width_px", [960, 328])
def test_a_long_name_keeps_clear_of_the_plot_and_of_its_numbers(width_px: int) -> None:
    row = Row("hybrid fill_to=250 screens.rank=0.25", 0.02, 0.01, 0.03, ())
    root = ET.fromstring(
        figures.forest("long", {"": [row]}, margin=0.02, axis="points", width_px=width_px, title="Long")
    )
    at = {
        "".join(text.itertext()).strip(): [float(v) for v in re.findall(r"[\d.]+", str(text.get("transform")))]
        or [float(str(text.get("x"))), float(str(text.get("y")))]
        for text in root.iter("{http://www.w3.org/2000/svg}text")
    }
    name, numbers = at[row.label], at["+2.0 (+1.0 to +3.0)"]
    line = min(
        float(x)
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        for x in re.findall(r"M ([\d.]+)", str(path.get("d")))
        if float(x) > 0  # the empty ground of the figure
    )
    if width_px > 600:
        assert line > name[0] + 6 * len(row.label)
    else:
        assert numbers[1] > name[1] + 10


def test_a_band_is_drawn_between_its_edges() -> None:
    x = np.linspace(0, 1, 5)
    curve = Curve("a", x, x, "treatment", low=x - 0.1, high=x + 0.1)
    with_band, without = (
        figures.tile("t", [one], Frame("x"), title="t", note="", alternative="")
        for one in (curve, Curve("a", x, x, "treatment"))
    )
    assert with_band.count("<path") > without.count("<path")


def test_progress_names_every_curve() -> None:
    x = np.arange(5.0) * 1000
    curves = [Curve("hybrid", x, x / 5000, "treatment", (3000.0,)), Curve("real", x, x / 6000)]
    words = figures.progress("fits", curves, axis="share", width_px=400, height_px=240, title="Courses", description="")
    assert {"hybrid", "real", "share"} <= {text.strip() for text in ET.fromstring(words).itertext()}


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.floats(0.01, 2))
def test_labels_are_moved_apart_in_their_order(values: list[float], gap: float) -> None:
    placed = figures._apart(values, gap)
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(placed)[order]) >= gap * (1 - 1e-6)).all()
    assert np.isclose(np.mean(placed), np.mean(values), atol=1e-6)
