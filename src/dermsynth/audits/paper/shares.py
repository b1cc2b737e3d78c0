"""Printed fractions, and which denominator they really have."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from dermsynth.audits.paper.finding import Finding
from dermsynth.audits.paper.model import Paper, Shares
from dermsynth.audits.paper.printed import Printed, Span, decimal, read_number
from dermsynth.audits.paper.sets import Sets


def denominators(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Each fraction against its stated set; if some do not fit, the size that all fit, and which classes have it."""
    for share in paper.shares:
        size = sets.total(share.of)
        cells = _cells(share, sets)
        if not size or not cells:
            continue
        wrong = [(a, cell) for a, cell in cells if Fraction(a, size + _extra(share, a)) not in cell.span]
        if not wrong:
            continue
        below = f" / ({size:,} + {{0}})" if share.added else f" / {size:,}"
        steps = [
            f"{a:,}{below.format(f'{a:,}')} = {decimal(Fraction(a, size + _extra(share, a)))}; printed {cell}"
            for a, cell in wrong
        ]
        spans = [_denominator(a, _extra(share, a), cell) for a, cell in cells]
        low, high = max(span.low for span in spans), min(span.high for span in spans)
        if low <= high:
            steps.append(f"all {len(cells)} fit a set of {-(-low // 1):,} to {high // 1:,} images")
            steps += [f"that is {name}: {n:,}" for name, n in _named(paper, sets, Span(low, high))]
        else:
            steps.append("no one size of the set fits them all")
        told = f"{len(wrong)} of {len(cells)} fractions are not of '{share.of}'."
        where = f"{share.where}: {share.what}"
        resolve = "the denominator of each fraction"
        yield Finding("impossible", "denominator", where, told, tuple(steps), resolve)


def _cells(share: Shares, sets: Sets) -> list[tuple[int, Printed]]:
    if share.added is not None:
        return [(added, read_number(text)) for added, text in share.added.items()]
    counts = sets.counts(share.of) or {}
    return [(counts.get(name, 0), read_number(text)) for name, text in (share.classes or {}).items()]


def _extra(share: Shares, part: int) -> int:
    return part if share.added is not None else 0


def _denominator(part: int, extra: int, cell: Printed) -> Span:
    """Return the sizes of a set that give a fraction."""
    low = Fraction(part) / cell.span.high - extra
    return Span(low, Fraction(part) / cell.span.low - extra if cell.span.low > 0 else Fraction(10**12))


def _named(paper: Paper, sets: Sets, size: Span) -> list[tuple[str, int]]:
    """Return the sets, or else the sums of the fewest classes of one set, whose size lies in a span."""
    whole = [(f"'{name}'", total) for name in paper.sets if (total := sets.total(name)) is not None and total in size]
    if whole:
        return whole
    for number in range(1, 5):
        found = [
            (f"{' + '.join(names)} of '{name}'", total)
            for name in paper.sets
            for counts in [sets.counts(name) or {}]
            for names in combinations(counts, number)
            if (total := sum(counts[c] for c in names)) in size
        ]
        if found:
            return found
    return []
