"""Does drawing a pool cost more than the generator's forward passes? Both in interleaved rounds, and the peak memory.

    python benchmarks/sampling.py [--images 2000] [--rounds 5] [--threads N]

Generators have random weights, which changes no time: DCGAN and StyleGAN2 at 64 px and of a small machine's width.

    sample   noise image by image, forward passes, hashes, writing, the card's hashes, opening
    forward  the same network on as many images in the same batches, in inference mode, and nothing else
    share    forward / sample; 0.9 is the figure to stay above
    cpu      seconds of processors; on a machine that does other things too, only these compare
    MiB      peak memory of this process after a small pool, and after the largest one
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import random_cohort
from dermsynth.algorithms import algorithm_class
from dermsynth.core.cores import cores
from dermsynth.pools.sample import sample
from dermsynth.pools.trained import Trained
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import set_threads
from dermsynth.training.loop import train

RUNS: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 32, "batch_size": 16},
    "stylegan2": {"width": 16, "most_maps": 64, "latent": 64, "batch_size": 16},
}


def main() -> None:
    """Time both and print one line per generator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    set_threads(arguments.threads)
    print(f"{arguments.images:,} images of 64 px on {arguments.threads} threads, median of {arguments.rounds} rounds")
    print("                 sample  forward  share | cpu: sample  forward  share")
    with tempfile.TemporaryDirectory() as scratch:
        for name, settings in RUNS.items():
            run = _run(Path(scratch) / name, name, settings)
            rounds = [_round(run, arguments.images, Path(scratch) / "pool") for _ in range(arguments.rounds)]
            (sampled, bare), (sampled_cpu, bare_cpu) = (
                [statistics.median(found[number][side] for found in rounds) for number in (0, 1)] for side in (0, 1)
            )
            shares = [statistics.median(b[side] / s[side] for s, b in rounds) for side in (0, 1)]
            wall = f"{sampled:8.2f} {bare:8.2f} {shares[0]:6.2f}"
            print(f"{name:<15} {wall} | {sampled_cpu:11.2f} {bare_cpu:8.2f} {shares[1]:6.2f}")
        peaks = []
        for count in (arguments.images // 10, 10 * arguments.images):
            sample(Path(scratch) / "dcgan", {"nv": count}, Path(scratch) / "pool", force=True)
            peaks.append(f"{count:,} images {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    print(f"peak memory, all generators before them included: {', '.join(peaks)}")


def _run(out: Path, name: str, settings: dict[str, Any]) -> Path:
    chosen = algorithm_class(name)
    config = TrainConfig(budget_kimg=0.032, snapshots=1, held_out=0)
    return train(random_cohort(210, 64), chosen, chosen.Config(**settings), config, out)


def _round(run: Path, images: int, pool: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    whole = _timed(lambda: sample(run, {"nv": images}, pool, force=True))
    return whole, _timed(_forward(run, images))


def _forward(run: Path, images: int) -> Callable[[], None]:
    import torch

    trained = Trained.open(run)
    algorithm, generator = trained.network
    noise = torch.randn(trained.at_once, algorithm.latent)
    labels = torch.zeros(trained.at_once, dtype=torch.int64)

    def work() -> None:
        with torch.inference_mode():
            for first in range(0, images, trained.at_once):
                count = min(trained.at_once, images - first)
                algorithm.draw(generator, noise[:count], labels[:count])

    return work


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
