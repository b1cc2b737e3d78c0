"""A p-value without any distribution: turn round the signs of paired differences in all ways.

If two arms are the same, which of them is called the treatment in one repeat does not matter, so every pattern of
signs is equally likely. The units whose signs are turned decide what the p-value is about: differences by seed are
about other trainings judged on these lesions; differences by split and seed about other splits too. Few units cannot
say much: with S of them no two-sided p-value is below 2 / 2^S, that is 0.25 for 3 seeds and 0.0625 for 5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator

EXACT_UP_TO = 16
"""Units up to which all 2^S patterns are counted (65,536); beyond, `draws` of them are drawn."""


def sign_flip(differences: npt.NDArray[np.float64], *, draws: int = 20_000, seed: int = 0) -> float:
    """Return the two-sided p-value of a mean difference of 0 (Fisher 1935; exact up to `EXACT_UP_TO` units).

    Args:
        differences: float (S,), one for each pair of fits.
        draws: Patterns of signs where there are too many to count; the observed one is counted among them, so that no
            p-value is 0 (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
        seed: Of the drawn patterns.

    Raises:
        InputError: no difference.
    """
    units = len(differences)
    if not units:
        raise InputError("no difference to turn round; give one for each pair of fits")
    if units <= EXACT_UP_TO:
        patterns = 1 - 2 * (np.arange(2**units)[:, None] >> np.arange(units) & 1)
    else:
        turned = numpy_generator(seed, "sign flips").integers(0, 2, size=(draws, units))
        patterns = np.vstack([np.ones((1, units)), 1 - 2 * turned])
    sums = np.abs(patterns @ differences)
    # Sums that differ by rounding alone are equal.
    least = np.abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    return float((sums >= least).mean())
