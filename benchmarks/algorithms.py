"""Every algorithm's training step against the same networks as a tutorial trains them, side by side in one run.

    python benchmarks/algorithms.py [NAME …] [--rounds 7] [--threads 2] [--precision auto] [--set width=16]

Rounds alternate between the two, so that a busy machine slows both; the ratio is the median of the rounds' ratios. The
plain step is fp32 in the default layout, with default optimisers and gradients for everything that a loss touches.

Then the loop runs on its own: the share of its wall time outside forward, backward and optimiser. Looks with their
sample grids and checkpoints are rare, so their share is that of a run with default settings.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from common import Stopwatch, random_cohort, timed
from dermsynth.algorithms import ALGORITHMS, algorithm_class
from dermsynth.algorithms.base import Adam, Algorithm
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import describe, make_fabric, set_threads
from dermsynth.training.images import gather
from dermsynth.training.learner import Learner
from dermsynth.training.loop import _Run
from dermsynth.training.stop import StopRequests

Step = Callable[[], None]

FULL: dict[str, tuple[int, dict[str, Any]]] = {
    "gan": (64, {}),
    "lapgan": (64, {}),
    "dcgan": (64, {}),
    "wgan-gp": (64, {"width": 64, "critic_width": 64}),
    "cgan": (64, {}),
    "acgan": (64, {}),
    "sgan": (64, {}),
    "progressive": (64, {}),
    "stylegan2": (64, {}),
    "r3gan": (64, {}),
    "rectified-flow": (64, {}),
    "cyclegan": (128, {"source": ("nv",), "target": ("mel",), "width": 32}),
}
"""Image size and settings beside the defaults; WGAN-GP has the printed critic, CycleGAN half its width."""


def plain_step(algorithm: Algorithm, learner: Learner) -> Step:
    """Return the step as a tutorial writes it, with the algorithm's own networks and losses."""
    phases = algorithm.phases()
    optimisers = {id(phase.net): _plain_optimiser(phase.optimiser, phase.net) for phase in phases}
    number = 0

    def step() -> None:
        nonlocal number
        batch = learner._batch(number, slice(None))
        batch.images = batch.images.contiguous()
        algorithm.advance(algorithm.networks.values(), number * learner.batch_size, learner.budget)
        for phase in phases:
            if (number + 1) % phase.every == 0:
                optimiser = optimisers[id(phase.net)]
                optimiser.zero_grad()
                loss, _ = phase.loss(batch)
                loss.backward()
                optimiser.step()
        number += 1

    return step


def _plain_optimiser(chosen: Any, net: torch.nn.Module) -> torch.optim.Optimizer:
    if isinstance(chosen, Adam):
        return torch.optim.Adam(net.parameters(), chosen.learning_rate, (chosen.beta1, chosen.beta2))
    return torch.optim.SGD(net.parameters(), chosen.learning_rate, chosen.momentum)


def our_step(learner: Learner) -> Step:
    """Return the loop's step."""
    number = 0

    def step() -> None:
        nonlocal number
        learner.step(number)
        number += 1

    return step


def overhead(run: _Run, folder: Path) -> tuple[float, float]:
    """Return the shares of wall time outside forward, backward and optimiser: in every step, and looks, checkpoints."""
    watch, rare = Stopwatch(), Stopwatch()
    learner = run.learner
    for phase in learner.phases:
        object.__setattr__(phase, "loss", watch.around(phase.loss))
    for optimiser in learner.optimisers.values():
        optimiser.step = watch.around(optimiser.step)  # type: ignore[method-assign]
    learner.fabric.backward = watch.around(learner.fabric.backward)  # type: ignore[method-assign]
    run._snapshot = rare.around(run._snapshot)  # type: ignore[method-assign]
    folder.mkdir()
    run.prepare({"benchmark": 0}, force=True)
    whole = timed(lambda: run.run(lambda done, total: None, StopRequests())) - rare.seconds
    default = TrainConfig()
    default_s = whole / run.seen * default.budget_kimg * 1000
    checkpoint = timed(lambda: run._save(run.partial.checkpoint))
    return (
        1 - watch.seconds / whole,
        rare.seconds * default.snapshots / default_s + checkpoint / default.checkpoint_every_s,
    )


def measure(name: str, rounds: int, precision: str, more: dict[str, Any]) -> str:
    """Return a line of the table."""
    size_px, settings = FULL[name]
    chosen = algorithm_class(name)
    configured = chosen.Config(**{**settings, **more})
    cohort = random_cohort(2048, size_px)
    fabric = make_fabric(precision)  # type: ignore[arg-type]
    config = TrainConfig(budget_kimg=100, precision=precision, snapshots=1, held_out=64)
    images = gather(cohort, chosen, configured, config, None)
    learner = Learner(images, chosen, configured, config, fabric)
    algorithm = chosen(configured, size_px, images.classes)
    period = max(phase.every for phase in learner.phases)
    steps = plain_step(algorithm, learner), our_step(learner)
    pairs = [  # the first round warms up
        [sum(timed(step) for _ in range(period)) / period for step in steps] for _ in range(rounds + 1)
    ]
    theirs_ms, ours_ms = (1000 * statistics.median(column) for column in zip(*pairs[1:], strict=True))
    ratio = statistics.median(a / b for a, b in pairs[1:])
    with tempfile.TemporaryDirectory() as folder:
        short = config.changed(budget_kimg=configured.batch_size * period * rounds / 1000)
        every, rare = overhead(_Run(images, chosen, configured, short, Path(folder) / "run"), Path(folder) / "run")
    rate = 1000 * configured.batch_size / ours_ms
    return (
        f"{name:15} {size_px:>4} px {configured.batch_size:>4} {theirs_ms:9.0f} ms {ours_ms:9.0f} ms {ratio:6.2f}x "
        f"{rate:8.1f} {100 * every:8.2f} % {100 * rare:8.2f} %"
    )


def main() -> None:
    """Print a line per algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="algorithms; all without a name")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="of all algorithms named")
    options = parser.parse_args()
    set_threads(options.threads)
    more = {key: int(value) for key, _, value in (pair.partition("=") for pair in options.set)}
    found = ", ".join(f"{name} {value}" for name, value in describe(make_fabric(options.precision)).items())
    print(found)
    heads = (("size", 7), ("batch", 4), ("plain fp32", 12), ("ours", 12), ("ratio", 7), ("img/s", 8))
    print(" " * 15, *(f"{head:>{width}}" for head, width in (*heads, ("each step", 10), ("rare", 10))))
    for name in options.names or ALGORITHMS:
        print(measure(name, options.rounds, options.precision, more), flush=True)


if __name__ == "__main__":
    main()
