"""Sets of images: their sums, their class mix, and the synthetic images in a test set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dermsynth.audits.paper.finding import Finding, Severity
from dermsynth.audits.paper.model import Column, Paper, Row
from dermsynth.audits.paper.printed import decimal

UNLIKELY_Z = 5.0
"""A class mix further than this from the whole's, in standard errors of a random draw, was not drawn at random."""


@dataclass(frozen=True)
class Known:
    """What is known of a set, printed or derived from a sum."""

    counts: dict[str, int] | None
    total: int | None


class Sets:
    """The sets of a paper, with what follows from its sums."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self.findings: list[Finding] = []
        self.known = {
            name: Known(found.counts, sum(found.counts.values()) if found.counts else found.total)
            for name, found in paper.sets.items()
        }
        self._check_totals()
        self._solve()
        self._check_mixes()

    def counts(self, name: str | None) -> dict[str, int] | None:
        """Return the images per class of a set, None if they are unknown or there are none."""
        return self.known[name].counts if name and self.known[name].total else None

    def total(self, name: str | None) -> int | None:
        """Return the images of a set, None if unknown."""
        return self.known[name].total if name else None

    def whole_of(self, name: str) -> str | None:
        """Return the nearest set with known counts that a set is a part of."""
        wholes = [whole for whole, parts in self._paper.equations if name in parts]
        known = [whole for whole in wholes if self.counts(whole)]
        further = (self.whole_of(whole) for whole in wholes)
        return known[0] if known else next((found for found in further if found), None)

    def synthetic(self, name: str | None) -> int:
        """Return how many images of a set are known to be synthetic."""
        if name is None:
            return 0
        if self._paper.sets[name].synthetic:
            return self.total(name) or 0
        sums = [sum(map(self.synthetic, parts)) for whole, parts in self._paper.equations if whole == name]
        return max(sums, default=0)

    def _check_totals(self) -> None:
        for name, found in self._paper.sets.items():
            if found.counts and found.total is not None and sum(found.counts.values()) != found.total:
                terms = " + ".join(f"{count:,}" for count in found.counts.values())
                steps = (
                    f"{terms} = {sum(found.counts.values()):,}",
                    f"printed total: {found.total:,} ({sum(found.counts.values()) - found.total:+,})",
                )
                told = "The classes do not add up to the printed total."
                self._add("impossible", "sums", name, told, steps, "the right class counts, or the right total")

    def _solve(self) -> None:
        """Check every sum whose terms are known; otherwise derive the one that is not, until nothing new follows."""
        waiting = list(self._paper.equations)
        while waiting:
            ready = next((sum_ for sum_ in waiting if self._unknown(sum_) <= 1), None)
            if ready is None:
                for whole, parts in waiting:
                    self._derive(whole, parts)  # the totals may be known where the class counts are not
                return
            waiting.remove(ready)
            self._derive(*ready)

    def _unknown(self, equation: tuple[str, tuple[str, ...]]) -> int:
        return sum(self.counts(name) is None for name in (equation[0], *equation[1]))

    def _derive(self, whole: str, parts: tuple[str, ...]) -> None:
        names = (whole, *parts)
        uncounted = [name for name in names if self.counts(name) is None]
        untotalled = [name for name in names if self.total(name) is None]
        where = f"{whole} = {' + '.join(parts)}"
        if not uncounted:
            self._compare(where, whole, parts)
        elif not untotalled:
            self._compare_totals(where, whole, parts)
        if len(uncounted) == 1:
            (name,) = uncounted
            classes = dict.fromkeys(c for known in names for c in self.counts(known) or ())
            found = {c: self._missing(name, whole, parts, c) for c in classes}
            if self.total(name) in (None, sum(found.values())):
                self._learn(where, name, found, sum(found.values()))
        elif len(untotalled) == 1:
            (name,) = untotalled
            self._learn(where, name, None, self._missing(name, whole, parts, None))

    def _missing(self, name: str, whole: str, parts: tuple[str, ...], of_class: str | None) -> int:
        def size(known: str) -> int:
            return (self.total(known) or 0) if of_class is None else (self.counts(known) or {}).get(of_class, 0)

        others = sum(size(part) for part in parts if part != name)
        return others if name == whole else size(whole) - others

    def _learn(self, where: str, name: str, counts: dict[str, int] | None, total: int) -> None:
        if min([total, *(counts or {}).values()]) < 0:
            told = f"'{name}' would have fewer than 0 images."
            steps = (f"{where} gives '{name}' {_told(counts) if counts else f'{total:,}'}",)
            self._add("impossible", "sums", where, told, steps, "which of these sets are parts of which")
            return
        self.known[name] = Known(counts, total)

    def _compare(self, where: str, whole: str, parts: tuple[str, ...]) -> None:
        stated = self.counts(whole) or {}
        summed: dict[str, int] = {}
        for part in parts:
            for name, count in (self.counts(part) or {}).items():
                summed[name] = summed.get(name, 0) + count
        off = {name: stated.get(name, 0) - summed.get(name, 0) for name in {**summed, **stated}}
        if not any(off.values()):
            return
        moved = sum(off.values()) == 0
        told = (
            f"{sum(map(abs, off.values())) // 2:,} images change their class." if moved else "The parts do not add up."
        )
        steps = (
            *(
                f"{name}: {' + '.join(self._size(part, name) for part in parts)} = {summed.get(name, 0):,}"
                for name in off
            ),
            f"{whole}: {_told(stated)}",
            "difference: " + ", ".join(f"{name} {count:+,}" for name, count in off.items()),
            f"totals: {sum(summed.values()):,} and {sum(stated.values()):,}",
        )
        self._add("impossible", "sums", where, told, steps, "the class counts of every part, after any cleaning")

    def _compare_totals(self, where: str, whole: str, parts: tuple[str, ...]) -> None:
        stated, summed = self.total(whole) or 0, sum(self.total(part) or 0 for part in parts)
        if stated != summed:
            terms = " + ".join(f"{self.total(part):,}" for part in parts)
            steps = [
                f"{' + '.join(parts)}: {terms}{f' = {summed:,}' if len(parts) > 1 else ''}",
                f"{whole}: {stated:,}",
            ]
            if _one_digit_off(stated, summed):
                steps.append("the two differ in one digit: a misprint?")
            told = "The parts do not add up." if len(parts) > 1 else "Two sizes of one set."
            self._add("impossible", "sums", where, told, tuple(steps), "the right totals")

    def _size(self, name: str, of_class: str) -> str:
        return f"{(self.counts(name) or {}).get(of_class, 0):,}"

    def _check_mixes(self) -> None:
        """Compare the class mix of real parts with their whole's: a random draw has a hypergeometric spread."""
        for whole, parts in self._paper.equations:
            if len(parts) > 1 and self.counts(whole) and not any(map(self.synthetic, parts)):
                for part in parts:
                    if self._paper.sets[part].counts:  # of two parts, the one that was derived says nothing more
                        self._check_mix(whole, part)

    def _check_mix(self, whole: str, part: str) -> None:
        total, n = self.total(whole) or 0, self.total(part) or 0
        for name, count in (self.counts(whole) or {}).items():
            share, drawn = count / total, (self.counts(part) or {}).get(name, 0)
            spread = math.sqrt(max(n * share * (1 - share) * (total - n), 0) / max(total - 1, 1))
            off = abs(drawn - n * share)
            if spread and off > max(UNLIKELY_Z * spread, 1):
                steps = (
                    f"{whole}: {count:,} of {total:,} are {name}, {decimal(100 * share, 1)} %",
                    f"{part}: {drawn:,} of {n:,}, {decimal(100 * drawn / n, 1)} %",
                    f"a random draw of {n:,} has {decimal(n * share, 1)} ± {decimal(spread, 1)}; "
                    f"this one is {decimal(off / spread, 1)} standard errors off",
                )
                told = f"'{part}' has another class mix than '{whole}', which it is a part of."
                resolve = "how it was drawn, and whether its classes are named the right way round"
                self._add("doubtful", "class mix", part, told, steps, resolve)
                return  # the other classes are off because this one is

    def _add(self, severity: Severity, check: str, where: str, told: str, steps: tuple[str, ...], resolve: str) -> None:
        self.findings.append(Finding(severity, check, where, told, steps, resolve))


