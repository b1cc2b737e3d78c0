"""Arborising vessels: the branching trees on the surface of a basal cell carcinoma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom.lesions import FAINT, Densities
from dermsynth.cohorts.sources.phantom.signs import Signs
from dermsynth.cohorts.sources.phantom.textures import Field


def draw_vessels(
    into: Densities, signs: Signs, rng: np.random.Generator, turn: NDArray[np.float64], shift: NDArray[np.float64]
) -> None:
    """Add arborising vessels; `turn` (2 x 2) and `shift` take skin coordinates to pixels."""
    import cv2

    strength = signs["arborising"]
    if strength <= FAINT:
        return
    canvas = np.zeros_like(into.blood)
    pixels_per_unit = float(np.sqrt(abs(np.linalg.det(turn))))
    for line, width in _vessel_tree(rng):
        pixels = (line * signs["radius"]) @ turn.T + shift
        thickness = width * pixels_per_unit
        fixed = np.round(pixels * 16).astype(np.int32)
        cv2.polylines(canvas, [fixed], False, min(1.0, thickness), max(1, round(thickness)), cv2.LINE_AA, shift=4)
    into.blood += 0.85 * strength * cv2.GaussianBlur(canvas, (0, 0), max(0.4, 0.004 * pixels_per_unit))


def _vessel_tree(rng: np.random.Generator) -> list[tuple[Field, float]]:
    """Return trunks that wander inwards from the border and branch as they thin out (coordinates in radii)."""
    lines: list[tuple[Field, float]] = []
    for angle in rng.uniform(0.0, 2 * np.pi, int(rng.integers(3, 6))):
        start = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.8, 1.1)
        _grow(start, float(angle) + np.pi + float(rng.normal(0.0, 0.5)), 0.02, 0, rng, lines)
    return lines


def _grow(
    start: NDArray[np.float64],
    heading: float,
    width: float,
    depth: int,
    rng: np.random.Generator,
    lines: list[tuple[Field, float]],
) -> None:
    steps = 10 - 2 * depth
    headings = heading + np.cumsum(rng.normal(0.0, 0.33, steps))
    moves = 0.11 * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    path = np.concatenate([start[None], start + np.cumsum(moves, axis=0)])
    lines.append((path.astype(np.float32), width))
    if depth == 2:
        return
    for at in rng.integers(2, steps, 2):
        turn = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.5, 1.0))
        _grow(path[at], float(headings[at - 1]) + turn, 0.6 * width, depth + 1, rng, lines)
