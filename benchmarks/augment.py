"""What classical augmentation costs, side by side with a training step of the small CNN.

    python benchmarks/augment.py [--batch 16] [--size 64] [--rounds 101] [--threads 1]

Rounds alternate between the variants, so that a busy machine slows all; a ratio is the median of the rounds' ratios.

    step      feeding, forward, backward and optimiser on images as they are
    feed      reading and scaling the images of a step, which is a part of it
    warp      flips, rotation, shear and crop: the one affine warp that all geometry takes
    colours   brightness, contrast, saturation and hue: the one linear map
    erasing   random erasing
    mixup, cutmix
    papers, strong   the policies
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np

from common import CLASSES, random_cohort, timed
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.run import Run
from dermsynth.classifiers.schedule import turn
from dermsynth.cohorts.augment import ClassicalAugmentation, augment
from dermsynth.cohorts.augment.mixing import mix
from dermsynth.core.randomness import torch_generator
from dermsynth.training.device import describe, set_threads

ALONE = {
    "warp": ClassicalAugmentation(policy="papers", crop_side_min=0.8),
    "colours": ClassicalAugmentation(policy="none", brightness=0.1, contrast=0.1, saturation=0.1, hue_deg=2),
    "erasing": ClassicalAugmentation(policy="none", erasing_chance=0.25),
    "papers": ClassicalAugmentation(policy="papers"),
    "strong": ClassicalAugmentation(policy="strong"),
}
MIXING = {
    "mixup": ClassicalAugmentation(policy="none", mixup_alpha=0.2),
    "cutmix": ClassicalAugmentation(policy="none", cutmix_alpha=1.0),
}


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 16), ("size", 64), ("rounds", 101), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    set_threads(options.threads)
    train = random_cohort(2048, options.size)
    config = FitConfig(batch_size=options.batch)
    run = Run(train, train, config, np.arange(len(train)))
    images, labels = run.feed.batch(0)
    variants: dict[str, Callable[[], object]] = {
        "step": lambda: run.learn(0, turn(config, 0)),
        "feed": lambda: run.feed.batch(0),
        **{
            name: lambda config=config: augment(images, config, torch_generator(0, "augment"))  # type: ignore[misc]
            for name, config in ALONE.items()
        },
        **{
            name: lambda config=config: mix(images, labels, len(CLASSES), config, torch_generator(0, "mix"))  # type: ignore[misc]
            for name, config in MIXING.items()
        },
    }
    for variant in variants.values():
        variant()
    rounds = [{name: timed(variant) for name, variant in variants.items()} for _ in range(options.rounds)]
    print(f"{describe(run.fabric)}, batch {options.batch}, {options.size} px")
    print(f"{'':8} {'ms':>8} {'of a step':>10} {'of the warp':>12}")
    for name in variants:
        median_ms = 1000 * statistics.median(one[name] for one in rounds)
        of_step, of_warp = (statistics.median(one[name] / one[other] for one in rounds) for other in ("step", "warp"))
        print(f"{name:8} {median_ms:8.2f} {of_step:10.2f} {of_warp:12.2f}")


if __name__ == "__main__":
    main()