def synthetic_tests(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Find test sets with synthetic images, and say how low the accuracy on the real ones may be."""
    accuracy = Column("accuracy")
    for name in paper.sets:
        added, total = sets.synthetic(name), sets.total(name)
        rows = [row for row in paper.rows if row.test == name]
        if not added or not total or not rows:
            continue
        real = total - added
        steps = [
            f"{added:,} of {total:,} test images are synthetic ({decimal(100 * added / total, 1)} %), {real:,} real"
        ]
        for row in _once([row for row in rows if accuracy in row.cells]):
            right = round(float(row.cells[accuracy].value) * total)
            low, high = max(right - added, 0), min(right, real)
            steps.append(
                f"{row}: accuracy {row.cells[accuracy]} is {right:,} right; on real images at least "
                f"({right:,} - {added:,}) / {real:,} = {decimal(low / real)}, at most {decimal(high / real)}"
            )
        told = f"The test set '{name}' holds synthetic images: what it measures is not accuracy on patients."
        yield Finding(
            "doubtful", "synthetic test images", name, told, tuple(steps), "the same metrics on the real images alone"
        )


def _once(rows: list[Row]) -> list[Row]:
    """Leave out rows that repeat the accuracy of an arm."""
    accuracy = Column("accuracy")
    return list({(row.arm, row.cells[accuracy].value): row for row in rows}.values())


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _one_digit_off(a: int, b: int) -> bool:
    return len(str(a)) == len(str(b)) and sum(x != y for x, y in zip(str(a), str(b), strict=True)) == 1
