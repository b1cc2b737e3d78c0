"""What dermatologists call signs: how strongly each one shows in a lesion, by class.

A lesion is a row of about thirty numbers, drawn from a variety of its class. The painter knows signs, not classes, so
classes can be blended: `overlap` moves a lesion's signs towards those of a class that it is confused with.

The looks follow the textbook descriptions in Argenziano et al., "Dermoscopy of pigmented skin lesions" (J. Am. Acad.
Dermatol. 48, 2003) and the class notes in Tschandl et al. 2018 (HAM10000, doi:10.1038/sdata.2018.161).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")

Signs = Mapping[str, float]
Range = tuple[float, float]

# Shape: radius (half widths of the image), aspect, lobes (a second, displaced part), ragged (wobble of the border) and
# soft (width of the border), both in radii. Pigment: melanin and blood (optical density), centre (darker middle),
# tilt (one side darker), variegation (several shades). The rest are structures with a strength in [0, 1].
_EVERY: dict[str, Range] = {
    "radius": (0.3, 0.7),
    "aspect": (1.0, 1.4),
    "lobes": (0.0, 0.1),
    "ragged": (0.03, 0.12),
    "soft": (0.15, 0.4),
    "melanin": (0.0, 0.1),
    "blood": (0.0, 0.2),
    "centre": (0.0, 0.2),
    "tilt": (0.0, 0.2),
    "variegation": (0.05, 0.2),
}
_STRUCTURES = (
    "network",
    "network_gaps",
    "globules",
    "dots",
    "veil",
    "ashen",
    "regression",
    "arborising",
    "dotted",
    "strawberry",
    "nests",
    "ulcer",
    "milia",
    "comedo",
    "gyri",
    "scale",
    "scar",
    "lacunae",
    "lacuna_blue",
)
SIGNS = (*_EVERY, *_STRUCTURES)


@dataclass(frozen=True)
class Variety:
    """One look of a class: its share, the ranges that differ from the common ones, and structures with their share."""

    share: float
    ranges: Mapping[str, Range]
    structures: Mapping[str, tuple[float, float, float]]


_NEVUS: dict[str, Range] = {
    "radius": (0.22, 0.72),
    "soft": (0.4, 1.2),
    "melanin": (0.3, 1.15),
    "blood": (0.0, 0.3),
    "centre": (0.2, 1.2),
    "tilt": (0.0, 0.3),
    "variegation": (0.05, 0.25),
}
_MELANOMA: dict[str, Range] = {
    "radius": (0.35, 1.0),
    "aspect": (1.1, 1.8),
    "lobes": (0.2, 1.0),
    "ragged": (0.14, 0.4),
    "soft": (0.1, 0.5),
    "melanin": (0.12, 1.2),
    "blood": (0.0, 0.3),
    "centre": (-0.3, 0.4),
    "tilt": (0.2, 1.0),
    "variegation": (0.3, 0.75),
}

VARIETIES: dict[str, tuple[Variety, ...]] = {
    "akiec": (
        Variety(
            0.55,  # actinic keratosis
            {
                "radius": (0.35, 1.0),
                "ragged": (0.15, 0.4),
                "soft": (0.5, 1.2),
                "blood": (0.05, 0.28),
                "melanin": (0.0, 0.16),
                "variegation": (0.2, 0.5),
            },
            {
                "strawberry": (0.75, 0.4, 1.0),
                "scale": (0.65, 0.3, 1.0),
                "dotted": (0.2, 0.3, 0.7),
                "ulcer": (0.1, 0.3, 0.6),
            },
        ),
        Variety(
            0.45,  # Bowen's disease, often pigmented
            {
                "radius": (0.35, 0.8),
                "aspect": (1.0, 1.7),
                "lobes": (0.1, 0.7),
                "ragged": (0.15, 0.4),
                "soft": (0.3, 0.9),
                "blood": (0.05, 0.28),
                "melanin": (0.05, 0.45),
                "variegation": (0.3, 0.7),
            },
            {"dotted": (0.8, 0.4, 1.0), "scale": (0.6, 0.3, 0.9), "ulcer": (0.2, 0.3, 0.8), "dots": (0.25, 0.3, 0.7)},
        ),
    ),
    "bcc": (
        Variety(
            0.55,  # pigmented
            {
                "radius": (0.25, 0.7),
                "lobes": (0.0, 0.6),
                "ragged": (0.05, 0.2),
                "soft": (0.4, 1.0),
                "blood": (0.02, 0.26),
                "melanin": (0.0, 0.16),
                "variegation": (0.1, 0.4),
            },
            {
                "nests": (0.95, 0.5, 1.0),
                "arborising": (0.7, 0.4, 1.0),
                "ulcer": (0.25, 0.4, 1.0),
                "scar": (0.15, 0.2, 0.5),
                "dots": (0.2, 0.2, 0.5),
            },
        ),
        Variety(
            0.45,  # nodular and superficial
            {"radius": (0.25, 0.75), "soft": (0.4, 1.1), "blood": (0.02, 0.26), "variegation": (0.1, 0.3)},
            {
                "arborising": (0.9, 0.5, 1.0),
                "ulcer": (0.4, 0.4, 1.0),
                "scale": (0.2, 0.2, 0.5),
                "nests": (0.2, 0.2, 0.5),
                "scar": (0.25, 0.2, 0.5),
            },
        ),
    ),
    "bkl": (
        Variety(
            0.65,  # seborrhoeic keratosis
            {
                "radius": (0.3, 1.0),
                "aspect": (1.0, 1.6),
                "ragged": (0.05, 0.2),
                "soft": (0.06, 0.3),
                "melanin": (0.15, 0.65),
                "blood": (0.0, 0.15),
                "variegation": (0.1, 0.35),
            },
            {
                "milia": (0.6, 0.4, 1.0),
                "comedo": (0.55, 0.4, 1.0),
                "gyri": (0.6, 0.3, 1.0),
                "ashen": (0.45, 0.2, 0.6),
                "veil": (0.05, 0.2, 0.5),
                "scale": (0.1, 0.2, 0.6),
            },
        ),
        Variety(
            0.35,  # solar lentigo, lichen planus-like keratosis
            {
                "radius": (0.3, 0.8),
                "aspect": (1.0, 1.7),
                "lobes": (0.0, 0.6),
                "ragged": (0.15, 0.35),
                "soft": (0.08, 0.35),
                "melanin": (0.12, 0.42),
                "blood": (0.0, 0.3),
                "variegation": (0.15, 0.4),
            },
            {"gyri": (0.7, 0.3, 0.8), "dots": (0.4, 0.2, 0.6), "ashen": (0.5, 0.2, 0.7), "network": (0.2, 0.2, 0.5)},
        ),
    ),
    "df": (
        Variety(
            1.0,
            {
                "radius": (0.35, 0.8),
                "aspect": (1.0, 1.25),
                "soft": (0.7, 1.3),
                "melanin": (0.12, 0.45),
                "blood": (0.15, 0.5),
                "variegation": (0.05, 0.2),
            },
            {"scar": (0.9, 0.5, 1.0), "network": (0.75, 0.2, 0.6), "dotted": (0.15, 0.2, 0.5)},
        ),
    ),
    "mel": (
        Variety(
            0.78,  # superficial spreading
            _MELANOMA,
            {
                "network": (0.65, 0.3, 0.9),
                "network_gaps": (1.0, 0.5, 1.0),
                "dots": (0.6, 0.3, 1.0),
                "globules": (0.4, 0.3, 0.8),
                "veil": (0.6, 0.4, 1.0),
                "regression": (0.45, 0.4, 1.0),
            },
        ),
        Variety(
            0.22,  # nodular, or thick and dark
            {**_MELANOMA, "melanin": (0.7, 2.2), "soft": (0.06, 0.2), "lobes": (0.1, 0.7), "ragged": (0.08, 0.25)},
            {"veil": (0.85, 0.5, 1.0), "ulcer": (0.2, 0.3, 0.8), "dots": (0.3, 0.3, 0.8), "milia": (0.05, 0.2, 0.5)},
        ),
    ),
    "nv": (
        Variety(0.45, _NEVUS, {"network": (1.0, 0.4, 1.0), "network_gaps": (0.3, 0.0, 0.3), "dots": (0.2, 0.1, 0.5)}),
        Variety(0.2, {**_NEVUS, "soft": (0.12, 0.4)}, {"globules": (1.0, 0.4, 1.0), "dots": (0.3, 0.2, 0.6)}),
        Variety(0.35, _NEVUS, {"network": (0.3, 0.1, 0.4), "ashen": (0.1, 0.2, 0.6), "dots": (0.1, 0.1, 0.4)}),
    ),
    "vasc": (
        Variety(
            0.8,  # angioma, angiokeratoma
            {
                "radius": (0.15, 0.6),
                "ragged": (0.04, 0.16),
                "soft": (0.05, 0.2),
                "blood": (0.5, 1.5),
                "lobes": (0.0, 0.4),
                "variegation": (0.05, 0.2),
            },
            {"lacunae": (0.9, 0.4, 1.0), "lacuna_blue": (0.5, 0.2, 1.0), "scale": (0.1, 0.2, 0.5)},
        ),
        Variety(
            0.2,  # pyogenic granuloma, haemorrhage
            {"radius": (0.15, 0.6), "soft": (0.08, 0.4), "blood": (0.6, 1.7), "variegation": (0.1, 0.3)},
            {"scar": (0.3, 0.2, 0.5), "lacuna_blue": (0.5, 0.3, 1.0), "lacunae": (0.3, 0.2, 0.5)},
        ),
    ),
}

# Whom a class is taken for, and how often: reading errors, not chance.
_TAKEN_FOR: dict[str, dict[str, float]] = {
    "akiec": {"bkl": 0.45, "bcc": 0.4, "mel": 0.15},
    "bcc": {"akiec": 0.4, "bkl": 0.2, "nv": 0.15, "vasc": 0.1, "df": 0.15},
    "bkl": {"mel": 0.35, "nv": 0.3, "akiec": 0.35},
    "df": {"nv": 0.5, "bcc": 0.3, "bkl": 0.2},
    "mel": {"nv": 0.6, "bkl": 0.3, "vasc": 0.1},
    "nv": {"mel": 0.5, "bkl": 0.3, "df": 0.2},
    "vasc": {"bcc": 0.35, "mel": 0.3, "nv": 0.2, "df": 0.15},
}


def draw_signs(label: str, overlap: float, rng: np.random.Generator) -> dict[str, float]:
    """Return the signs of one lesion of a class.

    Args:
        label: One of `CLASSES`.
        overlap: In [0, 1]. The lesion's signs are mixed with those of a lesion it could be taken for, with weight
            `uniform ** (1 / overlap)`: 0 leaves every class pure, 1 makes it a coin toss between the two.
        rng: The same state gives the same pure lesion at every overlap.
    """
    own = _pure(label, rng)
    others = _TAKEN_FOR[label]
    other = _pure(str(rng.choice(list(others), p=list(others.values()))), rng)
    weight = float(rng.random()) ** (1.0 / overlap) if overlap > 0 else 0.0
    return {sign: (1.0 - weight) * own[sign] + weight * other[sign] for sign in SIGNS}


def _pure(label: str, rng: np.random.Generator) -> dict[str, float]:
    varieties = VARIETIES[label]
    variety = varieties[int(rng.choice(len(varieties), p=[v.share for v in varieties]))]
    # One draw per sign whether it shows or not, so that the stream does not depend on the class.
    position = dict(zip(SIGNS, rng.random(len(SIGNS)).tolist(), strict=True))
    chance = dict(zip(SIGNS, rng.random(len(SIGNS)).tolist(), strict=True))
    signs = {}
    for sign in SIGNS:
        if sign in _EVERY:
            low, high = variety.ranges.get(sign, _EVERY[sign])
            signs[sign] = low + (high - low) * position[sign]
        else:
            share, low, high = variety.structures.get(sign, (0.0, 0.0, 0.0))
            signs[sign] = low + (high - low) * position[sign] if chance[sign] < share else 0.0
    return signs
