"""Near-duplicates: the same photograph again, resized, recompressed, mirrored, turned or cropped a little.

Dermoscopy images look alike, a dark blob in the middle of bright skin, so most bits of a usual perceptual hash are the
same in all of them. Three sieves, each dearer than the one before and run on what passed it:

1. Eight low frequencies that no mirror or turn changes, each in units of what the alterations change it by; a k-d tree
   finds for every window of an image the whole images that look like it.
2. The lowest frequencies of the brightness, compared under the eight symmetries of the square.
3. The pixels, aligned (ECC: Evangelidis and Psarakis, PAMI 30:1858, 2008) and correlated after local contrast
   normalisation: the skin and the hair have to agree everywhere, not only a blob with a blob.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.stack import ImageStack
from dermsynth.core.cores import cores

SIMILAR = 0.75
"""Least similarity of a pair that is reported; `benchmarks/duplicates.py` measures what it finds and misses."""

Array = NDArray[np.float32]

_SIDE_PX, _CHUNK, _FREQUENCIES = 64, 256, 8
_WINDOWS = [(1.0, 0.0, 0.0)] + [
    (side, x, y) for side in (0.92, 0.85) for y in (0, (1 - side) / 2, 1 - side) for x in (0, (1 - side) / 2, 1 - side)
]
"""Side and corner of the squares, in parts of the image, that a crop is compared with."""

# (channel, frequencies, tolerance in grey levels): sums that the symmetries of the square leave as they are. The
# tolerance is the standard deviation between a crop, recompressed and 5 % brighter, and the nearest window of HAM10000.
_SIGNATURE = (
    (0, (0, 2), 1.3),
    (0, (0, 4), 0.8),
    (1, (0, 0), 0.95),
    (1, (0, 2), 0.26),
    (1, (2, 2), 0.19),
    (2, (0, 0), 0.5),
    (2, (0, 2), 0.24),
    (2, (2, 2), 0.19),
)
_RADIUS = 6.0  # in tolerances; of 2,100 altered copies of HAM10000 two lie outside
_NEAREST, _VERIFIED = 16, 8  # images looked at per window, pairs per image: the cost does not grow with the square
_UNLIKE = 0.06  # of the energy of both shapes; of these copies one differs by more
_LEAST_ENERGY = 2.0  # squared grey levels: an image without structure has nothing to be recognised by
_COARSE_PX, _COARSE_SIMILAR = 32, 0.35
_BLUR_PX = 5  # before aligning
_STEPS = {_COARSE_PX: 20, _SIDE_PX: 15}


class Symmetry(NamedTuple):
    """One of the eight symmetries of the square: first mirrored (left to right) or not, then turned anticlockwise."""

    mirrored: bool
    turns: int

    @property
    def name(self) -> str:
        """Return `same`, `mirrored`, `turned by 90°`, `mirrored, turned by 90°`, …."""
        parts = ["mirrored"] * self.mirrored + [f"turned by {90 * self.turns}°"] * (self.turns > 0)
        return ", ".join(parts) or "same"

    @property
    def inverse(self) -> Symmetry:
        """Return the symmetry that undoes this one."""
        return self if self.mirrored else Symmetry(False, -self.turns % 4)

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return an image (H x W x …) so changed."""
        return np.ascontiguousarray(np.rot90(image[:, ::-1] if self.mirrored else image, self.turns))


SYMMETRIES = tuple(Symmetry(mirrored, turns) for mirrored in (False, True) for turns in range(4))


