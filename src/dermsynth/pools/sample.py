"""Draw a pool from a trained run: class counts in, a cohort of synthetic images out, each with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import digest_of, nearest
from dermsynth.core.errors import InputError
from dermsynth.pools.trained import Trained


def sample(
    run: Path | str,
    counts: Mapping[str, int],
    out: Path | str,
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    told: str = "chosen numbers per class",
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cohort:
    """Draw synthetic images from a run's averaged generator.

    Args:
        run: A finished run of `dermsynth train`, of an algorithm that makes images from noise.
        counts: Images per class; classes left out get none.
        out: The pool's folder: a cohort with `origin` synthetic and the columns `algorithm`, `generator_sha256`,
            `seed` and `draw`. The noise of an image is a function of (seed, class, draw): it can be drawn again alone.
        seed: Another seed gives other images.
        settings: Sampling settings with other values than in training (`truncation`, …); which ones there are depends
            on the algorithm. They go into the pool's card.
        told: How `counts` were reckoned, for the pool's card; see `dermsynth.pools.amounts`.
        force: Replace an existing pool.
        progress: Called with images drawn and images in all.

    Returns:
        The pool, opened from `out`. Its folder keeps `seen.parquet`, the images the generator learnt from.

    Raises:
        InputError: an unknown class or a count below zero, nothing to draw, a class that a run trained further did not
            see, or a run that translates.
        ConfigError: `settings` that are no sampling settings, or a wrong value.
        ArtefactError: `run` is no finished run, or `out` exists.
    """
    trained = Trained.open(run, settings)
    if trained.translates:
        raise InputError(
            f"{run}: {trained.name} makes images from images, not from noise; "
            f"use 'dermsynth translate {run} COHORT --out POOL'"
        )
    _check(counts, trained)
    total, done = sum(counts.values()), 0
    # Other settings make other images, which must not bear the same names.
    apart = f"-{digest_of(trained.changed)[:8]}" if trained.changed else ""
    config = {"counts": dict(counts), "reckoned": told, "seed": seed}
    with trained.writing_pool(out, trained.cohort_classes, config, force=force) as writer:
        for label, draws in _chunks(counts, trained):
            images = draw_images(trained, label, draws, seed)
            name = f"{trained.name}-{trained.sha256[:8]}{apart}-{seed}-{label}"
            names = [f"{name}-{draw}" for draw in draws]
            writer.append(trained.rows(names, label, images, seed=seed, draw=draws), images)
            done += len(draws)
            progress(done, total)
    return Cohort.open(out)


def draw_images(trained: Trained, label: str, draws: range, seed: int) -> NDArray[np.uint8]:
    """Return uint8 n x H x W x 3: the images of one class with these draw numbers."""
    import torch

    from dermsynth.core.randomness import torch_generator
    from dermsynth.training.samples import generate

    algorithm, generator = trained.network
    number = trained.classes.index(label)
    # Noise is drawn on the CPU, image by image: the same on every device, and however many are drawn beside it.
    noise = [
        torch.randn(algorithm.latent, generator=torch_generator(seed, f"pool class {number}", draw)) for draw in draws
    ]
    device = trained.fabric.device
    labels = torch.full((len(draws),), number, device=device)
    return generate(algorithm, generator, torch.stack(noise).to(device), labels).numpy()


def _chunks(counts: Mapping[str, int], trained: Trained) -> Iterator[tuple[str, range]]:
    for label in trained.classes:
        wanted = counts.get(label, 0)
        for first in range(0, wanted, trained.at_once):
            yield label, range(first, min(first + trained.at_once, wanted))


def _check(counts: Mapping[str, int], trained: Trained) -> None:
    practised = trained.card["train_counts"]
    for label, count in counts.items():
        if label not in trained.classes:
            raise InputError(f"unknown class '{label}'; {nearest(label, trained.classes)}")
        if count < 0:
            raise InputError(f"class '{label}': cannot draw {count} images")
        if count and not practised.get(label):
            raise InputError(
                f"{trained.path}: was trained further on {', '.join(practised)}, not on '{label}'; "
                "draw that class from the run it started from"
            )
    if not sum(counts.values()):
        raise InputError("nothing to draw: give at least one class a count above 0")
