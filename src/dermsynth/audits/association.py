"""Does a property of the images go with the class?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNLIKELY, STRONG = 0.001, 0.1
"""A p-value below and a Cramér's V from which an association is reported: neither chance nor negligible (Cohen 1988,
Statistical Power Analysis, calls 0.1 small)."""


class Association(NamedTuple):
    """Pearson's chi-square test of independence and the strength of the association."""

    chi_square: float
    p: float
    cramers_v: float

    @property
    def notable(self) -> bool:
        """Return whether it should be reported."""
        return self.p < UNLIKELY and self.cramers_v >= STRONG


def association(counts: NDArray[np.integer]) -> Association:
    """Return the association of rows and columns of a table of counts; none if fewer than two of either have any.

    Cramér's V (Cramér 1946, Mathematical Methods of Statistics, section 21.9) is 0 for independence and 1 if one tells
    the other.
    """
    from scipy.stats import chi2_contingency

    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    if min(counts.shape) < 2:
        return Association(0.0, 1.0, 0.0)
    chi_square, p, *_ = chi2_contingency(counts, correction=False)
    return Association(float(chi_square), float(p), float(np.sqrt(chi_square / counts.sum() / (min(counts.shape) - 1))))