def near_duplicates(
    images: ImageStack,
    others: ImageStack | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pl.DataFrame:
    """Return the pairs of images that show the same photograph, or one that could be taken for it.

    Found are copies that were resized, recompressed, mirrored, turned by 90, 180 or 270 degrees, made 5 % brighter or
    darker, or cropped to at least 85 % of the side, and any of these together; also two photographs of a lesion in the
    same position. Images without structure have no duplicates. Pixels are read chunk by chunk; what is kept is about
    300 bytes per image. The cost per image is bounded however many there are, but for the look-up in a k-d tree: of
    many copies of one image only the nearest eight of each are reported.

    Args:
        images: N x H x W x 3, uint8.
        others: Compare with these, of any size, instead of with each other.
        threads: All cores that this process may use by default. The result does not depend on it.
        progress: Called with images done and images in all.

    Returns:
        A row per pair, in their order: `a` and `b` (row numbers; b of `others`, or a < b), `transform` (what was done
        to a to get b, see `Symmetry.name`) and `similarity` (from `SIMILAR` to 1: correlation of aligned details).
    """
    threads = threads or cores()
    # A crop is found by comparing the windows of the whole with the whole of the crop, and either may be the crop.
    sides = [(images, images)] if others is None else [(images, others), (others, images)]
    total, done, found = sum(len(left) for left, _ in sides), 0, []
    for reverse, (left, right) in enumerate(sides):
        index = _Index.of(_spectra(pixels, _WINDOWS[:1])[:, 0] for _, pixels in _chunks(right))
        for start, pixels in _chunks(left):
            here = index.find(_spectra(pixels, _WINDOWS), threads).with_columns(pl.col("whole") + start)
            if others is None:
                here = here.filter(pl.col("whole") != pl.col("crop"))
                swap = pl.col("whole") > pl.col("crop")
            else:
                swap = pl.lit(bool(reverse))
            found.append(here.with_columns(swap=swap))
            done += len(pixels)
            progress(done, total)
    return _verified(pl.concat(found), images, images if others is None else others, threads)


@dataclass(frozen=True, eq=False)
class _Index:
    """The whole images of a stack, to be found by a window of another image."""

    tree: Any
    shapes: Array  # N x D
    norms: Array  # of the shapes
    rows: NDArray[np.int64]  # the row in the stack; images without structure are left out

    @classmethod
    def of(cls, spectra: Iterable[Array]) -> _Index:
        """Return the index of images by their spectra (chunks of n x 3 x frequencies)."""
        from scipy.spatial import cKDTree

        keys = [(_signatures(chunk), _shapes(chunk)) for chunk in spectra]
        signatures, shapes = (np.concatenate(parts) for parts in zip(*keys, strict=True))
        rows = np.flatnonzero(_energy(shapes) > _LEAST_ENERGY)
        return cls(cKDTree(signatures[rows]), shapes[rows], _norms(shapes[rows]), rows)

    def find(self, spectra: Array, threads: int) -> pl.DataFrame:
        """Return the candidates for the windows (n x windows x 3 x frequencies) of a chunk of images."""
        count = spectra.shape[1]
        signatures, shapes = _signatures(spectra), _shapes(spectra).reshape(len(spectra) * count, -1)
        near = self.tree.query(
            signatures.reshape(len(shapes), -1), k=range(1, _NEAREST + 1), distance_upper_bound=_RADIUS, workers=threads
        )[1]
        window, slot = np.nonzero(near < len(self.rows))
        crop = near[window, slot]
        possible = _least_differences(_norms(shapes)[window], self.norms[crop]) < _UNLIKE
        window, crop = window[possible], crop[possible]
        difference, symmetry = _differences(shapes[window], self.shapes[crop])
        columns = {
            "whole": window // count,
            "crop": self.rows[crop],
            "window": window % count,
            "symmetry": symmetry,
            "difference": difference,
        }
        return pl.DataFrame(columns).filter(pl.col("difference") < _UNLIKE)


def _chunks(images: ImageStack) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(images), _CHUNK):
        yield start, _reduced(images[np.arange(start, min(start + _CHUNK, len(images)))])


def _reduced(images: NDArray[np.uint8]) -> Array:
    """Return n x 64 x 64 x 3 float32."""
    import cv2

    side = images.shape[1]
    if side == _SIDE_PX:
        return images.astype(np.float32)
    how = cv2.INTER_AREA if side > _SIDE_PX else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=how) for image in images]).astype(np.float32)


def _spectra(pixels: Array, windows: Sequence[tuple[float, float, float]]) -> Array:
    """Return the cosine transform of windows: n x windows x 3 (grey, red-green, yellow-blue) x frequencies y x x."""
    red, green, blue = np.moveaxis(pixels, 3, 0)
    planes = np.stack([(red + green + blue) / 3, (red - green) / 2, (red + green - 2 * blue) / 4], axis=1)
    ranges = sorted({(side, at) for side, *corner in windows for at in corner})
    cosines = np.stack([_cosines(*found) for found in ranges])
    columns = {found: planes @ cosine.T for found, cosine in zip(ranges, cosines, strict=True)}
    rows = dict(zip(ranges, cosines, strict=True))
    return np.stack([rows[side, y] @ columns[side, x] for side, x, y in windows], axis=1)


