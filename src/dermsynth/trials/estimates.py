"""How long the jobs of a trial take and how much disk they fill, judged before any of them runs.

Networks are tried for some steps at their size on images of noise: what images show does not change the time of a step.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from dermsynth.cohorts.cohort import PARTS, Cohort
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN, Chain
from dermsynth.cohorts.sources import SourceConfig, make_source
from dermsynth.core.errors import ArtefactError
from dermsynth.trials import work
from dermsynth.trials.choices import of_the_generator
from dermsynth.trials.jobs import Job
from dermsynth.trials.task import Work

_PICTURES, _NOISE_IMAGES = 16, 256
"""Images that are read to time a source; the most images of noise of a class."""
_FLOAT_BYTES, _ROW_BYTES = 4, 120
"""Of a weight; of a row of a table, its ids and hashes."""


@dataclass(frozen=True)
class Guess:
    """What one job would take.

    Attributes:
        seconds: On one thread; None where it cannot be tried without what other jobs make.
        kept_bytes: On disk when it is done.
        working_bytes: More, while it runs: checkpoints.
    """

    seconds: float | None
    kept_bytes: int
    working_bytes: int = 0


@dataclass(frozen=True)
class Known:
    """What is known of a trial's images before it runs.

    Attributes:
        classes: Of the cohort.
        parts: Images by part and class.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, cohort: Cohort) -> Known:
        """Return what a split cohort tells."""
        return cls(cohort.classes, {part: cohort.part(part).counts() for part in PARTS})

    def images(self, *parts: str) -> int:
        """Return the number of images in these parts."""
        return sum(sum(self.parts[part].values()) for part in parts)

    def wanted(self, config: Mapping[str, Any]) -> int:
        """Return how many images a job draws whose configuration has `add` or `fill_to`, `times` or `count`."""
        if "count" in config:
            return int(config["count"])
        train = self.parts["train"]
        added: Mapping[str, int] = config.get("add") or {
            name: max(0, config.get("fill_to", 0) - count) for name, count in train.items()
        }
        return ceil(sum(added.values()) * float(config.get("times", 1)))


