"""Numbers as papers print them: the text, the value, and the interval of values that the text may stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Self

_MINUS = str.maketrans({"\N{MINUS SIGN}": "-", "–": "-", "—": "-", "·": "."})
_NUMBER = re.compile(r"(-?)(\d*)(?:\.(\d*))? ?(%?)")
_MISSING = {"-", "n/a", "na"}


@dataclass(frozen=True)
class Span:
    """Every value from `low` to `high`, both included."""

    low: Fraction
    high: Fraction

    def __contains__(self, value: Fraction | int | None) -> bool:
        return value is not None and self.low <= value <= self.high

    def meets(self, other: Span) -> bool:
        """Return whether a value lies in both."""
        return self.low <= other.high and other.low <= self.high

    def within(self, low: int, high: int) -> Self:
        """Return the span cut to [low, high]; a span that lies outside becomes the nearer end."""
        least, most = Fraction(low), Fraction(high)
        return replace(self, low=min(max(self.low, least), most), high=max(min(self.high, most), least))

    def __str__(self) -> str:
        width = float(self.high - self.low)
        digits = 4 if width == 0 else min(max(2 - math.floor(math.log10(width)), 3), 8)
        return f"[{decimal(self.low, digits)}, {decimal(self.high, digits)}]"


@dataclass(frozen=True)
class Printed:
    """A number as it stands in print.

    Attributes:
        text: As printed, such as `0.860` or `86.0%`.
        value: Its value; percentages are shares.
        unit: The worth of its last digit.
    """

    text: str
    value: Fraction
    unit: Fraction

    @cached_property
    def span(self) -> Span:
        """The values that the text may stand for, whichever way its author rounded.

        Rounding to nearest (half up or half to even) puts the true value within half a unit, cutting digits off up to
        one unit beyond. Papers mix both, at times in one formula (paper 003 prints 395/437 = .90389 as .903 and
        395/471 = .83864 as .839), so the span is the union: an honest number is never called impossible for the way
        it was rounded. The price is half a unit of sharpness.
        """
        if self.value > 0:
            return Span(self.value - self.unit / 2, self.value + self.unit)
        if self.value < 0:
            return Span(self.value - self.unit, self.value + self.unit / 2)
        return Span(-self.unit, self.unit)

    def as_percent(self) -> Printed:
        """Return the share that a number without its per cent sign stands for."""
        return self if self.text.endswith("%") else replace(self, value=self.value / 100, unit=self.unit / 100)

    def __str__(self) -> str:
        return self.text


def read_number(text: str) -> Printed:
    """Return a printed number; raises ValueError for a text that is none."""
    match = _NUMBER.fullmatch(text.translate(_MINUS).replace(",", ""))
    if not match or not (match[2] or match[3]):
        raise ValueError(f"'{text}' is no number")
    sign, whole, decimals, percent = match[1], match[2], match[3] or "", match[4]
    scale = 10 ** len(decimals) * (100 if percent else 1)
    value = Fraction(int((whole or "0") + decimals), scale)
    return Printed(text, -value if sign else value, Fraction(1, scale))


def read_cells(text: str) -> list[Printed | None]:
    """Return the numbers of a table row as copied from a paper: between spaces, `/` or `|`; `-` is an empty cell.

    A spread such as `±1.28` is left out.
    """
    cells = re.sub(r"(±|\+-)\s*[\d.]+", " ", text).replace("/", " ").replace("|", " ").replace(" %", "%").split()
    return [None if cell.translate(_MINUS).lower() in _MISSING else read_number(cell) for cell in cells]


def image(spans: Iterable[Span]) -> Iterator[tuple[Fraction, ...]]:
    """Yield the corners of a box of spans: a function that is monotone in each argument has its extremes there."""
    return product(*((span.low, span.high) for span in spans))


def hull(values: Iterable[Fraction]) -> Span:
    """Return the smallest span that holds all values."""
    found = list(values)
    return Span(min(found), max(found))


def decimal(value: Fraction | float, digits: int = 4) -> str:
    """Return a value with `digits` decimals."""
    return f"{float(value):.{digits}f}"
