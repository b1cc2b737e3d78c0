"""Who the lesions belong to: every lesion number has a patient, a class and a number of photos of its own.

All of it is a function of (seed, lesion number) alone, so draws of other classes, counts or sizes change nothing, and
two draws over disjoint ranges of numbers share no lesion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dermsynth.cohorts.sources.phantom.signs import CLASSES
from dermsynth.cohorts.sources.phantom.skin import Skin, draw_skin
from dermsynth.core.randomness import key, numpy_generator

PATIENT_BLOCK = 1000
"""A patient begins at every multiple of this lesion number, so that ranges starting there share no patient either."""

_NEW_PATIENT = 0.8
MAX_PHOTOS = 3

# How often a lesion is of each class (about the shares of the default counts), the mean age of those who have it
# (years), and where on the body it is found.
_SHARE = {"akiec": 0.07, "bcc": 0.09, "bkl": 0.13, "df": 0.05, "mel": 0.155, "nv": 0.445, "vasc": 0.06}
_AGE = {"akiec": 66.0, "bcc": 65.0, "bkl": 63.0, "df": 50.0, "mel": 60.0, "nv": 45.0, "vasc": 51.0}
_AGE_SPREAD = 17.0
_SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "scalp", "hand")
_SITE_WEIGHTS = {
    "akiec": (10, 12, 10, 14, 3, 30, 7, 1, 8, 5),
    "bcc": (26, 9, 14, 9, 5, 25, 8, 1, 3, 0),
    "bkl": (19, 10, 14, 11, 4, 29, 8, 1, 3, 1),
    "df": (5, 50, 7, 22, 4, 1, 2, 6, 0, 3),
    "mel": (29, 14, 14, 18, 4, 10, 7, 2, 1, 1),
    "nv": (21, 22, 22, 12, 12, 2, 5, 3, 0, 1),
    "vasc": (15, 14, 22, 9, 13, 6, 12, 4, 2, 3),
}


@dataclass(frozen=True)
class Patient:
    """A patient: the number of the first lesion, age in years (a multiple of 5), sex and skin."""

    number: int
    age: int
    sex: str
    skin: Skin


def patient_number(seed: int, lesion: int) -> int:
    """Return the number of the first lesion of the patient who has this one."""
    while lesion % PATIENT_BLOCK and _uniform(seed, "phantom same patient", lesion) >= _NEW_PATIENT:
        lesion -= 1
    return lesion


@lru_cache(maxsize=4096)
def patient(seed: int, number: int) -> Patient:
    """Return the patient whose first lesion has this number."""
    rng = numpy_generator(seed, "phantom patient", number)
    age = int(np.clip(5 * round(rng.normal(53.0, 17.0) / 5), 5, 85))
    sex = "male" if rng.random() < 0.54 else "female"
    return Patient(number, age, sex, draw_skin(rng))


def label_of(seed: int, lesion: int) -> str:
    """Return the lesion's class; old patients have more keratoses and carcinomas, young ones more nevi."""
    age = patient(seed, patient_number(seed, lesion)).age
    weights = np.cumsum([_SHARE[c] * np.exp(-0.5 * ((age - _AGE[c]) / _AGE_SPREAD) ** 2) for c in CLASSES])
    at = _uniform(seed, "phantom class", lesion) * weights[-1]
    return CLASSES[min(int(np.searchsorted(weights, at, side="right")), len(CLASSES) - 1)]


def photos_of(seed: int, lesion: int, several: float) -> int:
    """Return how many photos there are of a lesion: a share `several` of all lesions has two or three."""
    chance = _uniform(seed, "phantom photos", lesion)
    if chance >= several:
        return 1
    return MAX_PHOTOS if chance < 0.35 * several else 2


def localization_of(seed: int, lesion: int, label: str) -> str:
    """Return where on the body the lesion is."""
    weights = np.cumsum(_SITE_WEIGHTS[label])
    return _SITES[int(np.searchsorted(weights, _uniform(seed, "phantom site", lesion) * weights[-1], side="right"))]


def listed(counts: Mapping[str, int], seed: int, first_lesion: int, several: float) -> list[tuple[int, int, str]]:
    """Return (lesion, photo, label) of every image of a draw, in the order of lesion numbers.

    Class by class these are the photos of the first lesions from `first_lesion` on, until the count is reached. The
    default counts end in all classes at about the same number, so that a number says nothing about the class.
    """
    missing = dict(counts)
    found = []
    lesion = first_lesion
    while any(missing.values()):
        label = label_of(seed, lesion)
        taken = min(missing.get(label, 0), photos_of(seed, lesion, several))
        if taken:
            found += [(lesion, photo, label) for photo in range(taken)]
            missing[label] -= taken
        lesion += 1
    return found


def _uniform(seed: int, purpose: str, step: int) -> float:
    return float(key(seed, purpose, step)) / 2.0**63