class Guesses:
    """Tries each distinct piece of work once."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._tried: dict[str, Any] = {}

    def of(self, job: Job) -> Guess:
        """Return what a job would take."""
        kinds: dict[Work, Callable[[Job], Guess]] = {
            work.make_cohort: self._cohort,
            work.make_external: self._cohort,
            work.train_generator: self._run,
            work.draw_pool: self._pool,
            work.translate_pool: self._pool,
            work.draw_oracle: self._oracle,
            work.fit_arm: self._fit,
            work.predict_images: self._predictions,
        }
        return kinds.get(job.work, self._copy)(job)

    def _cohort(self, job: Job) -> Guess:
        return self._read(job, self._known.images("train", "val", "test"))

    def _oracle(self, job: Job) -> Guess:
        return self._read(job, self._known.wanted(job.config))

    def _read(self, job: Job, count: int) -> Guess:
        from dermsynth.cohorts.ingest import read_photos

        config = job.config
        chain = TypeAdapter(Chain).validate_python(config["preprocessing"]) if "preprocessing" in config else None

        def trial() -> float:
            chosen: Any = TypeAdapter(SourceConfig).validate_python(config["source"])
            source = make_source(chosen)
            rows = source.check()
            rows = rows[:: max(1, rows.height // _PICTURES)]
            started = time.perf_counter()
            for _ in read_photos(source, rows, config["size_px"], chain or DEFAULT_CHAIN, on_bad="skip"):
                pass
            return (time.perf_counter() - started) / rows.height

        each_s = self._once(["read", config["source"], config["size_px"], config.get("preprocessing")], trial)
        return Guess(each_s * count, _stack_bytes(count, config["size_px"]))

    def _run(self, job: Job) -> Guess:
        found = self._run_estimate(job)
        # A checkpoint and the state at the last snapshot, both with the optimisers; then networks and average.
        return Guess(found.total_s, found.held_bytes, 2 * found.held_bytes)

    def _run_estimate(self, job: Job) -> Any:
        from dermsynth.algorithms import algorithm_class
        from dermsynth.training.config import TrainConfig
        from dermsynth.training.estimate import estimate

        config, size_px = job.config, _size_of(job)
        training = TrainConfig(**{**config["training"], "seed": 0})
        chosen = algorithm_class(config["algorithm"])

        def trial() -> Any:
            domains = {name for side in ("source", "target") for name in config["settings"].get(side, ())}
            counts = {name: self._known.parts["train"].get(name, _NOISE_IMAGES) for name in self._known.classes}
            counts |= dict.fromkeys(domains - set(counts), _NOISE_IMAGES)
            return estimate(_noise(counts, size_px), chosen, chosen.Config(**config["settings"]), training)

        return self._once(["run", config["algorithm"], config["settings"], training.canonical(), size_px], trial)

    def _pool(self, job: Job) -> Guess:
        count, run = self._known.wanted(job.config), job.inputs["run"]
        found = self._run_estimate(run)
        # A look draws as many images as are held out, and measures them as well.
        each_s = found.look_s / max(1, found.held_out)
        return Guess(each_s * count, image_bytes(job, self._known))

    def _fit(self, job: Job) -> Guess:
        known, found = self._known, self._fit_estimate(job)
        predictions = known.images("val", "test") * (8 * len(known.classes) + _ROW_BYTES)
        if found is None:
            return Guess(None, predictions)
        weights = _FLOAT_BYTES * found.parameters
        return Guess(found.total_s, weights + predictions, 4 * weights)

    def _fit_estimate(self, job: Job) -> Any:
        from dermsynth.classifiers.config import FitConfig
        from dermsynth.classifiers.estimate import estimate_fit
        from dermsynth.cohorts.augment import ClassicalAugmentation

        config, size_px, known = job.config, _size_of(job), self._known
        classifier = FitConfig(**config["classifier"]).changed(seed=0)
        if of_the_generator(classifier):
            return None
        augmentation = ClassicalAugmentation(**config["augmentation"]) if config["augmentation"] else None

        def trial() -> Any:
            few = {name: min(count, 64) for name, count in known.parts["train"].items()}
            numbers = {part: known.images(part) for part in ("train", "val", "test")}
            return estimate_fit(_noise(few, size_px), classifier, augmentation, **numbers)

        return self._once(["fit", classifier.canonical(), config["augmentation"], size_px], trial)

    def _predictions(self, job: Job) -> Guess:
        images, fit = job.inputs["images"], self._fit_estimate(job.inputs["fit"])
        count = self._known.images("test") if images.kind == "cohort" else self._known.wanted(images.config)
        kept = count * (8 * len(self._known.classes) + _ROW_BYTES)
        return Guess(None if fit is None else fit.image_s * count, kept)

    def _copy(self, job: Job) -> Guess:
        """Return the disk of a job that copies, joins or screens images; its time is not tried."""
        return Guess(None, image_bytes(job, self._known))

    def _once(self, key: Any, trial: Any) -> Any:
        name = json.dumps(key, sort_keys=True)
        if name not in self._tried:
            self._tried[name] = trial()
        return self._tried[name]


def check_disk(jobs: Sequence[Job], known: Known, folder: Path) -> None:
    """Raise ArtefactError if the images that jobs will make do not fit on the disk of a folder.

    Args:
        jobs: Those that are not done.
        known: The trial's images.
        folder: Where they will be.
    """
    needed, free = sum(image_bytes(job, known) for job in jobs), free_bytes(folder)
    if needed > free:
        raise ArtefactError(
            f"{folder}: the trial's images need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "free some space, or choose another place with --jobs"
        )


def free_bytes(folder: Path) -> int:
    """Return what is free on the disk where a folder is, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def image_bytes(job: Job, known: Known) -> int:
    """Return the disk that the images take which a job draws, copies or chooses; 0 for one that makes no images."""
    if job.work in (work.make_cohort, work.make_external, work.train_generator, work.fit_arm, work.predict_images):
        return 0
    return _stack_bytes(known.wanted(job.config), _size_of(job.inputs.get("run", job)))


def _size_of(job: Job) -> int:
    """Return the side of the images that a job makes or reads."""
    if "size_px" in job.config:
        return int(job.config["size_px"])
    return _size_of(next(job.inputs[name] for name in ("cohort", "images", *job.inputs) if name in job.inputs))


def _stack_bytes(count: int, size_px: int) -> int:
    return count * (3 * size_px**2 + _ROW_BYTES)


def _noise(counts: Mapping[str, int], size_px: int) -> Cohort:
    """Return a train part of noise with these classes, of each at most `_NOISE_IMAGES` images."""
    labels = [name for name, count in counts.items() for _ in range(min(count, _NOISE_IMAGES))]
    ids = [f"noise-{number}" for number in range(len(labels))]
    table = pl.DataFrame({"image_id": ids, "label": labels, "lesion_id": ids, "sha256": ids}).with_columns(
        patient_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("noise"),
        origin=pl.lit("real"),
        split=pl.lit("train"),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), size_px, size_px, 3), dtype=np.uint8)
    return Cohort.in_memory(table, pixels, tuple(counts))
