"""What gets in the way: hair, ruler marks, dark corners, gel bubbles, blur and sensor noise.

None of it depends on the class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom.textures import Field, clip

Photo = NDArray[np.floating[Any]]


def cover_up(photo: Photo, x: Field, y: Field, rng: np.random.Generator) -> Photo:
    """Return the photo (H x W x 3 in [0, 1]) with hair, bubbles, a ruler and dark corners, each if the draw says so."""
    if rng.random() < 0.3:
        photo = _hair(photo, rng)
    if rng.random() < 0.07:
        photo = _bubbles(photo, x, y, rng)
    if rng.random() < 0.05:
        photo = _ruler(photo, rng)
    if rng.random() < 0.03:
        radius, softness = float(rng.uniform(1.12, 1.4)), float(rng.uniform(0.02, 0.08))
        aside = rng.normal(0.0, 0.06, 2)
        distance = np.hypot(x - np.float32(aside[0]), y - np.float32(aside[1]))
        photo = photo * clip((radius - distance) / softness, 0.04, 1.0)[..., None]
    return photo


def record(photo: Photo, gamma: float, size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the photo as the sensor stores it: blurred, at `size_px`, noisy, uint8."""
    import cv2

    sigma = 0.004 * photo.shape[0] * float(0.3 + rng.gamma(2.0, 0.4))
    focused = cv2.GaussianBlur(photo, (0, 0), sigma) if sigma > 0.35 else photo
    small = np.asarray(cv2.resize(focused, (size_px, size_px), interpolation=cv2.INTER_AREA), np.float32) ** gamma
    level = float(rng.uniform(0.003, 0.009))
    shades = rng.standard_normal((size_px, size_px, 1), dtype=np.float32)
    tints = rng.standard_normal(small.shape, dtype=np.float32)
    noisy = small + level * (shades + 0.5 * tints)
    pixels: NDArray[np.uint8] = np.clip(noisy * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8)
    return pixels


def _hair(photo: Photo, rng: np.random.Generator) -> Photo:
    import cv2

    side = photo.shape[0]
    blond = rng.random() < 0.3
    colour = np.array([0.62, 0.5, 0.38] if blond else [0.16, 0.11, 0.1], np.float32) * float(rng.uniform(0.7, 1.2))
    direction, spread = rng.uniform(0.0, np.pi), rng.uniform(0.15, 0.8)
    width = float(rng.uniform(0.004, 0.011)) * side
    opacity = float(rng.uniform(0.35, 0.9)) * min(1.0, width)
    canvas = np.zeros((side, side), np.float32)
    steps = np.linspace(-0.5, 0.5, 10)
    for _ in range(1 + int(rng.geometric(0.2))):
        middle = rng.uniform(-0.1, 1.1, 2)
        angle, bend, length = direction + rng.normal(0.0, spread), rng.normal(0.0, 0.9), rng.uniform(0.3, 1.4)
        headings = angle + bend * steps
        path = middle + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0) * (length / len(steps))
        path -= length / 2 * np.array([np.cos(angle), np.sin(angle)])
        fixed = np.round(path * side * 16).astype(np.int32)
        cv2.polylines(canvas, [fixed], False, opacity, max(1, round(width)), cv2.LINE_AA, shift=4)
    return photo + canvas[..., None] * (colour - photo)


def _bubbles(photo: Photo, x: Field, y: Field, rng: np.random.Generator) -> Photo:
    for _ in range(int(rng.integers(1, 6))):
        centre, radius = rng.uniform(-1.0, 1.0, 2), float(rng.uniform(0.03, 0.13))
        distance = np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1])) / radius
        rim = np.exp(-(((distance - 1.0) / 0.12) ** 2))
        glint = np.exp(
            -((np.hypot(x - np.float32(centre[0] - 0.4 * radius), y - np.float32(centre[1])) / (0.2 * radius)) ** 2)
        )
        photo = photo * (1.0 - 0.22 * rim[..., None]) + 0.35 * glint[..., None] * (1.0 - photo)
    return photo


def _ruler(photo: Photo, rng: np.random.Generator) -> Photo:
    import cv2

    side = photo.shape[0]
    canvas = np.zeros((side, side), np.float32)
    edge, inset = int(rng.integers(4)), float(rng.uniform(0.0, 0.12))
    gap, start = float(rng.uniform(0.045, 0.1)), float(rng.uniform(0.0, 0.1))
    for number, at in enumerate(np.arange(start, 1.0, gap)):
        length = 0.1 if number % 5 == 0 else 0.055
        ends = np.array([[at, inset], [at, inset + length]])
        if edge % 2:
            ends = ends[:, ::-1]
        if edge > 1:
            ends = 1.0 - ends
        fixed = np.round(ends * side * 16).astype(np.int32)
        cv2.polylines(canvas, [fixed], False, 0.85, max(1, round(0.007 * side)), cv2.LINE_AA, shift=4)
    return photo * (1.0 - canvas[..., None] * np.float32(0.85))
