from __future__ import annotations

import re
from importlib.resources import files

import pytest

from dermsynth.reports import svg

STYLE = files("dermsynth.reports").joinpath("templates/style.css").read_text(encoding="utf-8")
THEMES = [
    dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)
]
LIGHT, DARK, PRINT = THEMES


def channels(colour: str) -> list[float]:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    return [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]


def contrast(one: list[float], other: list[float]) -> float:
    """The ratio of WCAG 2.2, 1 to 21."""

    def luminance(values: list[float]) -> float:
        red, green, blue = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=["light", "dark", "print"])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "helps", "harms", "equivalent", "inconclusive"])
@pytest.mark.parametrize("ground", ["paper", "wash"])
def test_text_stands_out_from_its_ground(theme: dict[str, str], name: str, ground: str) -> None:
    assert contrast(channels(theme[name]), channels(theme[ground])) >= 4.5


@pytest.mark.parametrize(
    ("theme", "share"), [(LIGHT, 0.55), (DARK, 0.45), (PRINT, 0.55)], ids=["light", "dark", "print"]
)
@pytest.mark.parametrize("shade", ["accent", "harms"])
def test_numbers_stand_out_from_the_darkest_cell(theme: dict[str, str], share: float, shade: str) -> None:
    pairs = zip(channels(theme[shade]), channels(theme["wash"]), strict=True)
    assert contrast(channels(theme["ink"]), [share * a + (1 - share) * w for a, w in pairs]) >= 4.5


def test_every_theme_has_every_colour() -> None:
    assert set(LIGHT) == set(DARK) == set(PRINT)


def test_figures_are_drawn_in_the_light_theme() -> None:
    assert {name: LIGHT[name] for name in svg.COLOURS} == svg.COLOURS
