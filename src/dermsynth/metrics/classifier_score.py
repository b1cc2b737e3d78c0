"""How surely and how variedly a set of images is classified, by a classifier that knows the field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError


def classifier_score(probabilities: npt.ArrayLike) -> float:
    """Return exp of the mean divergence of an image's class probabilities from their mean, 1 to C.

    The formula of the Inception Score (Salimans et al. 2016, arXiv:1606.03498, section 4) with the probabilities of a
    lesion classifier. It is no Inception Score, which has 1,000 classes of everyday things and says nothing about skin
    (Barratt & Sharma 2018, arXiv:1801.01973). Over all images at once instead of ten parts, so that it has no split to
    draw. It rises with sure predictions of classes in equal shares, sees neither copies nor variety within a class,
    and is biased upwards at small n: compare it with as many real images in the same shares of classes.

    Args:
        probabilities: float (n, C), rows sum to 1.

    Raises:
        InputError: no row, or values that are no probabilities.
    """
    found = np.asarray(probabilities, dtype=np.float64)
    if found.ndim != 2 or not found.size:
        raise InputError(f"probabilities of shape {found.shape}; expected (images, classes)")
    if not (found >= 0).all() or np.abs(found.sum(axis=1) - 1).max() > 1e-3:
        raise InputError("probabilities: expected values from 0 that sum to 1 in each row")
    from scipy.special import rel_entr

    return float(np.exp(rel_entr(found, found.mean(axis=0)).sum(axis=1).mean()))
