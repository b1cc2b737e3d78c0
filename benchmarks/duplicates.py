"""Does the search for near-duplicates find altered copies, report nothing else, and stay cheap?

    python benchmarks/duplicates.py                        # cost per image at 1,000, 10,000 and 100,000 images
    python benchmarks/duplicates.py --real [--size 128]    # precision and recall on HAM10000, what it holds itself

Without `--real` the images are likenesses of drawn lesions, by their spectra: only the search for candidates is timed,
which is all whose cost could grow with the square; of them at most eight per image are looked at. With it, HAM10000
and ISIC 2018 Task 3 are read from $DERMSYNTH_DATA (default ../shared/data beside the checkout); 300 images per
alteration are altered and planted among the 10,015. A planted pair is right if both show the same lesion; between the
images themselves it cannot be said, so these pairs are listed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts import duplicates
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.duplicates import near_duplicates
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import source_config
from dermsynth.cohorts.sources.phantom import PhantomConfig, draw
from dermsynth.cohorts.stack import ImageStack

COPIES = 300
"""Per alteration."""
TERMS = 4
"""Drawn lesions in one likeness."""
SEARCHED = 5_120
"""Images that are looked up, at most; all are in the index."""
Image = NDArray[np.uint8]
T = TypeVar("T")
Alteration = Callable[[Image, np.random.Generator], Image]


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="measure on real images")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    if not arguments.real:
        growth(arguments.threads)
        return
    data = Path(os.environ.get("DERMSYNTH_DATA", Path(__file__).parents[2] / "shared" / "data"))
    with tempfile.TemporaryDirectory() as scratch:
        ham = read("ham10000", {"root": str(data / "ham10000")}, arguments.size, Path(scratch) / "ham")
        planted(ham, arguments.threads)
        image_level(ham)
        between_lesions(ham, arguments.threads)
        settings = {"root": str(data / "isic2018_task3"), "metadata": str(data / "ham10000")}
        isic = read("isic2018-task3", settings, arguments.size, Path(scratch) / "isic")
        overlap(isic, arguments.threads)
        same_photographs(ham, isic, arguments.threads)


def read(kind: str, settings: dict[str, Any], size_px: int, out: Path) -> Cohort:
    return ingest(source_config(kind, settings), size_px, out)


def growth(threads: int) -> None:
    """Time the search among likenesses of drawn lesions."""
    lesions = np.concatenate([photos.images for photos in draw(PhantomConfig(), 64)])
    drawn = np.concatenate([duplicates._spectra(pixels, duplicates._WINDOWS) for _, pixels in chunks(lesions)])
    print("    images  candidates/image  ms of processors/image")
    for count in (1_000, 10_000, 100_000):
        whole = [chunk[:, 0] for chunk in likenesses(drawn[:, :1], count)]
        index, _, indexing = timed(partial(duplicates._Index.of, whole))
        candidates, searching, searched = 0, 0.0, min(count, SEARCHED)
        for chunk in likenesses(drawn, searched):
            found, _, cpu = timed(partial(index.find, chunk, threads))
            candidates, searching = candidates + found.height - len(chunk), searching + cpu
        cost = 1000 * (indexing / count + searching / searched)
        print(f"{count:10,} {candidates / searched:17.1f} {cost:23.2f}")


def likenesses(drawn: NDArray[np.float32], count: int) -> Iterator[NDArray[np.float32]]:
    """Yield spectra of images with the mean and the covariance of drawn ones: a spectrum is linear in the pixels."""
    generator = np.random.default_rng(0)
    mean = drawn.mean(axis=0)
    for start in range(0, count, 256):
        size = min(256, count - start)
        rows = generator.integers(0, len(drawn), (size, TERMS))
        shares = generator.normal(0, TERMS**-0.5, (size, TERMS)).astype(np.float32)
        yield mean + np.einsum("nk,nkwcyx->nwcyx", shares, drawn[rows] - mean)


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return the result of `work`, and the seconds that it took by the clock and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def chunks(images: Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    yield from duplicates._chunks(ImageStack.of(images))


def resized(image: Image, generator: np.random.Generator) -> Image:
    side = int(len(image) * generator.uniform(0.5, 2.0))
    return to_side(to_side(image, side), len(image))


def recompressed(image: Image, generator: np.random.Generator) -> Image:
    quality = int(generator.integers(40, 91))
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def mirrored(image: Image, _: np.random.Generator) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def turned(image: Image, generator: np.random.Generator) -> Image:
    return np.ascontiguousarray(np.rot90(image, int(generator.integers(1, 4))))


def cropped(image: Image, generator: np.random.Generator) -> Image:
    side = round(len(image) * generator.uniform(0.85, 0.97))
    y, x = generator.integers(0, len(image) - side + 1, 2)
    return to_side(image[y : y + side, x : x + side], len(image))


def toned(image: Image, generator: np.random.Generator) -> Image:
    contrast, brightness = generator.uniform(0.95, 1.05), generator.uniform(-5, 5)
    return np.asarray(np.clip(image * contrast + brightness, 0, 255), np.uint8)


def everything(image: Image, generator: np.random.Generator) -> Image:
    for alteration in (cropped, mirrored, turned, toned, resized, recompressed):
        image = alteration(image, generator)
    return image


ALTERATIONS: tuple[Alteration, ...] = (resized, recompressed, mirrored, turned, cropped, toned, everything)


def to_side(image: Image, side: int) -> Image:
    how = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=how), np.uint8)


def planted(cohort: Cohort, threads: int) -> None:
    """Print precision and recall per alteration."""
    generator = np.random.default_rng(0)
    rows = generator.permutation(len(cohort))[: COPIES * len(ALTERATIONS)]
    copies = [ALTERATIONS[number // COPIES](cohort.images[int(row)], generator) for number, row in enumerate(rows)]
    whole = ImageStack.concat([cohort.images, ImageStack.of(np.stack(copies))])
    pairs, wall, cpu = timed(partial(near_duplicates, whole, threads=threads))
    print(f"{len(whole):,} images of {cohort.size_px} px: {wall:.1f} s by the clock, {cpu:.1f} s of processors")
    lesions = np.concatenate([cohort.table["lesion_id"].to_numpy(), cohort.table["lesion_id"].to_numpy()[rows]])
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    right = lesions[a] == lesions[b]
    print("alteration      recall  precision  wrong pairs")
    original = np.concatenate([np.full(len(cohort), -1), rows])
    for number, alteration in enumerate(ALTERATIONS):
        first = len(cohort) + number * COPIES
        here = (b >= first) & (b < first + COPIES)
        recall = (here & (a == original[b])).sum() / COPIES
        print(f"{alteration.__name__:<14} {recall:7.3f} {right[here].mean():10.3f} {(here & ~right).sum():8}")


def image_level(cohort: Cohort) -> None:
    """Print the share of test images whose lesion is in train too when images, not lesions, are drawn 80/10/10."""
    for label in (None, *cohort.classes):
        shares = []
        for seed in range(20):
            order = np.random.default_rng(seed).permutation(len(cohort))
            train, test = order[: int(0.8 * len(order))], order[int(0.9 * len(order)) :]
            table = cohort.table[test].with_columns(
                seen=pl.col("lesion_id").is_in(cohort.table[train]["lesion_id"].implode())
            )
            table = table if label is None else table.filter(pl.col("label") == label)
            shares.append(table["seen"].to_numpy().mean())
        told = f"{label or 'all classes'}: {np.mean(shares):.1%}"
        print(f"image-level split, {told} of the test images have their lesion in train")


def between_lesions(cohort: Cohort, threads: int) -> None:
    """Print the near-duplicates among the images themselves, by whether they are one lesion."""
    ids = cohort.table.select("image_id", "lesion_id", "label").with_row_index("row").cast({"row": pl.Int64})
    pairs, wall, cpu = timed(partial(near_duplicates, cohort.images, threads=threads))
    print(f"{len(cohort):,} images of {cohort.size_px} px: {wall:.1f} s by the clock, {cpu:.1f} s of processors")
    pairs = pairs.join(ids, left_on="a", right_on="row").join(ids, left_on="b", right_on="row", suffix="_b")
    other = pairs.filter(pl.col("lesion_id") != pl.col("lesion_id_b"))
    print(f"HAM10000 itself: {pairs.height} pairs, {other.height} between different lesions:")
    for row in other.sort("similarity", descending=True).iter_rows(named=True):
        print("  {image_id} ({label}) ~ {image_id_b} ({label_b}), {transform}, {similarity:.3f}".format(**row))


def overlap(isic: Cohort, threads: int) -> None:
    """Print the near-duplicates between the training and the test images of ISIC 2018 Task 3."""
    train, test = isic.select(pl.col("part") == "train"), isic.select(pl.col("part") == "test")
    pairs = near_duplicates(train.images, test.images, threads=threads)
    print(f"ISIC 2018 Task 3: {pairs['b'].n_unique()} of {len(test):,} test images have a near-duplicate in training")
    for a, b, transform, similarity in pairs.iter_rows():
        first, second = (part.table.row(row, named=True) for part, row in ((train, a), (test, b)))
        told = f"{first['image_id']} ({first['label']}) ~ {second['image_id']} ({second['label']})"
        print(f"  {told}, {transform}, {similarity:.3f}")


def same_photographs(ham: Cohort, isic: Cohort, threads: int) -> None:
    """Print how many of the images that stand in both data sets, in other sizes and qualities, are found."""
    train = isic.select(pl.col("part") == "train")
    pairs = near_duplicates(ham.images, train.images, threads=threads)
    names = pairs.select(
        a=ham.table["image_id"][pairs["a"].to_numpy()], b=train.table["image_id"][pairs["b"].to_numpy()]
    )
    lesions = [
        cohort.table["lesion_id"].to_numpy()[pairs[side].to_numpy()] for side, cohort in (("a", ham), ("b", train))
    ]
    found = names.filter(pl.col("a") == pl.col("b")).height
    wrong = int((lesions[0] != lesions[1]).sum())
    told = f"{found:,} of {len(train):,} common images found, {wrong} pairs of two lesions"
    print(f"HAM10000 and ISIC 2018 training: {told}")


if __name__ == "__main__":
    main()