@cache
def _cosines(side: float, at: float) -> Array:
    """Return frequencies x 64: the cosine transform (DCT-II) of a part of a line, read by linear interpolation."""
    samples = 4 * _SIDE_PX
    t = (np.arange(samples) + 0.5) / samples
    place = np.clip((at + side * t) * _SIDE_PX - 0.5, 0, _SIDE_PX - 1)
    read = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(_SIDE_PX)))
    order = np.arange(_FREQUENCIES)[:, None]
    waves = np.cos(np.pi * order * t) * np.where(order, np.sqrt(2), 1) / samples
    return np.asarray(waves @ read, np.float32)


def _signatures(spectra: Array) -> Array:
    """Return … x 8 of … x 3 x frequencies, in tolerances."""
    sums = [
        (spectra[..., c, u, v] + spectra[..., c, v, u]) / (np.sqrt(2) if u != v else 2) / tolerance
        for c, (u, v), tolerance in _SIGNATURE
    ]
    return np.stack(sums, axis=-1)


_ORDER = np.add.outer(np.arange(_FREQUENCIES), np.arange(_FREQUENCIES))
_V, _U = np.nonzero((_ORDER > 0) & (_ORDER < _FREQUENCIES))
_MIRROR = np.lexsort((_V, _U))  # where the frequency with y and x exchanged stands


def _shapes(spectra: Array) -> Array:
    """Return … x D of … x 3 x frequencies: the lowest frequencies of the brightness, without its mean."""
    return np.ascontiguousarray(spectra[..., 0, _V, _U])


def _energy(shapes: Array) -> Array:
    return np.asarray(np.einsum("...d,...d->...", shapes, shapes), np.float32)


def _least_differences(windows: Array, wholes: Array) -> Array:
    """Return a lower bound of `_differences` from the norms of pairs of shapes."""
    return _energy(windows - wholes) / (_energy(windows) + _energy(wholes))


def _norms(shapes: Array) -> Array:
    """Return what no symmetry changes: the norm of a frequency and its mirror image."""
    squares = shapes * shapes
    return np.asarray(np.sqrt(np.where(_V == _U, squares, squares + squares[:, _MIRROR])[:, _V >= _U]), np.float32)


@cache
def _action(symmetry: Symmetry) -> tuple[NDArray[np.intp], Array]:
    """Return (order, sign): the shape of a changed image is `sign * shape[order]`."""
    number = np.zeros((_FREQUENCIES, _FREQUENCIES), np.intp)
    number[_V, _U] = np.arange(len(_V))
    odd = np.where(np.arange(_FREQUENCIES) % 2, -1.0, 1.0).astype(np.float32)
    sign = np.tile(odd if symmetry.mirrored else np.ones_like(odd), (_FREQUENCIES, 1))
    for _ in range(symmetry.turns):  # a turn swaps the axes and then flips y
        number, sign = number.T, sign.T * odd[:, None]
    return number[_V, _U], sign[_V, _U]


