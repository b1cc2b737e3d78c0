"""Takes one photo of one lesion: geometry, painting, exposure, artefacts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom import artefacts, lesions, skin, structures, vessels
from dermsynth.cohorts.sources.phantom.signs import draw_signs
from dermsynth.cohorts.sources.phantom.textures import Field, Points
from dermsynth.core.randomness import numpy_generator

SUPERSAMPLING = 2


def photograph(
    seed: int, lesion: int, photo: int, label: str, overlap: float, coat: skin.Skin, size_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return image (size x size x 3, uint8, RGB) and lesion mask (size x size, uint8, 0 or 1).

    Args:
        seed, lesion, photo: Everything random depends on these three numbers alone.
        label: The lesion's class.
        overlap: See `draw_signs`.
        coat: The patient's skin.
        size_px: Side of the image. The same photo at another size shows the same scene.
    """
    import cv2

    signs = draw_signs(label, overlap, numpy_generator(seed, "phantom signs", lesion))
    house = numpy_generator(seed, "phantom lesion", lesion)
    plan = lesions.draw_plan(house)
    moment = numpy_generator(seed, f"phantom photo {photo}", lesion)
    camera = skin.draw_camera(coat, house, moment)

    side = size_px * SUPERSAMPLING
    x, y = _grid(side)
    turn, shift = _placement(moment)
    inverse = np.linalg.inv(turn)
    a, b, c, d = (float(value) for value in inverse.ravel())
    left, top = x - float(shift[0]), y - float(shift[1])
    zoom = float(np.sqrt(abs(np.linalg.det(turn))))
    points = Points(a * left + b * top, c * left + d * top, 2.0 / side / zoom)

    densities = skin.bare(coat, points, plan.offsets)
    shape = lesions.outline(signs, plan, points)
    structures.paint(lesions.base(signs, plan, shape, points), densities)
    half = side / 2
    vessels.draw_vessels(
        densities, signs, numpy_generator(seed, "phantom vessels", lesion), turn * half, (shift + 1.0) * half - 0.5
    )
    image = skin.expose(densities, camera, x, y)
    image = artefacts.cover_up(image, x, y, moment)
    level = cv2.resize(shape.level, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return artefacts.record(image, camera.gamma, size_px, moment), (level > 0.0).astype(np.uint8)


def _placement(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how the skin lies under the lens: turned, mirrored never, zoomed and shifted (skin to image)."""
    angle, zoom = rng.uniform(0.0, 2 * np.pi), float(np.exp(rng.normal(0.0, 0.1)))
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn, rng.normal(0.0, 0.09, 2)


@lru_cache(maxsize=8)
def _grid(side: int) -> tuple[Field, Field]:
    """Return the pixels' positions in half widths, from -1 (left, top) to 1."""
    position = ((np.arange(side) + 0.5) * (2.0 / side) - 1.0).astype(np.float32)
    y, x = np.meshgrid(position, position, indexing="ij")
    return x, y
