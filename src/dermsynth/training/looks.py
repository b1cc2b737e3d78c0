"""A look at the averaged generator at every snapshot: is it near real images, is it varied, does it still move?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dermsynth.algorithms.base import Algorithm
from dermsynth.core.randomness import numpy_generator, torch_generator
from dermsynth.encoders import handmade
from dermsynth.encoders.chosen import chosen_encoder
from dermsynth.metrics.coverage import coverage, mean_distance
from dermsynth.metrics.kernel import kernel_distance
from dermsynth.training.device import to_network
from dermsynth.training.images import FEWEST, TrainingImages
from dermsynth.training.learner import Learner
from dermsynth.training.samples import draw_grid, generate, translate

_AT_ONCE = 64
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


class Looks:
    """Compares generated images with the held-out images of the train part, label for label.

    Features are those of the encoder in the training's settings. The kernel distance is unbiased, so real images are at
    about 0 from each other: `kernel_floor` shows how far from 0 chance takes it with this many images.
    """

    def __init__(self, learner: Learner, material: TrainingImages) -> None:
        self._learner, self._seed = learner, learner.config.seed
        domains = learner.algorithm.domains()
        wanted = material.classes if domains is None else domains[1]
        fitted, held_out = (
            cohort.select(cohort.table["label"].is_in(wanted).to_numpy())
            for cohort in (material.fitted, material.held_out)
        )
        choice = learner.config.encoder
        self.can_measure = len(held_out) >= FEWEST and (choice is not None or handmade.can_encode(held_out.size_px))
        self._sources = None if domains is None else _sources(learner, material, domains[0], max(len(held_out), 8))
        if self.can_measure:
            self._labels = material.labels(held_out)
            beside = _alike(material.labels(fitted), self._labels, self._seed)
            self._encoder = chosen_encoder(choice, fitted)
            self._real = self._features(held_out.images[:])
            self._beside = self._features(fitted.images[beside])
            self._real_facts = {
                "kernel_floor": kernel_distance(self._real, self._beside),
                "real_diversity": _diversity(self._real, self._labels),
                "real_coverage": coverage(self._real, self._beside),
            }

    def look(self, images_seen: int, before: Pixels | None) -> tuple[dict[str, float | int], Pixels]:
        """Return what is measured of the averaged generator, and its grid of images (rows x columns x H x W x 3)."""
        generator = self._learner.averaged(images_seen)
        algorithm = self._learner.algorithm
        found: dict[str, float | int] = {"images_seen": images_seen}
        if self._sources is None:
            grid = draw_grid(algorithm, generator, self._seed)
        else:
            first = self._sources[:8]
            there = translate(algorithm, generator, to_network(torch.from_numpy(first), self._learner.fabric)).numpy()
            grid = np.stack([first, there])
        if before is not None and before.shape == grid.shape:
            found["change"] = float(np.abs(grid.astype(np.float32) - before).mean())
        if self.can_measure:
            fakes = self._features(np.concatenate(list(self._draw(algorithm, generator))))
            found |= {
                "kernel_distance": kernel_distance(self._real, fakes),
                "diversity": _diversity(fakes, self._labels),
                "coverage": coverage(self._real, fakes),
                **self._real_facts,
            }
        return found, grid

    def _draw(self, algorithm: Algorithm, generator: nn.Module) -> Iterator[Pixels]:
        fabric = self._learner.fabric
        for first in range(0, len(self._labels), _AT_ONCE):
            labels = torch.from_numpy(self._labels[first : first + _AT_ONCE]).to(fabric.device)
            if self._sources is not None:
                pixels = torch.from_numpy(self._sources[first : first + _AT_ONCE])
                yield translate(algorithm, generator, to_network(pixels, fabric)).numpy()
                continue
            draws = torch_generator(self._seed, "look", first, fabric.device)
            noise = torch.randn(len(labels), algorithm.latent, generator=draws, device=fabric.device)
            yield generate(algorithm, generator, noise, labels).numpy()

    def _features(self, images: Pixels) -> Floats:
        return np.asarray(self._encoder.encode(images), dtype=np.float64)


def _sources(learner: Learner, material: TrainingImages, classes: tuple[str, ...], count: int) -> Pixels:
    """Return images to translate: always the same ones of the source classes."""
    rows = np.flatnonzero(material.fitted.table["label"].is_in(classes).to_numpy())
    picked = numpy_generator(learner.config.seed, "sources").choice(rows, count, replace=len(rows) < count)
    return material.fitted.images[picked]


def _alike(labels: NDArray[np.int64], wanted: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return rows with the labels `wanted`, one each; a row comes twice only if its class has too few."""
    generator = numpy_generator(seed, "beside")
    rows = np.empty(len(wanted), dtype=np.int64)
    for label in np.unique(wanted):
        places, of_class = np.flatnonzero(wanted == label), np.flatnonzero(labels == label)
        rows[places] = generator.choice(of_class, len(places), replace=len(of_class) < len(places))
    return rows


def _diversity(features: Floats, labels: NDArray[np.int64]) -> float:
    """Return the mean distance of two images of one class, over the classes by their size."""
    sizes = {label: int((labels == label).sum()) for label in np.unique(labels)}
    several = [label for label, size in sizes.items() if size > 1]
    distances = [mean_distance(features[labels == label]) for label in several]
    return float(np.average(distances, weights=[sizes[label] for label in several])) if several else 0.0