def _differences(windows: Array, wholes: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return for pairs of shapes (M x D) their least relative difference, and the number of the symmetry of it."""
    energy = _energy(windows) + _energy(wholes)
    alike = np.stack(
        [
            np.einsum("md,md->m", windows, wholes[:, order] * sign)
            for order, sign in (_action(symmetry) for symmetry in SYMMETRIES)
        ]
    )
    best = alike.argmax(axis=0)
    return 1 - 2 * alike[best, np.arange(len(best))] / energy, best


def _verified(candidates: pl.DataFrame, images: ImageStack, others: ImageStack, threads: int) -> pl.DataFrame:
    """Return the pairs that the pixels confirm; every pair once, from the window that fits best."""
    ordered = candidates.with_columns(
        a=pl.when("swap").then("crop").otherwise("whole"), b=pl.when("swap").then("whole").otherwise("crop")
    ).sort("difference", "a", "b", "window", "symmetry", "swap")
    nearest = pl.min_horizontal(pl.int_range(pl.len()).over(side) for side in ("a", "b")) < _VERIFIED
    pairs = ordered.unique(["a", "b"], keep="first", maintain_order=True).filter(nearest).sort("a", "b")
    agreed: list[float] = []
    with _one_thread_of_opencv(), ThreadPoolExecutor(threads) as pool:
        for part in pairs.iter_slices(_CHUNK):
            first, second = _of_rows(images, part["a"]), _of_rows(others, part["b"])
            tasks = [
                (second[b], first[a], window, symmetry) if swap else (first[a], second[b], window, symmetry)
                for a, b, window, symmetry, swap in part.select("a", "b", "window", "symmetry", "swap").iter_rows()
            ]
            agreed += pool.map(_similarity_of, tasks)
    made = [
        (symmetry if swap else symmetry.inverse).name
        for symmetry, swap in zip((SYMMETRIES[g] for g in pairs["symmetry"]), pairs["swap"], strict=True)
    ]
    transform, similarity = pl.Series(made, dtype=pl.String), pl.Series(agreed, dtype=pl.Float64)
    return pairs.select("a", "b", transform=transform, similarity=similarity).filter(similarity >= SIMILAR)


@contextlib.contextmanager
def _one_thread_of_opencv() -> Iterator[None]:
    """Stop OpenCV from spreading images of 64 pixels over threads of its own, which costs a third more."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _of_rows(images: ImageStack, rows: pl.Series) -> dict[int, Array]:
    wanted = rows.unique().sort().to_numpy()
    return dict(zip(wanted.tolist(), _reduced(images[wanted]), strict=True))


def _similarity_of(task: tuple[Array, Array, int, int]) -> float:
    """Return how well the best aligned details of a whole image (64 x 64 x 3) and a crop of it agree, 0 to 1."""
    import cv2

    whole, crop, window, symmetry = task
    first = whole.mean(axis=2)
    second = SYMMETRIES[symmetry].apply(crop.mean(axis=2))
    side, x, y = _WINDOWS[window]
    warp = np.array([[side, 0, x * _SIDE_PX + (side - 1) / 2], [0, side, y * _SIDE_PX + (side - 1) / 2]], np.float32)
    # Most candidates are other lesions: a quarter of the pixels tells so.
    small, ratio = (_COARSE_PX, _COARSE_PX), _COARSE_PX / _SIDE_PX
    coarse = [np.asarray(cv2.resize(each, small, interpolation=cv2.INTER_AREA), np.float32) for each in (first, second)]
    warp, agreement = _aligned(coarse[0], coarse[1], _scaled(warp, ratio))
    if agreement > _COARSE_SIMILAR:
        agreement = _aligned(first, second, _scaled(warp, 1 / ratio))[1]
    return round(max(0.0, agreement), 3)


def _scaled(warp: Array, ratio: float) -> Array:
    """Return a warp for images of another size; pixels are counted by their centres."""
    linear, shift = warp[:, :2], warp[:, 2:]
    centre = np.full((2, 1), 0.5, np.float32)
    return np.hstack([linear, (shift + centre - linear @ centre) * ratio - centre + linear @ centre]).astype(np.float32)


def _aligned(first: Array, second: Array, warp: Array) -> tuple[Array, float]:
    """Return the affine map from the second image into the first that aligns them, and how well they then agree."""
    import cv2

    steps = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS[len(first)], 1e-4)
    found = [warp]  # it may be right already, and on faint skin the search wanders off
    with contextlib.suppress(cv2.error):  # raised where the images do not even correlate
        everywhere = np.ones(first.shape, np.uint8)
        moved = cv2.findTransformECC(second, first, warp.copy(), cv2.MOTION_AFFINE, steps, everywhere, _BLUR_PX)[1]
        found.append(np.asarray(moved, np.float32))
    agreements = [_agreement(first, second, each) for each in found]
    best = int(np.argmax(agreements))
    return found[best], agreements[best]


def _agreement(first: Array, second: Array, warp: Array) -> float:
    """Return the correlation of the details, with equal weight on faint and strong ones, where the images overlap."""
    import cv2

    side, border = len(first), len(first) // 32
    size = (side, side)
    moved = cv2.warpAffine(
        first, warp, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    inside = cv2.warpAffine(np.ones(size, np.float32), warp, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP) > 0.99
    shared = np.zeros(size, np.bool_)
    shared[border:-border, border:-border] = inside[border:-border, border:-border]
    if shared.mean() < 0.5:
        return 0.0
    one, other = (_details(np.asarray(image, np.float32), shared)[shared] for image in (moved, second))
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / spread if spread else 0.0


def _details(image: Array, shared: NDArray[np.bool_]) -> Array:
    """Return what is between 0.7 and 3 pixels wide, in units of how strong such details are around."""
    import cv2

    details = cv2.GaussianBlur(image, (0, 0), 0.7) - cv2.GaussianBlur(image, (0, 0), 3.0)
    weight = shared.astype(np.float32)
    power = cv2.GaussianBlur(details * details * weight, (0, 0), 4.0) / (
        cv2.GaussianBlur(weight, (0, 0), 4.0) + np.float32(1e-6)
    )
    noise = np.float32(1.0)  # grey levels: what recompression leaves on smooth skin
    return np.asarray(details / (np.sqrt(np.maximum(power, 0)) + noise), np.float32)
