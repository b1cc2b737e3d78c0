"""How many images of each class to draw, from real counts and one stated rule.

Published fractions have had two denominators under one name (all training images, or those of two classes), so an
amount always says in words what it is a share of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Amount:
    """Images to draw.

    Attributes:
        counts: Per class.
        told: How they were reckoned, for the pool's card.
    """

    counts: dict[str, int]
    told: str


def fill(real: Counts, to: int | None = None) -> Amount:
    """Bring every smaller class up to `to` images; by default up to the largest class.

    Raises:
        ConfigError: no class is smaller.
    """
    level = max(real.values()) if to is None else to
    counts = {name: max(0, level - count) for name, count in real.items()}
    if not sum(counts.values()):
        raise ConfigError(f"no class has fewer than {level:,} real training images; choose a larger number to fill to")
    what = "the largest class" if to is None else "a chosen number"
    return Amount(counts, f"every class filled up to {level:,} images, {what}")


def share(real: Counts, wanted: float, classes: Iterable[str] = ()) -> Amount:
    """Make synthetic images a share of real and synthetic ones together: n / (N + n).

    Args:
        real: Real training images per class.
        wanted: The share, above 0 and below 1.
        classes: Which classes' real images are N and get the synthetic ones, in proportion; default: all.

    Raises:
        ConfigError: a share out of range, or an unknown class.
    """
    if not 0 < wanted < 1:
        raise ConfigError(f"share {wanted:g}: expected a number between 0 and 1, of real and synthetic images together")
    chosen, total = _among(real, classes)
    number = round(total * wanted / (1 - wanted))
    whole = f"{total:,} real training images {_of(chosen, real)} and these together"
    told = f"{number:,} images, {100 * number / (total + number):.1f} % of {whole}"
    return Amount(_proportional(real, chosen, number), told)


def ratio(real: Counts, wanted: float, classes: Iterable[str] = ()) -> Amount:
    """Draw so many synthetic images per real one: n / N; arguments and errors as in `share`."""
    if not wanted > 0:
        raise ConfigError(f"ratio {wanted:g}: expected a number above 0, synthetic images per real one")
    chosen, total = _among(real, classes)
    number = round(total * wanted)
    told = f"{number:,} images, {number / total:.3g} for each of {total:,} real training images {_of(chosen, real)}"
    return Amount(_proportional(real, chosen, number), told)


def prevalence(real: Counts, wanted: Mapping[str, float]) -> Amount:
    """Draw the fewest images with which the named classes reach these shares of real and synthetic images together.

    Raises:
        ConfigError: an unknown class, shares that leave nothing for others, or a class that has more already.
    """
    for name, value in wanted.items():
        _known(name, real)
        if not 0 < value < 1:
            raise ConfigError(f"prevalence {name}={value:g}: expected a number between 0 and 1")
    left = 1 - sum(wanted.values())
    others = sum(count for name, count in real.items() if name not in wanted)
    if left <= 0 or not others:
        raise ConfigError(f"prevalences of {', '.join(wanted)} leave nothing for other classes; choose smaller ones")
    # The other classes keep their images, so these are what is left of the whole.
    counts = dict.fromkeys(real, 0)
    for name, value in wanted.items():
        counts[name] = round(value * others / left) - real[name]
        if counts[name] < 0:
            raise ConfigError(
                f"prevalence {name}={value:g}: class '{name}' has {real[name]:,} real images, more than "
                f"{real[name] + counts[name]:,} already; choose a larger one"
            )
    total = sum(real.values()) + sum(counts.values())
    told = ", ".join(f"{name} {100 * (real[name] + counts[name]) / total:.1f} %" for name in wanted)
    return Amount(counts, f"{told} of {total:,} real and synthetic training images together")


def _known(name: str, real: Counts) -> None:
    if name not in real:
        raise ConfigError(f"unknown class '{name}'; {nearest(name, real)}")


def _among(real: Counts, classes: Iterable[str]) -> tuple[list[str], int]:
    chosen = list(classes) or list(real)
    for name in chosen:
        _known(name, real)
    return chosen, sum(real[name] for name in chosen)


def _of(chosen: list[str], real: Counts) -> str:
    return "of all classes" if len(chosen) == len(real) else f"of {', '.join(chosen)}"


def _proportional(real: Counts, chosen: list[str], number: int) -> dict[str, int]:
    """Share out a number in proportion to real counts; what rounding leaves goes to the largest remainders."""
    total = sum(real[name] for name in chosen)
    exact = {name: number * real[name] / total for name in chosen}
    counts = {name: int(exact.get(name, 0)) for name in real}
    rest = sorted(chosen, key=lambda name: counts[name] - exact[name])[: number - sum(counts.values())]
    return {name: count + (name in rest) for name, count in counts.items()}
