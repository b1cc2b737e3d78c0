"""Draw a pool from a trained run: class counts in, a cohort of synthetic images out, each with its provenance."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.core import artefacts
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from dermsynth.algorithms.base import Algorithm

_CHUNK = 64


def sample(
    run: Path | str,
    counts: Mapping[str, int],
    out: Path | str,
    *,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cohort:
    """Draw synthetic images from a run's averaged generator.

    Args:
        run: A finished run of `dermsynth train`.
        counts: Images per class; classes left out get none.
        out: The pool's folder: a cohort with `origin` synthetic and the columns `algorithm`, `generator_sha256`,
            `seed` and `draw`. The noise of an image is a function of (seed, class, draw): it can be drawn again alone.
        seed: Another seed gives other images.
        force: Replace an existing pool.
        progress: Called with images drawn and images in all.

    Returns:
        The pool, opened from `out`. Its folder keeps `seen.parquet`, the images the generator learnt from.

    Raises:
        InputError: an unknown class or a count below zero, or nothing to draw.
        ArtefactError: `run` is no finished run, or `out` exists.
    """
    run, out = Path(run), Path(out)
    card = artefacts.read_card(run, "run")
    classes = tuple(card["classes"])
    _check(counts, classes)
    networks_sha256 = card["files"]["networks.safetensors"]["sha256"]
    facts = {
        "config": {"counts": dict(counts), "seed": seed},
        "run": {"networks_sha256": networks_sha256, "config": card["config"], "images_seen": card["images_seen"]},
        "licence": card.get("licence"),
    }
    total = sum(counts.values())
    algorithm, generator = load_generator(run)
    done = 0
    with writing_cohort(out, classes, force=force, facts=facts) as writer:
        shutil.copyfile(run / "seen.parquet", writer.folder / "seen.parquet")
        for label, draws in _chunks(counts, classes):
            images = draw_images(algorithm, generator, classes.index(label), draws, seed)
            name = f"{algorithm.name}-{networks_sha256[:8]}-{seed}-{label}"
            table = pl.DataFrame(
                {
                    "image_id": [f"{name}-{draw}" for draw in draws],
                    "label": label,
                    # A synthetic image is a lesion of its own: it is nobody's.
                    "lesion_id": [f"{name}-{draw}" for draw in draws],
                    "patient_id": pl.Series([None] * len(draws), dtype=pl.String),
                    "source": algorithm.name,
                    "origin": "synthetic",
                    "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
                    "algorithm": algorithm.name,
                    "generator_sha256": networks_sha256,
                    "seed": seed,
                    "draw": draws,
                }
            )
            writer.append(table, images)
            done += len(draws)
            progress(done, total)
    return Cohort.open(out)


def load_generator(run: Path) -> tuple[Algorithm, nn.Module]:
    """Return the algorithm of a finished run and its averaged generator, in eval mode on the CPU in float32."""
    from dermsynth.algorithms import algorithm_class
    from dermsynth.training import checkpoint

    card = artefacts.read_card(run, "run")
    chosen = algorithm_class(card["config"]["algorithm"])
    algorithm = chosen(chosen.Config(**card["config"]["settings"]), card["size_px"], len(card["classes"]))
    generator = algorithm.networks["generator"]
    path = run / "networks.safetensors"
    checkpoint.load_network("ema", generator, checkpoint.load(path)[0], path)
    return algorithm, generator.eval()


def draw_images(algorithm: Algorithm, generator: nn.Module, label: int, draws: range, seed: int) -> NDArray[np.uint8]:
    """Return uint8 n x H x W x 3: the images of one class with these draw numbers."""
    import torch

    from dermsynth.core.randomness import torch_generator
    from dermsynth.training.samples import generate

    noise = torch.stack(
        [torch.randn(algorithm.latent, generator=torch_generator(seed, f"pool class {label}", draw)) for draw in draws]
    )
    return generate(generator, noise, torch.full((len(draws),), label)).numpy()


def _chunks(counts: Mapping[str, int], classes: tuple[str, ...]) -> Iterator[tuple[str, range]]:
    for label in classes:
        wanted = counts.get(label, 0)
        for first in range(0, wanted, _CHUNK):
            yield label, range(first, min(first + _CHUNK, wanted))


def _check(counts: Mapping[str, int], classes: tuple[str, ...]) -> None:
    for label, count in counts.items():
        if label not in classes:
            raise InputError(f"unknown class '{label}'; {nearest(label, classes)}")
        if count < 0:
            raise InputError(f"class '{label}': cannot draw {count} images")
    if not sum(counts.values()):
        raise InputError("nothing to draw: give at least one class a count above 0")
