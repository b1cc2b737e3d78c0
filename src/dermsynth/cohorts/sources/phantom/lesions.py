"""Paints a lesion: signs in, densities of pigment, blood, deep pigment and white out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom.signs import Signs
from dermsynth.cohorts.sources.phantom.textures import Field, Points, cells, clip, clouds, spots, swells

Offsets = NDArray[np.float64]
FAINT = 0.03
"""A structure below this strength is not painted."""


@dataclass
class Densities:
    """What lies in and on the skin, each H x W: optical densities, and the opacity of what is white."""

    melanin: Field
    blood: Field
    deep: Field
    white: Field


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
    level = level + 0.05 * low[2] + signs["ragged"] * (0.4 * wavy[0] + 0.35 * rough[0])
    step = clip(level / signs["soft"] + 0.5, 0.0, 1.0)
    cover: Field = step * step * (3.0 - 2.0 * step)
    return Outline(level, cover, clip(level, 0.0, 1.0))


def paint(into: Densities, signs: Signs, plan: Plan, shape: Outline, points: Points) -> None:
    """Add the lesion to the densities of the skin, in place."""
    radius, cover, inside, offsets = signs["radius"], shape.cover, shape.inside, plan.offsets
    shades = swells(points, 0.9 * radius, offsets[2])
    grain = clouds(points, 0.12, offsets[3])
    side = (points.u * float(np.cos(plan.angles[2])) + points.v * float(np.sin(plan.angles[2]))) / radius
    tone = signs["variegation"] * (shades[0] + 0.35 * grain[0]) + 0.7 * signs["tilt"] * clip(side, -1.0, 1.0)
    tone = np.exp(tone + signs["centre"] * (inside - 0.35)) * cover
    melanin = signs["melanin"] * tone
    blood = signs["blood"] * cover * (1.0 + 0.35 * shades[1] * signs["variegation"] / 0.3 + 0.12 * grain[1])
    deep = np.zeros_like(cover)
    white = np.zeros_like(cover)

    if signs["network"] > FAINT or signs["globules"] > FAINT:
        melanin = _pigment_pattern(melanin, signs, plan, shape, points, shades[2])
    if signs["dots"] > FAINT:
        _, distance, first, _ = cells(points, 0.055, offsets[5])
        dots = spots(distance, first, 0.35, 0.28) * clip(shades[3] + 0.6, 0.0, 1.0) * cover
        melanin = melanin + signs["dots"] * (0.5 + 0.4 * signs["melanin"]) * dots
        deep += 0.35 * signs["dots"] * dots
    if signs["gyri"] > FAINT:
        ridge = np.abs(clouds(points, 0.2, offsets[6])[0])
        melanin = melanin * (1.0 + signs["gyri"] * (1.1 * np.exp(-6.0 * ridge * ridge) - 0.45))
    if signs["ashen"] > FAINT:
        deep += 0.3 * signs["ashen"] * cover * (0.8 + 0.2 * grain[2])
        melanin = melanin * (1.0 - 0.2 * signs["ashen"])
    if signs["strawberry"] > FAINT:
        web, distance, first, _ = cells(points, 0.1, offsets[7])
        blood = blood + signs["strawberry"] * cover * (0.1 + 0.2 * web)
        follicles = spots(distance, first, 0.8, 0.24)
        blood = blood * (1.0 - 0.6 * signs["strawberry"] * follicles)
        white += 0.16 * signs["strawberry"] * follicles * cover
    if signs["dotted"] > FAINT:
        _, distance, first, _ = cells(points, 0.06, offsets[8])
        blood = blood + 0.7 * signs["dotted"] * spots(distance, first, 0.55, 0.3) * cover * clip(
            0.7 + 0.6 * shades[3], 0.0, 1.0
        )
    if signs["nests"] > FAINT:
        _, distance, first, second = cells(Points(points.u, points.v * 1.3, points.pixel), 0.42 * radius, offsets[9])
        nests = spots(distance, first, 0.25 + 0.3 * signs["nests"], 0.42, 0.3) * clip(cover * 1.5, 0.0, 1.0)
        deep += signs["nests"] * nests * (0.35 + 0.75 * second)
        melanin = melanin + 0.45 * signs["nests"] * nests * (1.0 - 0.6 * second)
    if signs["lacunae"] > FAINT or signs["lacuna_blue"] > FAINT:
        blood, deep, white = _lacunae(blood, deep, white, signs, plan, shape, points)
    if signs["veil"] > FAINT:
        region = _patch(shades[1] + 0.6 * inside, 0.05) * clip(2.5 * shape.level, 0.0, 1.0) * signs["veil"]
        deep += region * (0.45 + 0.35 * signs["melanin"])
        melanin = melanin * (1.0 - 0.35 * region)
        white += 0.16 * region
    if signs["regression"] > FAINT:
        region = _patch(shades[3], 0.25) * cover * signs["regression"]
        melanin = melanin * (1.0 - 0.9 * region)
        white += region * (0.2 + 0.06 * grain[3])
        _, distance, first, _ = cells(points, 0.04, offsets[10])
        deep += 0.4 * region * spots(distance, first, 0.5, 0.3)
    if signs["scar"] > FAINT:
        middle = clip((shape.level - 0.42 + 0.12 * shades[3]) / 0.35, 0.0, 1.0) * signs["scar"]
        melanin = melanin * (1.0 - 0.85 * middle)
        blood = blood * (1.0 - 0.45 * middle)
        white += middle * clip(0.3 + 0.1 * grain[0], 0.05, 0.7)
    if signs["ulcer"] > FAINT:
        region = _patch(shades[2] + 0.8 * inside - 0.4, 0.5) * cover * signs["ulcer"]
        blood = blood + region * (0.75 + 0.3 * grain[1])
        melanin = melanin + region * clip(0.3 + 0.3 * grain[2], 0.0, 1.0)
    if signs["milia"] > FAINT:
        _, distance, first, second = cells(points, 0.13, offsets[11])
        white += 0.7 * signs["milia"] * spots(distance, first, 0.45, 0.12 + 0.12 * second, 0.1) * cover
    if signs["comedo"] > FAINT:
        _, distance, first, second = cells(points, 0.15, offsets[12])
        plugs = spots(distance, first, 0.45, 0.16 + 0.14 * second, 0.12) * cover
        melanin = melanin + signs["comedo"] * plugs * (0.5 + 0.4 * signs["melanin"])
    if signs["scale"] > FAINT:
        flakes = clouds(points, 0.22, offsets[13])
        white += signs["scale"] * cover * clip(0.5 * flakes[0] + 0.25 * flakes[1] - 0.25, 0.0, 0.65)

    # Where the lesion sits it replaces the skin's own redness in part.
    into.melanin += np.maximum(melanin, 0.0)
    into.blood += np.maximum(blood, 0.0)
    into.deep += deep
    into.white += white


def _pigment_pattern(melanin: Field, signs: Signs, plan: Plan, shape: Outline, points: Points, patchy: Field) -> Field:
    """Return the pigment arranged as a network of lines, or as globules."""
    gaps = signs["network_gaps"]
    if signs["network"] > FAINT:
        web = cells(points, 0.075, plan.offsets[4])[0]
        region = clip(1.0 - gaps * clip(1.2 * patchy + 0.5, 0.0, 1.0), 0.0, 1.0) * (1.0 - 0.45 * shape.inside)
        melanin = melanin * (1.0 + signs["network"] * region * (1.5 * web - 0.55))
    if signs["globules"] > FAINT:
        _, distance, first, second = cells(points, 0.085, plan.offsets[14])
        globules = spots(distance, first, 0.85, 0.36, 0.2) * (0.5 + 0.5 * second)
        melanin = melanin * (1.0 + signs["globules"] * (1.3 * globules - 0.45))
    return melanin


def _lacunae(
    blood: Field, deep: Field, white: Field, signs: Signs, plan: Plan, shape: Outline, points: Points
) -> tuple[Field, Field, Field]:
    """Return blood, deep pigment and white of blood lakes parted by pale septa."""
    web, _, first, second = cells(points, max(0.45 * signs["radius"], 0.08), plan.offsets[15])
    strength = signs["lacunae"]
    blood = blood * (1.0 + strength * (0.7 * first - 0.25 - 0.5 * web))
    deep = deep + signs["lacuna_blue"] * shape.cover * (0.15 + 0.7 * second * second) * min(1.0, signs["blood"])
    return blood, deep, white + 0.2 * strength * web * shape.cover


def _patch(noise: Field, threshold: float) -> Field:
    """Return soft blobs in [0, 1] where the noise exceeds the threshold."""
    step = clip((noise - threshold) / 0.7, 0.0, 1.0)
    blobs: Field = step * step * (3.0 - 2.0 * step)
    return blobs
