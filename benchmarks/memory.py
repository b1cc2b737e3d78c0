"""How much memory a training step takes beyond what it must hold, for every algorithm.

    python benchmarks/memory.py [NAME …] [--threads 2]

Each algorithm runs in a process of its own, at the sizes of `algorithms.py`; Linux only.

    held      weights, averaged weights, optimiser state, gradients
    saved     activations: what the forward pass of the largest phase keeps for its backward pass, each storage once
    live      the most bytes of tensors at one moment of a step: what torch's own allocator hands out
    peak      the most resident memory of three whole steps, less that of the process before the networks were built
    ratio     peak / (held + saved); 1.3 is the figure to stay under. What peak has beyond live lies outside
              torch's allocator: scratch memory of its libraries, and gaps
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from algorithms import FULL
from common import random_cohort
from dermsynth.algorithms import ALGORITHMS, algorithm_class
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import make_fabric, set_threads
from dermsynth.training.estimate import _memory_now, _peak
from dermsynth.training.images import gather
from dermsynth.training.learner import Learner

_ONE = "--one"


def saving(loss: Callable[..., Any], known: set[int], totals: list[int]) -> Callable[..., Any]:
    """Return a loss that also notes the bytes of what its forward pass saves and that are not `known`."""

    def wrapped(batch: Any) -> Any:
        seen: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            found = loss(batch)
        totals.append(sum(seen.values()))
        return found

    return wrapped


def most_allocated(step: Callable[[], Any]) -> int:
    """Return by how many bytes the tensors grow at most while a step runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    moves = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(moves), default=0)


def measure(name: str, threads: int) -> str:
    """Return a line of the table."""
    set_threads(threads)
    size_px, settings = FULL[name]
    chosen = algorithm_class(name)
    configured = chosen.Config(**settings)
    images = gather(random_cohort(1024, size_px), chosen, configured, TrainConfig(held_out=0), None)
    torch.ones(1).requires_grad_().exp().backward()
    fabric = make_fabric("fp32")
    before = _memory_now(fabric.device)
    learner = Learner(images, chosen, configured, TrainConfig(held_out=0), fabric)
    period = max(phase.every for phase in learner.phases)
    for number in range(3 * period):
        learner.step(number)
    peak = _peak(fabric.device)
    assert peak is not None
    assert before is not None
    gradients = sum(
        parameter.numel() * parameter.element_size()
        for network in learner.algorithm.networks.values()
        for parameter in network.parameters()
    )
    kept = sum(tensor.numel() * tensor.element_size() for tensor in learner.state().values())
    held = gradients + kept
    live = kept + most_allocated(lambda: learner.step(4 * period - 1))
    known = {tensor.untyped_storage().data_ptr() for tensor in learner.state().values()}
    totals: list[int] = []
    for phase in learner.phases:
        object.__setattr__(phase, "loss", saving(phase.loss, known, totals))
    for number in range(3 * period, 4 * period):
        learner.step(number)
    saved = max(totals)
    taken = peak - before
    sizes = "".join(f"{each / 2**20:10,.0f}" for each in (held, saved, live, taken))
    return f"{name:15} {size_px:>4} px {configured.batch_size:>4} {sizes} MiB {taken / (held + saved):7.2f}"


def main() -> None:
    """Print a line per algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="algorithms; all without a name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(_ONE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measure(options.names[0], options.threads), flush=True)
        return
    print(
        f"{'':15} {'size':>7} {'batch':>4} {'held':>10}{'saved':>10}{'live':>10}{'peak':>10} {'':3} {'ratio':>7}",
        flush=True,
    )
    for name in options.names or ALGORITHMS:
        subprocess.run([sys.executable, __file__, name, "--threads", str(options.threads), _ONE], check=True)


if __name__ == "__main__":
    main()
