"""Do generated images show what the discriminator's images were altered by?

A generator may learn to make what augmentation makes: grey squares (cutout), grey or mirrored borders (translation,
rotation), colours and brightness that no real image has. For each of these traces an image gets a score; a score that
one real image in a hundred exceeds counts as a trace, and the share of generated images that show it is compared with
that of other real images, the floor.

What it does not see: borders mirrored at an angle, as arbitrary rotations make them, and flips and quarter turns, which
are no trace in dermoscopy. Of 1,000 HAM10000 images at 64 px, 100 altered ones were found for each of cutout,
translation, ADA's blits, its colours and its hues, and none for its geometry.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dermsynth.core.errors import InputError

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_FEWEST = 100
_USUAL = 0.99
"""The share of real images, and of their pixels' colours, that counts as usual."""
_QUANTILE = 2.576
"""Five traces are looked at: an interval of 99 % for each keeps false alarms at 1 in 40."""
_FILL = 127.5
"""Grey, the 0 of images in [-1, 1]: what cutout and translation put in."""
_BINS = 32
_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Trace:
    """How often an alteration shows.

    Attributes:
        synthetic: Share of generated images that show it, in [0, 1].
        real: Share of other real images that show it: the floor, around 0.01.
        low: Lower end of the 99 % interval of synthetic - real; `high`: its upper end (Newcombe 1998, method 10).
    """

    synthetic: float
    real: float
    low: float
    high: float

    @property
    def found(self) -> bool:
        """Return whether generated images show it more often than real ones."""
        return self.low > 0


def augmentation_traces(synthetic: Images, reference: Images, control: Images) -> dict[str, Trace]:
    """Return for every kind of trace how often generated images show it, beside real ones.

    `grey_fill`: a square of an eighth of the side that is nearly mid-grey. `mirrored_border`: the outer part of a side
    mirrors what lies beside it. `unusual_colour`: many pixels of colours that 99 % of the real pixels do not have.
    `inverted`: a centre lighter than its surroundings, where lesions are darker than skin. `exposure`: too bright or
    too dark. A bad generator may have odd colours without any augmentation, so compare with a run that has none.

    Args:
        synthetic: uint8 n x S x S x 3, S at least 16.
        reference: Real images, which say what is usual; at least 100.
        control: Other real images, of the classes of the generated ones; at least 100.

    Raises:
        InputError: sets of another type or size, or too few images.
    """
    for name, images in (("synthetic", synthetic), ("reference", reference), ("control", control)):
        _check(name, images, reference)
    found = {}
    for name, score in trace_scores(reference).items():
        usual = np.quantile(score(reference), _USUAL)
        shares = [float((score(images) > usual).mean()) for images in (synthetic, control)]
        low, high = _difference(shares[0], len(synthetic), shares[1], len(control))
        found[name] = Trace(shares[0], shares[1], low, high)
    return found


def trace_scores(reference: Images) -> dict[str, Callable[[Images], Floats]]:
    """Return for every kind of trace the function from images of one size to scores (n,): larger shows it more.

    Units: `grey_fill` 0 for mid-grey, less for what differs; `mirrored_border` a correlation, `unusual_colour` a share
    of the pixels, `inverted` and `exposure` grey levels.

    Args:
        reference: Real images, which say what is usual.
    """
    return {
        "grey_fill": _grey_fill,
        "mirrored_border": _mirrored_border,
        "unusual_colour": _unusual_colour(reference),
        "inverted": _inverted,
        "exposure": _exposure(reference),
    }


