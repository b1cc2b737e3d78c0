"""What asking a finished fit costs and finds.

    python benchmarks/predicting.py [--images 1000] [--side 600] [--size 64] [--rounds 3] [--threads 2]
    python benchmarks/predicting.py --fit FIT --cohort COHORT

The first form writes a folder of JPEG files and times `predict` on it against its two parts done one after the other:
decoding and preprocessing on as many threads, and the network on pixels that are there. Rounds alternate.

The second form prints which share of several kinds of images a fit calls unusual: test images of its cohort, the same
altered, and images that show no lesion.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common import random_cohort, timed
from dermsynth.classifiers.apply import predict
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.photos import Asked
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.training.device import describe, make_fabric, set_threads

Pixels = NDArray[np.uint8]
SHOWN = 400


def photos(folder: Path, count: int, side_px: int) -> Path:
    """Write JPEG files, 4:3, of smooth colour under noise, which cost about what photos cost."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side_px * 4 // 3, side_px), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = (smooth + generator.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def speed(options: argparse.Namespace) -> None:
    """Print the time of predict over that of decoding plus that of the network."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        facts = {"config": {"preprocessing": [{"step": "resize"}]}}
        train, val, test = (
            random_cohort(140, options.size, prefix=f"{one}-").save(folder / one, facts=facts) for one in "abc"
        )
        config = FitConfig(model=options.model, budget_kimg=0.05, evaluations=1)
        fitted = fit(train, val, test, config, folder / "fit")
        where = photos(folder / "photos", options.images, options.side)
        classifier = TrainedClassifier.open(fitted)
        pixels = np.concatenate([seen.images for seen in Asked(classifier, [where]).read("stop", options.threads)])
        ways: dict[str, Callable[[], object]] = {
            "predict": lambda: predict(fitted, [where], threads=options.threads),
            "decode": lambda: [len(seen.bad) for seen in Asked(classifier, [where]).read("stop", options.threads)],
            "forward": lambda: classifier.look(pixels),
        }
        classifier.look(pixels[:16])
        rounds = [{name: timed(way) for name, way in ways.items()} for _ in range(options.rounds)]
    print(
        f"{describe(make_fabric())}, {options.model}, {options.images} JPEGs of {options.side} px, at {options.size} px"
    )
    for name in ways:
        print(f"{name:8} {statistics.median(one[name] for one in rounds):7.2f} s")
    ratio = statistics.median(one["predict"] / (one["decode"] + one["forward"]) for one in rounds)
    print(f"predict takes {ratio:.2f} of decode and forward together")


def kinds(images: Pixels) -> dict[str, Pixels]:
    """Return test images, the same altered, and images that show no lesion."""
    generator = np.random.default_rng(0)
    count, side = images.shape[:2]
    skin = np.array([225, 180, 155]) + generator.normal(0, 6, images.shape)
    page = np.full_like(images, 255)
    for one in page:
        for y, x in generator.integers(0, side - side // 16, (60, 2)):
            one[y : y + side // 32, x : x + side // 16] = 0
    grey = images.mean(axis=3, keepdims=True).astype(np.uint8)
    return {
        "test images": images,
        "blurred to an eighth": images[:, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2)[:, :side, :side],
        "grey": np.repeat(grey, 3, axis=3),
        "darkened to 30 %": (images * 0.3).astype(np.uint8),
        "colours inverted": 255 - images,
        "red and blue swapped": np.ascontiguousarray(images[..., ::-1]),
        "plain skin": skin.clip(0, 255).astype(np.uint8),
        "a page of text": page,
        "noise": generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8),
        "all black": np.zeros_like(images[:1]),
        "all white": np.full_like(images[:1], 255),
    }


def unusual(options: argparse.Namespace) -> None:
    """Print which share of each kind of images the fit calls unusual."""
    classifier, test = TrainedClassifier.open(options.fit), Cohort.open(options.cohort).part("test")
    assert classifier.usual is not None, "fit again: an older version kept no features"
    rows = np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(np.int64)
    for name, images in kinds(test.images[rows]).items():
        distances = classifier.usual.distances(classifier.look(images)[0]) / classifier.card["novelty"]["threshold"]
        print(f"{name:22} {100 * (distances > 1).mean():5.1f} % unusual, median distance {np.median(distances):.2f}")


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 1000), ("side", 600), ("size", 64), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="small-cnn")
    parser.add_argument("--fit", type=Path)
    parser.add_argument("--cohort", type=Path)
    options = parser.parse_args()
    set_threads(options.threads)
    if options.fit:
        unusual(options)
    else:
        speed(options)


if __name__ == "__main__":
    main()
