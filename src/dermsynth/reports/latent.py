"""A figure of a generator's latent space: a path between two noise vectors, the same one for every class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import torch_generator
from dermsynth.pools.trained import Trained
from dermsynth.reports.sheets import Row
from dermsynth.training.samples import generate

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 8


def rows(run: Path | str, classes: Sequence[str] = (), seed: int = 0) -> list[Row]:
    """Return a row per class: images along the great circle from one noise vector to another.

    A generator that has learnt a distribution changes evenly along a row; one that has learnt images by heart jumps.
    Down a column only the class changes.

    Args:
        run: A finished run of an algorithm that draws from noise.
        classes: Which ones; default: all that it practised.
        seed: Another one shows another path.

    Raises:
        InputError: a run that translates, or an unknown class.
        ArtefactError: `run` is no finished run.
    """
    import torch

    trained = Trained.open(run)
    if trained.translates:
        raise InputError(f"{run}: {trained.name} makes images from images and has no latent space to walk in")
    practised = [name for name in trained.classes if trained.card["train_counts"].get(name)]
    for name in classes:
        if name not in practised:
            raise InputError(f"{run}: did not practise class '{name}'; {nearest(name, practised)}")
    algorithm, generator = trained.network
    first, last = (torch.randn(algorithm.latent, generator=torch_generator(seed, "latent path", end)) for end in (0, 1))
    path = great_circle(first, last, STEPS).to(trained.fabric.device)
    captions = [f"{number / (STEPS - 1):.2f}" for number in range(STEPS)]
    found = []
    for name in classes or practised:
        labels = torch.full((STEPS,), trained.classes.index(name), device=path.device)
        found.append(Row(name, trained.name, generate(algorithm, generator, path, labels).numpy(), captions))
    return found


def great_circle(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Return steps x latent: from one normal vector to another at an even angle, of the length that normal ones have.

    Straight lines pass through short vectors, which a generator has never seen (White 2016, arXiv:1609.04468).
    """
    import torch

    lengths = first.norm(), last.norm()
    one, other = first / lengths[0], last / lengths[1]
    angle = math.acos(float((one * other).sum().clamp(-1, 1)))
    share = torch.linspace(0, 1, steps)[:, None]
    direction = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / math.sin(angle)
    path: Tensor = direction * torch.lerp(lengths[0], lengths[1], share)
    return path