def _check(name: str, images: Images, reference: Images) -> None:
    size = images.shape[1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or size < 16 or images.shape[1:] != (size, size, 3):
        raise InputError(
            f"{name} images are {images.dtype} {images.shape}; expected uint8 n x S x S x 3, S at least 16"
        )
    if images.shape[1:] != reference.shape[1:]:
        raise InputError(f"{name} images have {size} px and the reference {reference.shape[1]} px; use one size")
    if len(images) < _FEWEST:
        raise InputError(f"{len(images)} {name} images; at least {_FEWEST} say how often one in a hundred occurs")


def _grey_fill(images: Images) -> Floats:
    """Return how near, at its nearest, a square of an eighth of the side comes to mid-grey: 0 is grey, less is not."""
    side = images.shape[1] // 8
    distance = ((images - _FILL) ** 2).mean(axis=3)
    sums = np.pad(distance.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    squares = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    nearest: Floats = -squares.min(axis=(1, 2))
    return nearest


def _mirrored_border(images: Images) -> Floats:
    """Return the largest correlation of the slopes of an outer strip with those mirrored beside it, over its widths.

    Slopes and not values, since neighbouring parts of any image have similar values; in a mirror slopes change sign.
    """
    luminance = images @ _LUMINANCE
    size = luminance.shape[1]
    best = np.zeros(len(images))
    for turned in (luminance, luminance.transpose(0, 2, 1)):
        slopes = np.diff(turned, axis=2)
        for way in (slopes, -slopes[:, :, ::-1]):
            for width in range(max(3, size // 16), size // 4 + 1):
                outer, inner = way[:, :, width - 2 :: -1], way[:, :, width : 2 * width - 1]
                product = -(outer * inner).sum(axis=(1, 2))
                energy = np.sqrt((outer**2).sum(axis=(1, 2)) * (inner**2).sum(axis=(1, 2)))
                best = np.maximum(best, product / np.maximum(energy, 1e-9))
    return best


def _unusual_colour(reference: Images) -> Callable[[Images], Floats]:
    """Return a score: the share of an image's pixels of hue and saturation that 99 % of the reference do not have."""
    counts = np.bincount(_colour_bins(reference).ravel(), minlength=_BINS**2).reshape(_BINS, _BINS)
    # A pixel beside usual colours is no sign of anything.
    padded = np.pad(counts, 1)
    smooth = sliding_window_view(padded, (3, 3)).mean(axis=(2, 3)).ravel()
    order = np.argsort(smooth)
    rare = np.zeros(_BINS**2, dtype=bool)
    rare[order[counts.ravel()[order].cumsum() <= (1 - _USUAL) * counts.sum()]] = True
    return lambda images: rare[_colour_bins(images)].mean(axis=(1, 2))


def _colour_bins(images: Images) -> npt.NDArray[np.intp]:
    """Return the bin of red minus blue and green minus their mean of every pixel."""
    red, green, blue = (images[..., channel].astype(np.int16) for channel in range(3))
    across, along = (red - blue + 256) * _BINS // 512, (2 * green - red - blue + 512) * _BINS // 1024
    return (across * _BINS + along).astype(np.intp)


def _inverted(images: Images) -> Floats:
    """Return by how much the centre, half as wide as the image, is lighter than what surrounds it, in grey levels."""
    luminance = images @ _LUMINANCE
    edge = luminance.shape[1] // 4
    inside = luminance[:, edge:-edge, edge:-edge]
    outside = (luminance.sum(axis=(1, 2)) - inside.sum(axis=(1, 2))) / (luminance[0].size - inside[0].size)
    lighter: Floats = inside.mean(axis=(1, 2)) - outside
    return lighter


def _exposure(reference: Images) -> Callable[[Images], Floats]:
    """Return a score: how far an image's mean brightness is from the reference's median, in grey levels."""
    middle = np.median((reference @ _LUMINANCE).mean(axis=(1, 2)))
    return lambda images: np.abs((images @ _LUMINANCE).mean(axis=(1, 2)) - middle)


def _difference(share: float, n: int, floor: float, m: int) -> tuple[float, float]:
    """Return the interval of share - floor of two independent samples from their Wilson intervals."""
    (low, high), (floor_low, floor_high) = _wilson(share, n), _wilson(floor, m)
    difference = share - floor
    below = math.hypot(share - low, floor_high - floor)
    above = math.hypot(high - share, floor - floor_low)
    return difference - below, difference + above


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = _QUANTILE
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)
