"""DCGAN: our training step against a plain fp32 PyTorch transcription of the same network, side by side.

    python benchmarks/dcgan.py [--width 64] [--batch 64] [--size 64] [--rounds 9] [--threads 2]

Rounds alternate between the two, so that a busy machine slows both; the ratio is the median of the rounds' ratios. The
plain version shares the fake images between both steps as well. Then the loop runs on its own: the share of its wall
time outside forward, backward and optimiser, with feeding, noise, averaging, history and checks. Sample grids and
checkpoints are rare, so their share is that of a run with default settings.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from common import CLASSES, Stopwatch, random_cohort, timed
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.training import loop
from dermsynth.training.device import describe, set_threads
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import _Run
from dermsynth.training.samples import write_grid
from dermsynth.training.stop import StopRequests


def plain_step(algorithm: Dcgan, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Return the step as a tutorial writes it: fp32, default layout, default Adam, gradients of everything."""
    adam: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}
    generator, discriminator = algorithm.generator, algorithm.discriminator
    for_d = torch.optim.Adam(discriminator.parameters(), **adam)
    for_g = torch.optim.Adam(generator.parameters(), **adam)
    ones, zeros = torch.ones(len(labels)), torch.zeros(len(labels))

    def step() -> None:
        fake = generator(torch.randn(len(labels), algorithm.latent), labels)
        discriminator.zero_grad()
        loss = binary_cross_entropy_with_logits(discriminator(images, labels), ones)
        loss = loss + binary_cross_entropy_with_logits(discriminator(fake.detach(), labels), zeros)
        loss.backward()  # type: ignore[no-untyped-call]
        for_d.step()
        generator.zero_grad()
        binary_cross_entropy_with_logits(discriminator(fake, labels), ones).backward()  # type: ignore[no-untyped-call]
        for_g.step()

    return step


def outside_shares(run: _Run, settings: dict[str, Any]) -> tuple[float, float, float]:
    """Return the shares of wall time outside forward, backward and optimiser: steps, sample grids, checkpoints."""
    watch, grids = Stopwatch(), Stopwatch()
    for phase in run.phases:
        object.__setattr__(phase, "loss", watch.around(phase.loss))
    for optimiser in run.optimisers.values():
        optimiser.step = watch.around(optimiser.step)  # type: ignore[method-assign]
    run.fabric.backward = watch.around(run.fabric.backward)  # type: ignore[method-assign]
    setattr(loop, "write_grid", grids.around(write_grid))  # noqa: B010 - mypy knows the name as imported only
    run.folder.mkdir()
    run.prepare(settings, force=True)
    whole = timed(lambda: run.run(lambda done, total: None, StopRequests())) - grids.seconds
    default = TrainConfig()
    default_s = whole / (run.step * run.batch_size) * default.budget_kimg * 1000
    return (
        1 - watch.seconds / whole,
        grids.seconds * default.snapshots / default_s,
        timed(run._save) / default.checkpoint_every_s,
    )


def main() -> None:
    """Print both step times, their ratio and the loop's overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 64), ("batch", 64), ("size", 64), ("rounds", 9), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    set_threads(options.threads)
    cohort = random_cohort(1024, options.size)
    settings = DcganConfig(width=options.width, batch_size=options.batch)
    torch.manual_seed(0)
    images = torch.from_numpy(cohort.images[np.arange(options.batch)]).permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.from_numpy(cohort.labels[: options.batch])
    plain = plain_step(Dcgan(settings, options.size, len(CLASSES)), images.contiguous(), labels)
    with tempfile.TemporaryDirectory() as folder:
        kimg = options.batch * options.rounds * 2 / 1000
        config = TrainConfig(budget_kimg=kimg, snapshots=1, checkpoint_every_s=60)
        run = _Run(cohort, Dcgan, settings, config, Path(folder) / "run")
        plain()
        run._one_step()
        times = [(timed(plain), timed(run._one_step)) for _ in range(options.rounds)]
        theirs, ours = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        print(f"{describe(run.fabric)}, width {options.width}, batch {options.batch}, {options.size} px")
        print(f"plain fp32 step {theirs:7.1f} ms    ours {ours:7.1f} ms    ratio {ratio:.2f}x")
        fresh = _Run(cohort, Dcgan, settings, config, Path(folder) / "fresh")
        steps, grids, checkpoints = (100 * share for share in outside_shares(fresh, {"benchmark": options.width}))
        print(f"outside forward, backward and optimiser: {steps + grids + checkpoints:.1f} % of the loop's time")
        print(f"  in every step {steps:.2f} %, sample grids {grids:.2f} %, checkpoints {checkpoints:.2f} %")


if __name__ == "__main__":
    main()
