"""Preprocessing: a declared chain of steps from a photo at any size to a square of the cohort's size.

A chain is a list such as `[hair, {step: gamma, gamma: 1.5}, resize]`. Steps before `resize` work on the photo as it is
in the source, steps after it on the square; a chain that does not name it ends with it. Every step is deterministic,
and the whole chain stands in the cohort's card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field

from dermsynth.core.config import Config, parse_named

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Seen = tuple["Image", "Image | None"]
"""A photo in RGB and the mask of its lesion, 1 on it, or None."""


class Resize(Config):
    """To a square: cut to the central square, padded with black, or squashed."""

    step: Literal["resize"] = "resize"
    fit: Literal["crop", "pad", "squash"] = "crop"
    """How a photo becomes a square."""
    interpolation: Literal["bicubic", "bilinear", "area"] = "bicubic"
    """All of them antialiased: every pixel of the source counts."""

    def apply(self, image: Image, mask: Image | None, size_px: int) -> Seen:
        """Return both as squares of `size_px`."""
        from PIL import Image

        ways = {
            "bicubic": Image.Resampling.BICUBIC,
            "bilinear": Image.Resampling.BILINEAR,
            "area": Image.Resampling.BOX,
        }
        return self._fitted(image, size_px, ways[self.interpolation]), (
            None if mask is None else self._fitted(mask, size_px, Image.Resampling.NEAREST)
        )

    def _fitted(self, image: Image, size_px: int, way: Any) -> Image:
        from PIL import Image

        width, height = image.size
        if self.fit == "pad":
            scale = size_px / max(width, height)
            inner = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), way)
            square = Image.new(image.mode, (size_px, size_px))
            square.paste(inner, ((size_px - inner.width) // 2, (size_px - inner.height) // 2))
            return square
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side) if self.fit == "crop" else None
        return image.resize((size_px, size_px), way, box=box)


class LesionCrop(Config):
    """Cut to the square around the lesion, where the source has a mask of it; other photos stay as they are."""

    step: Literal["lesion-crop"] = "lesion-crop"
    margin: float = Field(0.2, ge=0, le=2)
    """What is kept on each side, as a share of the lesion's longer side; less at the photo's edge."""

    def apply(self, image: Image, mask: Image | None, size_px: int) -> Seen:
        """Return both, cut; a square that fits inside the photo is moved inside it."""
        box = None if mask is None else mask.getbbox()
        if mask is None or box is None:
            return image, mask
        left, top, right, bottom = box
        side = min(round(max(right - left, bottom - top) * (1 + 2 * self.margin)), *image.size)
        x = min(max((left + right - side) // 2, 0), image.width - side)
        y = min(max((top + bottom - side) // 2, 0), image.height - side)
        window = (x, y, x + side, y + side)
        return image.crop(window), mask.crop(window)


class Bilateral(Config):
    """Bilateral filter (Tomasi and Manduchi 1998): smooths noise and skin texture, keeps edges. Paper 003 uses one."""

    step: Literal["bilateral"] = "bilateral"
    diameter_px: int = Field(9, ge=3, le=31)
    """Of the window."""
    sigma_colour: float = Field(75.0, gt=0)
    """In grey levels, 0 to 255: larger ones average over stronger edges."""
    sigma_space_px: float = Field(75.0, gt=0)
    """Larger ones average over a wider window."""

    def apply(self, image: Image, mask: Image | None, size_px: int) -> Seen:
        """Return the filtered image."""
        import cv2

        smooth = cv2.bilateralFilter(_array(image), self.diameter_px, self.sigma_colour, self.sigma_space_px)
        return _image(smooth), mask


class Gamma(Config):
    """Gamma correction O = I^(1 / gamma) for values in [0, 1]: above 1 brightens. Paper 003 uses 1.5."""

    step: Literal["gamma"] = "gamma"
    gamma: float = Field(1.5, gt=0, le=10)
    """Above 1 brightens."""

    def apply(self, image: Image, mask: Image | None, size_px: int) -> Seen:
        """Return the image with every value replaced."""
        levels = np.round(255 * (np.arange(256) / 255) ** (1 / self.gamma)).astype(np.uint8)
        return image.point(levels.tolist() * 3), mask


class HairRemoval(Config):
    """Finds dark hairs by a black-hat transform and paints them over (after DullRazor, Lee et al. 1997).

    What is darker than its surroundings over less than `width` of the shorter side, by more than `contrast`, and is
    longer than `length` of that side counts as hair; it is filled from what lies around it (Telea 2004). Fine networks
    of pigment are shorter and mostly stay.
    """

    step: Literal["hair"] = "hair"
    width: float = Field(0.03, gt=0, le=0.2)
    """Of the widest hair, as a share of the shorter side."""
    contrast: float = Field(12.0, gt=0, lt=255)
    """In grey levels."""
    length: float = Field(0.12, ge=0, le=1)
    """Of the shortest hair, as a share of the shorter side."""

    def apply(self, image: Image, mask: Image | None, size_px: int) -> Seen:
        """Return the image without hairs."""
        import cv2

        pixels = _array(image)
        hairs = self.hairs(pixels)
        if not hairs.any():
            return image, mask
        radius = max(1.0, self.width * min(pixels.shape[:2]) / 4)
        return _image(cv2.inpaint(pixels, hairs, radius, cv2.INPAINT_TELEA)), mask

    def hairs(self, pixels: Pixels) -> Pixels:
        """Return where hairs are, H x W, 0 or 1, of H x W x 3 uint8."""
        import cv2

        side = min(pixels.shape[:2])
        reach = max(3, round(self.width * side) | 1)
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        hat = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        found = (hat > self.contrast).astype(np.uint8)
        _, names, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
        width, height = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
        # A hair, or several that cross, fill little of the box around them, unless that is as thin as the hair.
        thin = (stats[:, cv2.CC_STAT_AREA] < 0.3 * width * height) | (np.minimum(width, height) <= 2 * reach)
        kept = (np.hypot(width, height) > self.length * side) & thin
        kept[0] = False
        hairs = kept[names].astype(np.uint8)
        # The rim of a hair is blurred: without it, its shadow would stay.
        return np.asarray(cv2.dilate(hairs, np.ones((3, 3), np.uint8)), np.uint8)


class ShadesOfGrey(Config):
    """Colour constancy (Finlayson and Trezzi 2004): divides by the light, estimated as a Minkowski mean.

    Barata et al. (2015) found that it helps classifiers of dermoscopy images from several sources.
    """

    step: Literal["shades-of-grey"] = "shades-of-grey"
    norm: float = Field(6.0, ge=1, le=100)
    """1 is the grey world; towards infinity, the brightest value."""

    def apply(self, image: Image, mask: Image | None, size_px: int) -> Seen:
        """Return the image under white light of the same mean strength."""
        levels = np.arange(256) / 255
        counts = np.array(image.histogram(), dtype=np.float64).reshape(3, 256)
        light = ((counts * levels**self.norm).sum(axis=1) / counts.sum(axis=1)) ** (1 / self.norm)
        if not light.all():
            return image, mask
        gains = np.sqrt((light**2).mean()) / light
        table = np.clip(np.round(255 * levels * gains[:, None]), 0, 255).astype(np.uint8)
        return image.point(table.ravel().tolist()), mask


Step = Annotated[
    Resize | LesionCrop | Bilateral | Gamma | HairRemoval | ShadesOfGrey,
    Field(discriminator="step"),
    BeforeValidator(lambda value: {"step": value} if isinstance(value, str) else value),
]
STEPS: dict[str, type[Config]] = {kind.model_fields["step"].default: kind for kind in get_args(get_args(Step)[0])}


def _with_resize(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    names = [step.step for step in steps]
    if names.count("resize") > 1:
        raise ValueError("'resize' stands twice in the chain; keep one")
    if "resize" not in names:
        return (*steps, Resize())
    if "lesion-crop" in names[names.index("resize") :]:
        raise ValueError("'lesion-crop' after 'resize' would change the size; put it before")
    return steps


Chain = Annotated[tuple[Step, ...], AfterValidator(_with_resize)]
"""Steps in their order, exactly one of them `resize`; a bare name stands for a step with its defaults."""
DEFAULT_CHAIN: tuple[Step, ...] = (Resize(),)


def chain_of(texts: Sequence[str]) -> tuple[Step, ...]:
    """Return the chain of texts such as `hair` and `gamma:gamma=1.5,…`, the command line's way of writing steps.

    Raises:
        ConfigError: an unknown step or setting, with the nearest known one.
    """
    from dermsynth.core.errors import ConfigError

    steps: Any = tuple(parse_named(text, STEPS, "step") for text in texts)
    try:
        return _with_resize(steps)
    except ValueError as error:
        raise ConfigError(f"--step: {error}") from None


def apply(chain: Sequence[Step], image: Image, mask: Image | None, size_px: int) -> tuple[Pixels, Pixels | None]:
    """Return image and mask after all steps: size x size x 3 and size x size, uint8."""
    for step in chain:
        image, mask = step.apply(image, mask, size_px)
    return _array(image), None if mask is None else _array(mask)


def _array(image: Image) -> Pixels:
    return np.asarray(image)


def _image(pixels: Any) -> Image:
    from PIL import Image

    return Image.fromarray(pixels)
