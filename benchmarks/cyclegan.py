"""CycleGAN: our training step against a plain fp32 transcription with torch's own layers, side by side.

    python benchmarks/cyclegan.py [--width 32] [--size 128] [--batch 1] [--rounds 7] [--threads 2] [--cpu-time]

Rounds alternate between the two, so that a busy machine slows both; the ratio is the median of the rounds' ratios. The
plain step is that of the published code: fp32, default layout, padding and instance norm as layers, default Adam, the
discriminators' weights left out of the generators' step. `--cpu-time` counts the process's own seconds, for a machine
that others use; it needs `--threads 1`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from common import random_cohort
from dermsynth.algorithms.cyclegan import Cyclegan, CycleganConfig
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import describe, make_fabric, set_threads
from dermsynth.training.images import gather
from dermsynth.training.learner import Learner


class Block(nn.Module):
    """A residual block."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(maps, maps, 3), nn.InstanceNorm2d(maps)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(maps, maps, 3), nn.InstanceNorm2d(maps)]
        self.layers = nn.Sequential(*half, nn.ReLU(True), *again)

    def forward(self, x: Tensor) -> Tensor:
        """Return x and what two convolutions add."""
        added: Tensor = x + self.layers(x)
        return added


def generator(width: int, blocks: int) -> nn.Module:
    """Return the published generator."""
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU(True)]
    for maps in (width, 2 * width):
        layers += [nn.Conv2d(maps, 2 * maps, 3, 2, 1), nn.InstanceNorm2d(2 * maps), nn.ReLU(True)]
    layers += [Block(4 * width) for _ in range(blocks)]
    for maps in (2 * width, width):
        layers += [nn.ConvTranspose2d(2 * maps, maps, 3, 2, 1, 1), nn.InstanceNorm2d(maps), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


def discriminator(width: int) -> nn.Module:
    """Return the published discriminator."""
    layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for maps, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        layers += [nn.Conv2d(maps, 2 * maps, 4, stride, 1), nn.InstanceNorm2d(2 * maps), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


def plain_step(width: int, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Return the step as the published code writes it."""
    blocks = 9 if x.shape[-1] >= 256 else 6
    there, back = generator(width, blocks), generator(width, blocks)
    of_y, of_x = discriminator(width), discriminator(width)
    for_g = torch.optim.Adam([*there.parameters(), *back.parameters()], 2e-4, (0.5, 0.999))
    for_d = torch.optim.Adam([*of_y.parameters(), *of_x.parameters()], 2e-4, (0.5, 0.999))

    def taken_for(scores: Tensor, target: float) -> Tensor:
        return mse_loss(scores, torch.full_like(scores, target))

    def step() -> None:
        fake_y, fake_x = there(x), back(y)
        for network in (of_y, of_x):
            network.requires_grad_(False)
        for_g.zero_grad()
        loss = taken_for(of_y(fake_y), 1) + taken_for(of_x(fake_x), 1)
        loss = loss + 10 * (l1_loss(back(fake_y), x) + l1_loss(there(fake_x), y))
        loss = loss + 5 * (l1_loss(there(y), y) + l1_loss(back(x), x))
        loss.backward()
        for_g.step()
        for network in (of_y, of_x):
            network.requires_grad_(True)
        for_d.zero_grad()
        for network, real, fake in ((of_y, y, fake_y), (of_x, x, fake_x)):
            loss = (taken_for(network(real), 1) + taken_for(network(fake.detach()), 0)) / 2
            loss.backward()
        for_d.step()

    return step


def main() -> None:
    """Print both step times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 32), ("size", 128), ("batch", 1), ("rounds", 7), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    if options.cpu_time and options.threads > 1:
        parser.error("--cpu-time adds up all threads; give --threads 1")
    clock = time.process_time if options.cpu_time else time.perf_counter
    set_threads(options.threads)

    settings = CycleganConfig(source=("nv",), target=("mel",), width=options.width, batch_size=options.batch)
    config = TrainConfig(budget_kimg=100, precision=options.precision, held_out=0)
    images = gather(random_cohort(256, options.size), Cyclegan, settings, config, None)
    learner = Learner(images, Cyclegan, settings, config, make_fabric(options.precision))
    shape = (options.batch, 3, options.size, options.size)
    plain = plain_step(options.width, torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1)
    number = 0

    def ours() -> None:
        nonlocal number
        learner.step(number)
        number += 1

    def seconds(step: Callable[[], None]) -> float:
        started = clock()
        step()
        return clock() - started

    rounds = [(seconds(plain), seconds(ours)) for _ in range(options.rounds + 1)][1:]  # the first one warms up
    theirs_ms, ours_ms = (1000 * statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"{describe(learner.fabric)}, width {options.width}, {options.size} px, batch {options.batch}")
    print(f"plain fp32 step {theirs_ms:7.0f} ms    ours {ours_ms:7.0f} ms    ratio {ratio:.2f}x")


if __name__ == "__main__":
    main()
