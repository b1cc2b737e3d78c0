"""How fast each part of a network learns at each step. Pure functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsynth.classifiers.config import FitConfig

WARM_UP = 0.3
START_DIVISOR = 25.0
END_DIVISOR = START_DIVISOR * 1e4
"""A cycle climbs during `WARM_UP` of its steps, from the peak / `START_DIVISOR`, and ends at the peak / `END_DIVISOR`.

Smith & Topin 2017 (arXiv:1708.07120) leave the shape open; these are the values of fastai 1, and of torch's OneCycleLR.
"""
MOMENTUM_SWING = 0.05
"""The momentum of a cycle lies this far above the setting while the rate is low and this far below at its peak."""


@dataclass(frozen=True)
class Turn:
    """What the optimiser is set to in one step.

    Attributes:
        learning_rate: Of the head.
        momentum: Of SGD, or Adam's first beta.
        head_only: Whether the parts before the head rest.
    """

    learning_rate: float
    momentum: float
    head_only: bool


def turn(config: FitConfig, step: int) -> Turn:
    """Return the setting of a step, counted from 0.

    Where the head learns alone first, either stage runs through a schedule of its own.
    """
    alone = head_steps(config)
    head_only = step < alone
    here, steps = (step, alone) if head_only else (step - alone, config.steps - alone)
    if config.schedule == "one-cycle":
        rate, low = one_cycle(here, steps)
        momentum = config.momentum + MOMENTUM_SWING * (1 - 2 * low)
        return Turn(config.learning_rate * rate, momentum, head_only)
    factor = 1.0 if config.schedule == "constant" else half_cosine(here / steps)
    return Turn(config.learning_rate * factor, config.momentum, head_only)


def head_steps(config: FitConfig) -> int:
    """Return in how many of the first steps the head learns alone; if it is to, at least one, and not all."""
    if not config.head_first:
        return 0
    return min(max(1, round(config.head_first * config.steps)), config.steps - 1)


def half_cosine(done: float) -> float:
    """Return 1 at the start of a training (0), 0 at its end (1)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def one_cycle(step: int, steps: int) -> tuple[float, float]:
    """Return the share of the peak rate at a step, and how far the momentum is lowered, from 0 to 1.

    The rate climbs and falls along half cosines, the momentum runs against it (Smith & Topin 2017, arXiv:1708.07120;
    Smith 2018, arXiv:1803.09820, section 4.3). The first step has the lowest rate but for the last ones.
    """
    peak_at = WARM_UP * steps - 1
    if step < peak_at:
        height = half_cosine(1 - step / peak_at)
        return 1 / START_DIVISOR + (1 - 1 / START_DIVISOR) * height, height
    peak_at = max(peak_at, 0)
    height = half_cosine((step - peak_at) / max(steps - 1 - peak_at, 1))
    return 1 / END_DIVISOR + (1 - 1 / END_DIVISOR) * height, height


def factors_of_parts(parts: int, rate_span: float) -> list[float]:
    """Return each part's learning rate over the head's, from the input on, as a geometric series.

    The first part has 1 / `rate_span`, the head, which comes last, 1: early layers, whose features are general, move
    least (Howard & Ruder 2018, arXiv:1801.06146, section 3.2).
    """
    if parts == 1:
        return [1.0]
    return [rate_span ** (number / (parts - 1) - 1) for number in range(parts)]
