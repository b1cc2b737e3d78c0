"""The classifier's fit against plain fp32 PyTorch, side by side, and what the loop itself costs.

    python benchmarks/classifiers.py [--model small-cnn] [--batch 16] [--size 64] [--rounds 31] [--threads 1]
    python benchmarks/classifiers.py --model resnet-18 --batch 32 --rounds 5 --set stem=small
    python benchmarks/classifiers.py --default-malloc          # without what `set_threads` tells the allocator
    python benchmarks/classifiers.py --fits 6 --kimg 2         # two processes of one thread against one of two threads

Rounds alternate between the variants, so that a busy machine slows all; a ratio is the median of the rounds' ratios.

    ours       one step as the fit takes it: feeding, forward, backward, optimiser
    plain      the same network in fp32, default memory layout, default Adam, on images that are already there
    textbook   plain with pooling after batch norm and ReLU, the usual order (small-cnn only)
    feed       the batch alone: which rows, their pixels, to the network's range and layout
    predict    val as the fit predicts it, and `plain` on images that are already there, for each image

Then whole fits run on their own, without and with augmentation: the share of the steps' wall time outside forward,
backward and optimiser, and the share of the fit that scoring on 400 validation images takes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from common import CLASSES, Stopwatch, random_cohort, timed
from dermsynth.classifiers import build
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.predict import predict
from dermsynth.classifiers.run import Run
from dermsynth.classifiers.schedule import turn
from dermsynth.cli.app import parse_settings
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import parse
from dermsynth.metrics.scores import balanced_accuracy
from dermsynth.training.device import describe, set_threads

VAL_IMAGES = 400


def textbook(width: int) -> nn.Sequential:
    """Return the layers of small-cnn with pooling last."""
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
        cross_entropy(network(images), labels).backward()
        optimiser.step()

    return step


def plain_predict(network: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """Return inference as a tutorial writes it."""

    def run() -> None:
        network.eval()
        with torch.no_grad():
            network(images).softmax(dim=1)
        network.train()

    return run


def shares(run: Run) -> tuple[float, float, float]:
    """Return images per second of the whole fit, the steps' share of overhead, and the fit's share of scoring."""
    watch, scoring = Stopwatch(), Stopwatch()
    run.network.forward = watch.around(run.network.forward)  # type: ignore[method-assign]
    run.loss = watch.around(run.loss)
    run.fabric.backward = watch.around(run.fabric.backward)  # type: ignore[method-assign]
    run.mover.step = watch.around(run.mover.step)  # type: ignore[method-assign]
    score = run._score
    in_scoring = 0.0

    def scored() -> None:
        nonlocal in_scoring
        before = watch.seconds
        scoring.around(score)()
        in_scoring += watch.seconds - before  # forward passes of val are no part of the steps

    run._score = scored  # type: ignore[method-assign]

    def whole() -> None:
        while run.step < run.config.steps:
            run.advance()

    seconds = timed(whole)
    steps = seconds - scoring.seconds
    return run.images_seen / seconds, 1 - (watch.seconds - in_scoring) / steps, scoring.seconds / seconds


def compare(options: argparse.Namespace, config: FitConfig) -> None:
    """Print step and inference times, ratios, and the loop's overhead."""
    train, val = random_cohort(2048, options.size), random_cohort(VAL_IMAGES, options.size)
    rows = np.arange(len(train))
    images = torch.from_numpy(train.images[rows[: options.batch]]).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
    labels = torch.from_numpy(train.labels[: options.batch])
    run = Run(train, val, config, rows)
    plain = build(config, len(CLASSES), options.size)
    variants: dict[str, Callable[[], object]] = {
        "ours": lambda: run.learn(0, turn(config, 0)),
        "plain": plain_step(plain, images, labels),
        "feed": lambda: run.feed.batch(0),
    }
    if config.model == "small-cnn":
        variants["textbook"] = plain_step(textbook(config.width or 16), images, labels)
    batch = val.select(range(options.batch))
    predicting: dict[str, Callable[[], object]] = {
        "ours": lambda: predict(run.network, batch, run.fabric),
        "plain": plain_predict(plain, images),
    }
    print(f"{describe(run.fabric)}, {config.model}, batch {options.batch}, {options.size} px")
    for title, of in (("a step", variants), ("a batch of inference", predicting)):
        for variant in of.values():
            variant()
        rounds = [{name: timed(step) for name, step in of.items()} for _ in range(options.rounds)]
        for name in of:
            median_ms = 1000 * statistics.median(one[name] for one in rounds)
            ratio = statistics.median(one[name] / one["ours"] for one in rounds)
            speed = 1000 * options.batch / median_ms
            print(f"{name:9} {median_ms:8.2f} ms {title} {speed:8.0f} images/s  {ratio:6.3f}x ours")


