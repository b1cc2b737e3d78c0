"""How a report writes numbers: one form each, with a true minus sign and no break between a number and its unit."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
GAP = "\N{NARROW NO-BREAK SPACE}"


def percent(share: float, *, unit: bool = True) -> str:
    """Return a share in [0, 1] as a percentage with one decimal: `71.3 %`."""
    return f"{_fixed(100 * share)}{GAP}%" if unit else _fixed(100 * share)


def points(difference: float, *, unit: bool = True) -> str:
    """Return a difference of shares in percentage points, signed, with one decimal: `+2.1 pp`."""
    written = _fixed(100 * difference)
    sign = "+" if difference > 0 and written != "0.0" else ""
    return f"{sign}{written}{GAP}pp" if unit else f"{sign}{written}"


def share_range(low: float, high: float) -> str:
    """Return an interval of shares in per cent without the unit: `68.2–74.1`."""
    return f"{percent(low, unit=False)}–{percent(high, unit=False)}"


def points_range(low: float, high: float, *, unit: bool = True) -> str:
    """Return an interval of differences in percentage points: `−0.4 to +4.6 pp`."""
    return f"{points(low, unit=False)} to {points(high, unit=unit)}"


def area(auc: float) -> str:
    """Return an area under a curve with three decimals: `0.871`."""
    return f"{auc:.3f}"


def p_value(p: float) -> str:
    """Return a p-value with two significant digits, `< 0.001` below that; without `p =`."""
    if p < 0.001:
        return f"<{GAP}0.001"
    return f"{p:.{max(2, 1 - math.floor(math.log10(p)))}f}"


def equals_p(p: float) -> str:
    """Return `p = 0.012`, or `p < 0.001`."""
    written = p_value(p)
    return f"p{GAP}{written}" if written.startswith("<") else f"p{GAP}={GAP}{written}"


def count(number: float) -> str:
    """Return a whole number with thousands separators: `10,015`."""
    return f"{round(number):,}"


def seconds(wall_s: float) -> str:
    """Return a duration in the largest fitting unit: `41 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(wall_s)
    if whole < 60:
        return f"{wall_s:.1f}{GAP}s" if wall_s < 10 else f"{whole}{GAP}s"
    if whole < 3600:
        return f"{whole // 60}{GAP}min {whole % 60:02d}{GAP}s"
    return f"{whole // 3600}{GAP}h {whole % 3600 // 60:02d}{GAP}min"


def several(number: int, one: str, more: str | None = None) -> str:
    """Return `1 seed`, `3 seeds`."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"


def _fixed(value: float) -> str:
    written = f"{value:.1f}"
    return "0.0" if written == "-0.0" else written.replace("-", MINUS)
