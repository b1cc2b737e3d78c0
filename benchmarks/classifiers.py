"""The classifier's fit against plain fp32 PyTorch, side by side, and what the loop itself costs.

    python benchmarks/classifiers.py [--width 16] [--batch 16] [--size 64] [--rounds 31] [--threads 1]

Rounds alternate between the variants, so that a busy machine slows all; a ratio is the median of the rounds' ratios.

    ours       one step as the fit takes it: feeding, forward, backward, optimiser
    plain      the same network in fp32, default memory layout, default Adam, on images that are already there
    textbook   plain with pooling after batch norm and ReLU, the usual order

Then whole fits run on their own, without and with augmentation: the share of the steps' wall time outside forward,
backward and optimiser, and the share of the fit that scoring on 400 validation images takes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from common import CLASSES, Stopwatch, random_cohort, timed
from dermsynth.classifiers import build
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import _Fit
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.metrics.scores import balanced_accuracy
from dermsynth.training.device import describe, set_threads


def textbook(width: int) -> nn.Sequential:
    """Return the same layers with pooling last."""
    blocks: list[nn.Module] = []
    before = 3
    for after in (width, 2 * width, 4 * width, 8 * width):
        blocks += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        blocks.append(nn.MaxPool2d(2))
        before = after
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, len(CLASSES)))


def plain_step(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Return the step as a tutorial writes it."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def shares(run: _Fit) -> tuple[float, float, float]:
    """Return images per second of the whole fit, the steps' share of overhead, and the fit's share of scoring."""
    watch, scoring = Stopwatch(), Stopwatch()
    run._loss = watch.around(run._loss)  # type: ignore[method-assign]
    run.fabric.backward = watch.around(run.fabric.backward)  # type: ignore[method-assign]
    run.optimiser.step = watch.around(run.optimiser.step)  # type: ignore[method-assign]
    run._score = scoring.around(run._score)  # type: ignore[method-assign]
    whole = timed(lambda: run.run(None))
    steps = whole - scoring.seconds
    return run.config.steps * run.config.batch_size / whole, 1 - watch.seconds / steps, scoring.seconds / whole


def main() -> None:
    """Print step times, ratios, and the loop's overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 16), ("batch", 16), ("size", 64), ("rounds", 31), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    set_threads(options.threads)
    train, val = random_cohort(2048, options.size), random_cohort(400, options.size)
    rows = np.arange(len(train))
    config = FitConfig(width=options.width, batch_size=options.batch, budget_kimg=10)
    images = torch.from_numpy(train.images[rows[: options.batch]]).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
    labels = torch.from_numpy(train.labels[: options.batch])

    run = _Fit(train, val, config, rows, None)
    variants: dict[str, Callable[[], object]] = {
        "ours": lambda: run._one_step(0),
        "plain": plain_step(build(FitConfig(width=options.width), len(CLASSES), images.shape[-1]), images, labels),
        "textbook": plain_step(textbook(options.width), images, labels),
    }
    for step in variants.values():
        step()
    rounds = [{name: timed(step) for name, step in variants.items()} for _ in range(options.rounds)]
    print(f"{describe(run.fabric)}, width {options.width}, batch {options.batch}, {options.size} px")
    for name in variants:
        median_ms = 1000 * statistics.median(one[name] for one in rounds)
        ratio = statistics.median(one[name] / one["ours"] for one in rounds)
        print(
            f"{name:9} {median_ms:7.1f} ms a step {1000 * options.batch / median_ms:7.0f} images/s  {ratio:5.2f}x ours"
        )

    balanced_accuracy(np.arange(2), np.arange(2), 2)  # imports scikit-learn, which is no part of the loop
    for title, augmentation in (("as they are", None), ("augmented", ClassicalAugmentation())):
        speed, overhead, scoring = shares(_Fit(train, val, config, rows, augmentation))
        print(
            f"images {title:11}: fit {speed:6.0f} images/s, outside forward, backward and optimiser "
            f"{100 * overhead:4.1f} % of the steps; scoring {100 * scoring:4.1f} % of the fit"
        )


if __name__ == "__main__":
    main()