def overhead(options: argparse.Namespace, config: FitConfig) -> None:
    """Print what the loop costs beside the network."""
    train, val = random_cohort(2048, options.size), random_cohort(VAL_IMAGES, options.size)
    balanced_accuracy(np.arange(2), np.arange(2), 2)  # imports scikit-learn, which is no part of the loop
    for title, augmentation in (("as they are", None), ("augmented", ClassicalAugmentation())):
        speed, outside, scoring = shares(Run(train, val, config, np.arange(len(train)), augmentation))
        print(
            f"images {title:11}: fit {speed:6.0f} images/s, outside forward, backward and optimiser "
            f"{100 * outside:4.1f} % of the steps; scoring {100 * scoring:4.1f} % of the fit"
        )


def fits(options: argparse.Namespace, config: FitConfig) -> None:
    """Print the time of several fits in two processes of one thread, and one after the other with two threads."""
    with tempfile.TemporaryDirectory() as folder:
        cohorts = {name: Path(folder) / name for name in ("train", "val", "test")}
        for number, (name, count) in enumerate((("train", 2048), ("val", VAL_IMAGES), ("test", VAL_IMAGES))):
            random_cohort(count, options.size, prefix=f"{number}-").save(cohorts[name])
        seconds = {}
        for processes, threads in ((2, 1), (1, 2)):
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes, context, initializer=set_threads, initargs=(threads,)) as pool:
                for ready in [
                    pool.submit(one_fit, cohorts, config.changed(budget_kimg=0.05)) for _ in range(processes)
                ]:
                    ready.result()

                def all_of_them(pool: ProcessPoolExecutor = pool) -> None:
                    chosen = [config.changed(seed=seed) for seed in range(options.fits)]
                    list(pool.map(one_fit, [cohorts] * len(chosen), chosen))

                seconds[processes] = timed(all_of_them)
            print(f"{options.fits} fits, {processes} processes of {threads} threads: {seconds[processes]:6.1f} s")
    print(f"side by side they take {seconds[2] / seconds[1]:.2f} of the time")


def one_fit(cohorts: dict[str, Path], config: FitConfig) -> None:
    """Fit in this process, on cohorts that it opens: their pixels stay on disk, and all processes share them."""
    train, val, test = (Cohort.open(cohorts[name]) for name in ("train", "val", "test"))
    with tempfile.TemporaryDirectory() as folder:
        fit(train, val, test, config, Path(folder) / "fit")


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 16), ("size", 64), ("rounds", 31), ("threads", 1), ("fits", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--kimg", type=float, default=10.0)
    parser.add_argument("--model", default="small-cnn")
    parser.add_argument("--set", action="append", help="a setting of the classifier, KEY=VALUE")
    parser.add_argument("--default-malloc", action="store_true")
    options = parser.parse_args()
    given = {"model": options.model, "batch_size": options.batch, "budget_kimg": options.kimg}
    config = parse(FitConfig, {**given, **parse_settings(options.set, {})}, "settings")
    if options.fits:
        fits(options, config)
        return
    if options.default_malloc:
        torch.set_num_threads(options.threads)
    else:
        set_threads(options.threads)
    compare(options, config)
    if config.model == "small-cnn":
        overhead(options, config)


if __name__ == "__main__":
    main()
