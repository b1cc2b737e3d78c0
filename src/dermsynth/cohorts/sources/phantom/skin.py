"""Skin, light and camera: everything that makes the colour of a photo besides the lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom.lesions import Densities
from dermsynth.cohorts.sources.phantom.textures import Field, Points, cells, clip, clouds, spots, swells

# Optical density per channel (red, green, blue) of one unit of melanin, blood and deep (blue-grey) pigment. Set so that
# the centres of nevi and angiomas are as much darker than their skin as the medians of HAM10000 are.
ABSORPTION = np.array([[0.43, 0.95, 1.13], [0.2, 1.0, 0.62], [1.15, 0.95, 0.6]], np.float32)
_WHITE = (0.93, 0.88, 0.88)


@dataclass(frozen=True)
class Skin:
    """The skin of a patient: densities of melanin and blood, and sun damage in [0, 1]."""

    melanin: float
    blood: float
    sun: float


@dataclass(frozen=True)
class Camera:
    """One exposure: absorption per pigment and channel, gain per channel, gamma, and how uneven the light is."""

    absorption: NDArray[np.float32]
    gain: NDArray[np.float32]
    gamma: float
    slope: tuple[float, float]
    vignette: float


def draw_skin(rng: np.random.Generator) -> Skin:
    """Draw a patient's skin; about one patient in ten has dark skin."""
    dark = rng.random() < 0.1
    light = float(rng.gamma(2.0, 0.045))
    melanin = float(rng.uniform(0.45, 1.2)) if dark else light
    blood = float(rng.uniform(0.07, 0.24)) * float(np.exp(-0.8 * melanin))
    return Skin(melanin, blood, float(rng.beta(1.0, 2.5)))


def draw_camera(skin: Skin, house: np.random.Generator, moment: np.random.Generator) -> Camera:
    """Draw an exposure: the practice's camera (`house`, per lesion) as set up at the `moment` (per photo).

    HAM10000 shows three habits: pink and bright, grey, and warm.
    """
    habit = int(house.choice(3, p=[0.52, 0.4, 0.08]))
    green, blue = ((-0.14, -0.09), (0.03, 0.09), (-0.05, -0.18))[habit]
    exposure = (0.05, -0.1, 0.02)[habit] + float(house.normal(0.0, 0.06))
    wobble = house.normal(0.0, 0.035, 2) + moment.normal(0.0, 0.02, 2)
    # Whoever takes the photo opens up for dark skin, though not all the way.
    exposure += float(moment.normal(0.0, 0.035)) + 0.35 * (skin.melanin - 0.1)
    gain = np.exp(np.array([exposure, exposure + green + wobble[0], exposure + blue + wobble[1]]))
    angle, slope = float(moment.uniform(0.0, 2 * np.pi)), float(moment.gamma(2.0, 0.025))
    gamma = float(np.exp(house.normal(0.0, 0.1)))
    vignette = float(moment.gamma(1.5, 0.06))
    absorption = ABSORPTION.copy()
    # Pigment reads from ochre to grey-brown, by its depth and the lamp.
    absorption[0, 0] = house.uniform(0.34, 0.6)
    return Camera(absorption, gain.astype(np.float32), gamma, (slope * np.cos(angle), slope * np.sin(angle)), vignette)


def bare(skin: Skin, points: Points, offsets: NDArray[np.float64]) -> Densities:
    """Return the densities of skin without a lesion: mottled, with pores, fine lines and sun spots."""
    mottle = swells(points, 0.6, offsets[16])
    fine = clouds(points, 0.1, offsets[17])
    web, distance, first, _ = cells(points, 0.05, offsets[18])
    melanin = skin.melanin * (1.0 + 0.035 * mottle[0] + 0.04 * fine[0] + 0.03 * web)
    melanin += 0.01 * fine[1] + 0.015
    blood = skin.blood * (1.0 + 0.07 * mottle[1] + 0.1 * fine[2] + 0.15 * skin.sun * fine[3])
    if skin.sun > 0.35:
        _, far, number, shade = cells(points, 0.16, offsets[19])
        melanin += 0.3 * skin.sun * spots(far + 0.08 * fine[0], number, 0.18 * skin.sun, 0.15 + 0.25 * shade, 0.3)
        redness = np.abs(clouds(points, 0.3, offsets[20])[0])
        blood += 0.16 * skin.sun * np.exp(-18.0 * redness * redness)
    pores = spots(distance, first, 0.12, 0.25, 0.2)
    return Densities(melanin, blood, np.zeros_like(blood), 0.1 * pores)


def expose(densities: Densities, camera: Camera, x: Field, y: Field) -> NDArray[np.float32]:
    """Return the light at the sensor as H x W x 3 in [0, 1].

    Beer-Lambert through the densities, then the lamp and the gains of the camera. `x` and `y` are the
    pixels' positions in half widths of the image.
    """
    import cv2

    opacity = clip(densities.white, 0.0, 0.9)
    light = 1.0 + camera.slope[0] * x + camera.slope[1] * y - camera.vignette * 0.5 * (x * x + y * y)
    planes = []
    for melanin, blood, deep, white, gain in zip(
        *camera.absorption.tolist(), _WHITE, camera.gain.tolist(), strict=True
    ):
        colour = np.exp(-melanin * densities.melanin - blood * densities.blood - deep * densities.deep)
        planes.append(np.minimum((0.95 * colour + opacity * (white - colour)) * light * gain, 1.0))
    return np.asarray(cv2.merge(planes), np.float32)
