"""Figures of what a generator's inputs do: paths between two noise vectors, and between two classes."""

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

    trained, practised = _opened(run, classes)
    algorithm, generator = trained.network
    first, last = (torch.randn(algorithm.latent, generator=torch_generator(seed, "latent path", end)) for end in (0, 1))
    path = great_circle(first, last, STEPS).to(trained.fabric.device)
    captions = [f"{number / (STEPS - 1):.2f}" for number in range(STEPS)]
    found = []
    for name in classes or practised:
        labels = torch.full((STEPS,), trained.classes.index(name), device=path.device)
        found.append(Row(name, trained.name, generate(algorithm, generator, path, labels).numpy(), captions))
    return found


def morphs(run: Path | str, source: str, target: str, count: int = 6, seed: int = 0) -> list[Row]:
    """Return a row per noise vector: its image of one class, of the other, and of shares of both between them.

    A generator that knows what tells two classes apart changes that along a row and leaves the rest alone. Between
    classes it was never trained, so an image in the middle is no prediction of a lesion on its way from one to the
    other.

    Args:
        run: A finished run, with two classes or more, of an algorithm that draws from noise.
        source: The class on the left.
        target: The class on the right.
        count: Rows.
        seed: Another one shows other noise.

    Raises:
        InputError: a run that translates, an unknown class, or twice the same.
        ArtefactError: `run` is no finished run.
    """
    import torch

    trained, _ = _opened(run, (source, target))
    if source == target:
        raise InputError(f"{run}: from '{source}' to '{target}' nothing changes; choose two classes")
    algorithm, generator = trained.network
    device = trained.fabric.device
    shares = torch.zeros(STEPS, len(trained.classes))
    shares[:, trained.classes.index(target)] = torch.linspace(0, 1, STEPS)
    shares[:, trained.classes.index(source)] = torch.linspace(1, 0, STEPS)
    captions = [f"{number / (STEPS - 1):.2f}" for number in range(STEPS)]
    found = []
    for number in range(count):
        noise = torch.randn(algorithm.latent, generator=torch_generator(seed, "morph", number))
        images = generate(algorithm, generator, noise.repeat(STEPS, 1).to(device), shares.to(device))
        found.append(Row(f"{source} → {target}", trained.name, images.numpy(), captions))
    return found


def _opened(run: Path | str, classes: Sequence[str]) -> tuple[Trained, list[str]]:
    """Return the run and the classes that it practised; raises InputError for others, and for one that translates."""
    trained = Trained.open(run)
    if trained.translates:
        raise InputError(f"{run}: {trained.name} makes images from images and has no latent space to walk in")
    practised = [name for name in trained.classes if trained.card["train_counts"].get(name)]
    for name in classes:
        if name not in practised:
            raise InputError(f"{run}: did not practise class '{name}'; {nearest(name, practised)}")
    return trained, practised


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
