"""The structures that a dermatologist reads, one painter each.

A painter changes the layers of a canvas in place. The order of `_PAINTERS` is the order from deep to superficial.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dermsynth.cohorts.sources.phantom.lesions import FAINT, Canvas, Densities
from dermsynth.cohorts.sources.phantom.textures import Field, Points, cells, clip, clouds, spots


def paint(canvas: Canvas, onto: Densities) -> None:
    """Paint every structure that the lesion's signs show, and lay the lesion onto the skin's densities."""
    for sign, painter in _PAINTERS.items():
        if canvas.signs[sign] > FAINT:
            painter(canvas, canvas.signs[sign])
    onto.melanin += np.maximum(canvas.layers.melanin, 0.0)
    onto.blood += np.maximum(canvas.layers.blood, 0.0)
    onto.deep += canvas.layers.deep
    onto.white += canvas.layers.white


def _network(canvas: Canvas, strength: float) -> None:
    """A honeycomb of brown lines, fading in the middle; with gaps where it is atypical."""
    web = cells(canvas.points, 0.07, canvas.plan.offsets[4])[0]
    gaps = canvas.signs["network_gaps"] * clip(1.2 * canvas.shades[2] + 0.5, 0.0, 1.0)
    region = (1.0 - gaps) * (1.0 - 0.45 * canvas.shape.inside)
    canvas.layers.melanin *= 1.0 + strength * region * (1.4 * web - 0.5)


def _globules(canvas: Canvas, strength: float) -> None:
    globules, shade = _scattered(canvas, 0.085, 14, 0.85, 0.36, 0.25)
    canvas.layers.melanin *= 1.0 + strength * (1.3 * globules * (0.5 + 0.5 * shade) - 0.45)


def _dots(canvas: Canvas, strength: float) -> None:
    """Small black or brown dots in one part of the lesion."""
    dots, _ = _scattered(canvas, 0.06, 5, 0.4, 0.26)
    dots = dots * clip(canvas.shades[3] + 0.6, 0.0, 1.0) * canvas.shape.cover
    canvas.layers.melanin += strength * (0.4 + 0.4 * canvas.signs["melanin"]) * dots
    canvas.layers.deep += 0.3 * strength * dots


def _gyri(canvas: Canvas, strength: float) -> None:
    """Ridges and furrows of a keratosis, or the fingerprint of a lentigo."""
    ridge = clouds(canvas.points, 0.26, canvas.plan.offsets[6])[0]
    canvas.layers.melanin *= 1.0 + strength * (1.1 * np.exp(-4.0 * ridge * ridge) - 0.45)


def _ashen(canvas: Canvas, strength: float) -> None:
    canvas.layers.deep += 0.22 * strength * canvas.shape.cover * (0.8 + 0.2 * canvas.grain[2])
    canvas.layers.melanin *= 1.0 - 0.25 * strength


def _strawberry(canvas: Canvas, strength: float) -> None:
    """Redness around pale follicles."""
    web, distance, first, _ = cells(canvas.points, 0.1, canvas.plan.offsets[7])
    follicles = spots(distance + 0.06 * canvas.grain[0], first, 0.8, 0.24)
    redder = canvas.layers.blood + strength * canvas.shape.cover * (0.07 + 0.15 * web)
    canvas.layers.blood = redder * (1.0 - 0.6 * strength * follicles)
    canvas.layers.white += 0.16 * strength * follicles * canvas.shape.cover


def _dotted(canvas: Canvas, strength: float) -> None:
    """Dotted and glomerular vessels, in groups."""
    vessels, _ = _scattered(canvas, 0.06, 8, 0.55, 0.3)
    groups = clip(0.6 + 0.6 * canvas.shades[3], 0.0, 1.0) * canvas.shape.cover
    canvas.layers.blood += 0.65 * strength * vessels * groups


def _nests(canvas: Canvas, strength: float) -> None:
    """Blue-grey ovoid nests and brown leaf-like areas."""
    points = _bent(canvas)
    oval = Points(points.u, points.v * 1.3, points.pixel)
    width = 0.42 * canvas.signs["radius"]
    _, distance, first, second = cells(oval, width, canvas.plan.offsets[9])
    rough = distance + 0.06 * canvas.grain[0]
    nests = spots(rough, first, 0.2 + 0.3 * strength, 0.2 + 0.25 * second, 0.25)
    nests = nests * clip(1.5 * canvas.shape.cover, 0.0, 1.0)
    canvas.layers.deep += strength * nests * (0.25 + 0.7 * second)
    canvas.layers.melanin += 0.5 * strength * nests * (1.0 - 0.6 * second)


def _lacunae(canvas: Canvas, strength: float) -> None:
    """Blood lakes parted by pale septa."""
    web, _, first, _ = _lakes(canvas)
    canvas.layers.blood *= 1.0 + strength * (0.7 * first - 0.2 - 0.5 * web)
    canvas.layers.white += 0.16 * strength * web * canvas.shape.cover


def _lacuna_blue(canvas: Canvas, strength: float) -> None:
    """Lakes that lie deeper or have clotted: purple, blue, black."""
    second = _lakes(canvas)[3]
    dark = strength * (0.05 + 0.8 * second**3) * min(1.0, canvas.signs["blood"])
    canvas.layers.deep += dark * canvas.shape.cover


def _veil(canvas: Canvas, strength: float) -> None:
    """A blue-grey, structureless area with a whitish film."""
    inner = clip(2.0 * canvas.shape.level, 0.0, 1.0)
    region = _patch(canvas.shades[1] + 0.6 * canvas.shape.inside + 0.2 * canvas.grain[2], -0.1) * inner * strength
    canvas.layers.deep += region * (0.3 + 0.3 * canvas.signs["melanin"])
    canvas.layers.melanin *= 1.0 - 0.35 * region
    canvas.layers.white += 0.14 * region


def _regression(canvas: Canvas, strength: float) -> None:
    """A white scar-like area with grey peppering."""
    region = _patch(canvas.shades[3] + 0.15 * canvas.grain[1], 0.15) * canvas.shape.cover * strength
    pepper, _ = _scattered(canvas, 0.045, 10, 0.5, 0.28)
    canvas.layers.melanin *= 1.0 - 0.9 * region
    canvas.layers.white += region * (0.18 + 0.06 * canvas.grain[3])
    canvas.layers.deep += 0.35 * region * pepper


def _scar(canvas: Canvas, strength: float) -> None:
    """A white patch in the middle, with strands."""
    middle = clip((canvas.shape.level - 0.4 + 0.1 * canvas.shades[3]) / 0.4, 0.0, 1.0) * strength
    canvas.layers.melanin *= 1.0 - 0.85 * middle
    canvas.layers.blood *= 1.0 - 0.5 * middle
    canvas.layers.white += middle * clip(0.34 + 0.12 * canvas.grain[0], 0.05, 0.7)


def _ulcer(canvas: Canvas, strength: float) -> None:
    """A red or crusted, raw area."""
    region = _patch(canvas.shades[2] + 0.8 * canvas.shape.inside - 0.4, 0.4) * canvas.shape.cover * strength
    canvas.layers.blood += region * (0.7 + 0.3 * canvas.grain[1])
    canvas.layers.melanin += region * clip(0.3 + 0.3 * canvas.grain[2], 0.0, 1.0)


def _milia(canvas: Canvas, strength: float) -> None:
    """Milia-like cysts: small, bright, round."""
    cysts, shade = _scattered(canvas, 0.13, 11, 0.45, 0.18, 0.1)
    canvas.layers.white += 0.7 * strength * cysts * (0.4 + 0.6 * shade) * canvas.shape.cover


def _comedo(canvas: Canvas, strength: float) -> None:
    """Comedo-like openings: brown plugs."""
    plugs, shade = _scattered(canvas, 0.15, 12, 0.45, 0.24, 0.14)
    amount = strength * (0.4 + 0.4 * canvas.signs["melanin"])
    canvas.layers.melanin += amount * plugs * (0.4 + 0.6 * shade) * canvas.shape.cover


def _scale(canvas: Canvas, strength: float) -> None:
    flakes = clouds(canvas.points, 0.22, canvas.plan.offsets[13])
    dry = clip(0.5 * flakes[0] + 0.25 * flakes[1] - 0.25, 0.0, 0.6)
    canvas.layers.white += strength * canvas.shape.cover * dry
    canvas.layers.melanin += 0.12 * strength * canvas.shape.cover * clip(flakes[2], 0.0, 1.0)


_PAINTERS: dict[str, Callable[[Canvas, float], None]] = {
    "network": _network,
    "globules": _globules,
    "dots": _dots,
    "gyri": _gyri,
    "ashen": _ashen,
    "strawberry": _strawberry,
    "dotted": _dotted,
    "nests": _nests,
    "lacunae": _lacunae,
    "lacuna_blue": _lacuna_blue,
    "veil": _veil,
    "regression": _regression,
    "scar": _scar,
    "ulcer": _ulcer,
    "milia": _milia,
    "comedo": _comedo,
    "scale": _scale,
}


def _lakes(canvas: Canvas) -> tuple[Field, ...]:
    return cells(_bent(canvas), max(0.42 * canvas.signs["radius"], 0.07), canvas.plan.offsets[15])


def _bent(canvas: Canvas) -> Points:
    """Return the points moved a little, so that large cells get curved borders."""
    by, points = 0.045 * canvas.signs["radius"], canvas.points
    u = points.u + by * (canvas.shades[2] + 0.5 * canvas.grain[2])
    return Points(u, points.v + by * (canvas.shades[3] + 0.5 * canvas.grain[3]), points.pixel)


def _scattered(
    canvas: Canvas, width: float, place: int, share: float, radius: float, softness: float = 0.15
) -> tuple[Field, Field]:
    """Return irregular discs in a share of cells of a width, and a number in [0, 1] for each disc."""
    _, distance, first, second = cells(canvas.points, width, canvas.plan.offsets[place])
    return spots(distance + 0.06 * canvas.grain[0], first, share, radius * (0.65 + 0.5 * second), softness), second


def _patch(noise: Field, threshold: float) -> Field:
    """Return soft blobs in [0, 1] where the noise exceeds the threshold."""
    step = clip((noise - threshold) / 1.1, 0.0, 1.0)
    return step * step * (3.0 - 2.0 * step)
