"""What a fit would take, from a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dermsynth.classifiers import find
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.predict import predict
from dermsynth.classifiers.run import Run
from dermsynth.classifiers.schedule import turn
from dermsynth.classifiers.solved import Solved
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort

_TRIED = 4
"""Steps whose time is taken, after two that warm up."""


@dataclass(frozen=True)
class FitEstimate:
    """What a fit would take.

    Attributes:
        step_s: Seconds of a step; 0 for a classifier that is solved for.
        image_s: Seconds to predict an image, with the views of test-time augmentation.
        parameters: Of the network.
        total_s: Seconds of the fit, with its looks at validation and its predictions.
    """

    step_s: float
    image_s: float
    parameters: int
    total_s: float


def estimate_fit(
    images: Cohort, config: FitConfig, augmentation: ClassicalAugmentation | None, *, train: int, val: int, test: int
) -> FitEstimate:
    """Try some steps and some predictions of a fit; nothing is written.

    Args:
        images: Some images of every class, of the right size; what they show does not matter.
        config: The fit.
        augmentation: What alters its images.
        train, val, test: How many images there will be.

    Raises:
        What `fit` raises for a network that cannot be made.
    """
    rows = np.arange(len(images), dtype=np.int64)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        if not find(config.model).learns_in_steps:
            solved = Solved(images, images, config, rows)
            image_s = _timed(lambda: predict(solved.predictor, images, solved.fabric, config.tta)) / len(images)
            parameters = sum(p.numel() for p in solved.network.parameters())
            return FitEstimate(0.0, image_s, parameters, image_s * (train + 2 * val + test))
        run = Run(images, images, config, rows, augmentation)

        def steps(first: int, number: int) -> None:
            for step in range(first, first + number):
                loss = run.learn(step, turn(config, min(step, config.steps - 1)))
            loss.item()  # the device has finished

        steps(0, 2)
        step_s = _timed(lambda: steps(2, _TRIED)) / _TRIED
        image_s = _timed(lambda: predict(run.predictor, images, run.fabric, config.tta)) / len(images)
        parameters = sum(p.numel() for p in run.network.parameters())
    looks = config.evaluations * val + val + test
    return FitEstimate(step_s, image_s, parameters, config.steps * step_s + looks * image_s)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
