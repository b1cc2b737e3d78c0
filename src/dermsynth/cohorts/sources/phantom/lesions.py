"""A lesion's outline and pigment: signs in, densities of pigment, blood, deep pigment and white out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom.signs import Signs
from dermsynth.cohorts.sources.phantom.textures import Field, Points, clip, clouds, swells

Offsets = NDArray[np.float64]
FAINT = 0.03
"""A sign below this strength is left out."""


@dataclass
class Densities:
    """What lies in and on the skin, each H x W: optical densities, and the opacity of what is white."""

    melanin: Field
    blood: Field
    deep: Field
    white: Field


@dataclass
class Canvas:
    """A lesion being painted: what it shows, where, and its densities so far (without the skin's).

    `shades` (blobs about as large as the lesion) and `grain` (fine) are four noises each that the structures share.
    """

    signs: Signs
    plan: Plan
    shape: Outline
    points: Points
    shades: tuple[Field, ...]
    grain: tuple[Field, ...]
    layers: Densities


@dataclass(frozen=True)
class Plan:
    """What is drawn once per lesion, so that every photo shows the same one."""

    offsets: Offsets  # 24 x 2, where each texture is sampled, in tiles
    angles: NDArray[np.float64]  # 8, radians


@dataclass(frozen=True)
class Outline:
    """`level` is 0 on the border, 1 in the middle and negative outside, in radii; `cover` in [0, 1] its soft step."""

    level: Field
    cover: Field
    inside: Field


def draw_plan(rng: np.random.Generator) -> Plan:
    """Draw what all photos of a lesion share."""
    offsets = rng.random((24, 2))
    angles = rng.uniform(0.0, 2 * np.pi, 8)
    return Plan(offsets, angles)


def outline(signs: Signs, plan: Plan, points: Points) -> Outline:
    """Return where the lesion is."""
    radius = signs["radius"]
    low = swells(points, 1.8 * radius, plan.offsets[0])
    bend = 0.07 * radius
    warped = Points(points.u + bend * low[0], points.v + bend * low[1], points.pixel)
    stretch = float(np.sqrt(signs["aspect"]))
    u, v = warped.u / (radius * stretch), warped.v * (stretch / radius)
    level = 1.0 - np.sqrt(u * u + v * v)
    lobes = signs["lobes"]
    if lobes > FAINT:
        size = 0.4 + 0.35 * lobes
        x = u - 0.75 * float(np.cos(plan.angles[0]))
        y = v - 0.75 * float(np.sin(plan.angles[0]))
        level = np.maximum(level + 0.15 * lobes, size - np.sqrt(x * x + y * y)) - 0.1 * lobes
        notch_x = u - 0.95 * float(np.cos(plan.angles[1]))
        notch_y = v - 0.95 * float(np.sin(plan.angles[1]))
        level -= lobes * clip(0.6 - np.sqrt(notch_x * notch_x + notch_y * notch_y), 0.0, 1.0)
    rough = clouds(points, 0.55 * radius, plan.offsets[1])
    wavy = swells(points, 0.8 * radius, plan.offsets[21])
    level = level + 0.05 * low[2] + signs["ragged"] * (0.45 * wavy[0] + 0.27 * rough[0])
    step = clip(level / signs["soft"] + 0.5, 0.0, 1.0)
    cover: Field = step * step * (3.0 - 2.0 * step)
    return Outline(level, cover, clip(level, 0.0, 1.0))


def base(signs: Signs, plan: Plan, shape: Outline, points: Points) -> Canvas:
    """Return the lesion without structures: an even mixture of melanin and blood, shaded and darker on one side."""
    radius, cover = signs["radius"], shape.cover
    shades = swells(points, 0.9 * radius, plan.offsets[2])
    grain = clouds(points, 0.12, plan.offsets[3])
    side = (points.u * float(np.cos(plan.angles[2])) + points.v * float(np.sin(plan.angles[2]))) / radius
    shade = signs["variegation"] * (shades[0] + 0.35 * grain[0]) + 0.7 * signs["tilt"] * clip(side, -1.0, 1.0)
    melanin = signs["melanin"] * cover * np.exp(shade + signs["centre"] * (shape.inside - 0.35))
    blood = signs["blood"] * cover * (1.0 + signs["variegation"] * shades[1] + 0.12 * grain[1])
    layers = Densities(melanin, np.maximum(blood, 0.0), np.zeros_like(cover), np.zeros_like(cover))
    return Canvas(signs, plan, shape, points, shades, grain, layers)
