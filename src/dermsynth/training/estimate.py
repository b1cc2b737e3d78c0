"""What a run would take, from a few of its steps: `dermsynth train --dry-run`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dermsynth.algorithms.base import Algorithm, AlgorithmConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import memory
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import describe, make_fabric
from dermsynth.training.images import Start, gather
from dermsynth.training.learner import Learner, has_weights
from dermsynth.training.looks import Looks
from dermsynth.training.loop import explained_memory

_MOMENTS = (0.05, 0.5, 0.95)
"""Where in the run steps are tried: networks that grow are quick at first."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        parameters: Of every network.
        steps: Of the whole run.
        step_s: Mean seconds of a step over the run.
        look_s: Seconds of one look at the averaged generator.
        total_s: Seconds of the run with its looks.
        held_bytes: Weights, averaged weights and optimiser state.
        peak_bytes: The most memory that the steps tried took, with their activations; None where it is not known.
        machine: Device, precision and threads.
        fitted: Training images of every class.
        held_out: Images that choose the snapshot.
    """

    parameters: Mapping[str, int]
    steps: int
    step_s: float
    look_s: float
    total_s: float
    held_bytes: int
    peak_bytes: int | None
    machine: Mapping[str, str | int]
    fitted: Mapping[str, int]
    held_out: int


def estimate(
    cohort: Cohort,
    algorithm_class: type[Algorithm],
    settings: AlgorithmConfig,
    config: TrainConfig,
    *,
    start: Path | str | None = None,
) -> Estimate:
    """Try some steps and one look of a run and return what all of it would take; nothing is written.

    Raises:
        What `train` raises before it starts, and ConfigError if memory runs out.
    """
    origin = None if start is None else Start.open(start, algorithm_class.name)
    images = gather(cohort, algorithm_class, settings, config, origin)
    fabric = make_fabric(config.precision)
    with explained_memory(settings), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        before = _memory_now(fabric.device)
        learner = Learner(images, algorithm_class, settings, config, fabric, origin)
        period = max(phase.every for phase in learner.phases)
        learner.step(period - 1)  # a step in which every phase runs, so that all optimisers have their state
        spent = []
        for moment in _MOMENTS:
            first = int(moment * learner.steps) // period * period
            learner.step(first)  # a network that has just grown takes longer once
            began = time.perf_counter()
            for number in range(first, first + period):
                learner.step(number)
            _finish(fabric.device)
            spent.append((time.perf_counter() - began) / period)
        peak = _peak(fabric.device)
        began = time.perf_counter()
        Looks(learner, images).look(learner.budget, None)
        look_s = time.perf_counter() - began
    step_s = sum(spent) / len(spent)
    return Estimate(
        {
            name: sum(p.numel() for p in network.parameters())
            for name, network in learner.algorithm.networks.items()
            if has_weights(network)
        },
        learner.steps,
        step_s,
        look_s,
        learner.steps * step_s + config.snapshots * look_s,
        sum(tensor.numel() * tensor.element_size() for tensor in learner.state().values()),
        None if peak is None or before is None else max(0, peak - before),
        describe(fabric),
        images.fitted.counts(),
        len(images.held_out),
    )


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory_now(device: torch.device) -> int | None:
    """Return the bytes in use, and forget the highest use so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return int(torch.cuda.memory_allocated(device))
    memory.forget_peak()
    return memory.resident_bytes()


def _peak(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else memory.peak_bytes()
