"""Many comparisons at once: p-values that hold for a family, and what the best of many would be by chance alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dermsynth.core.errors import InputError


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values, in the given order (Holm 1979, Scandinavian Journal of Statistics 6:65).

    If all hypotheses with an adjusted p-value below alpha are rejected, the chance that any of them is true is below
    alpha, however the comparisons depend on each other. The k-th smallest of m is multiplied by m + 1 - k, and none
    falls below a smaller one. One p-value is returned as it is.

    Raises:
        InputError: a value outside [0, 1].
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise InputError(f"p-value {p}; expected a number from 0 to 1")
    m, reached = len(p_values), 0.0
    adjusted = [0.0] * m
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        reached = max(reached, min((m - rank) * p_values[index], 1.0))
        adjusted[index] = reached
    return tuple(adjusted)


def expected_best(draws: int) -> float:
    """Return the expected largest of `draws` independent standard normal draws: what the best of k noises reaches.

    The integral of x times the density k φ(x) Φ(x)^(k-1) of the largest. Draws that share a part, such as arms that are
    all compared with one control, have a smaller one: of k draws with correlation r it is sqrt(1 - r) times this.

    Raises:
        InputError: fewer than one draw.
    """
    import numpy as np
    from scipy.special import log_ndtr

    _need_draws(draws)
    x = np.linspace(-10, 10, 2001)
    density = draws / math.sqrt(2 * math.pi) * np.exp((draws - 1) * log_ndtr(x) - x**2 / 2)
    return float(np.trapezoid(x * density, x))


def chance_of_best(value: float, draws: int) -> float:
    """Return the chance that the largest of `draws` independent standard normal draws is `value` or more.

    Raises:
        InputError: fewer than one draw.
    """
    from scipy.special import log_ndtr

    _need_draws(draws)
    return float(-math.expm1(draws * float(log_ndtr(value))))


def _need_draws(draws: int) -> None:
    if draws < 1:
        raise InputError(f"the best of {draws} draws; expected 1 or more")
