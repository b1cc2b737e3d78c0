"""The predictions of some arms of a trial in one form: aligned by image, grouped by lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from dermsynth.core.errors import InputError
from dermsynth.metrics.judged import Judged
from dermsynth.metrics.lesions import Lesions
from dermsynth.reports.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Judgements:
    """What the fits of some arms say; `fits[arm]` are its indices in `judged`, in the order of seeds."""

    judged: Judged
    fits: dict[str, list[int]]


def judgements(evidence: Evidence, arms: Sequence[str]) -> Judgements:
    """Return the predictions of every seed of these arms.

    Raises:
        InputError: fits of different images.
    """
    found = [evidence.fits[arm][seed].predictions for arm in arms for seed in evidence.seeds]
    found = [one.take(np.argsort(one.image_ids, kind="stable")) for one in found]
    first = found[0]
    for one in found:
        if not np.array_equal(one.image_ids, first.image_ids):
            raise InputError(f"{one.where}: has other images than {first.where}; judge the trial again")
    n_classes = len(first.classes)
    lesions = Lesions.of(first.labels, first.lesion_ids, n_classes)
    probabilities = np.stack([one.probabilities for one in found])
    seeds = len(evidence.seeds)
    fits = {arm: list(range(seeds * place, seeds * (place + 1))) for place, arm in enumerate(arms)}
    return Judgements(Judged(first.labels, probabilities, lesions, np.eye(n_classes, dtype=np.bool_)), fits)


def declared_seed(evidence: Evidence) -> int:
    """Return the seed of the trial, of which the verdict's redraws of lesions are."""
    protocol: Any = yaml.safe_load(evidence.protocol) or {}
    return int(protocol.get("seed", 0))
