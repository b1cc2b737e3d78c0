"""The jobs of a trial: what each kind does with its configuration and its input folders."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from dermsynth.classifiers.config import FitConfig
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN, Chain, Step
from dermsynth.cohorts.sources import SourceConfig
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.cohorts.unseen import check_unseen
from dermsynth.core import artefacts
from dermsynth.core.errors import InputError
from dermsynth.trials.arms import ARMS, Material, amount
from dermsynth.trials.choices import OWN_GENERATOR, of_the_generator

_ORACLE_LESIONS = 10_000_000
"""Oracle draws number their lesions from here on, so that none is in the cohort."""


def make_cohort(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Ingest and split; the folder gets its name only when both are done."""
    from dermsynth.cohorts.split import SplitConfig, split

    staging = out.with_name(f"{out.name}.partial")
    _ingest(config, staging)
    split(staging, SplitConfig(**config["split"]), seed=config["seed"])
    staging.rename(out)


def make_external(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Ingest images of another source for a test, none of which shows what the trial's cohort shows.

    Raises:
        InputError: a class that the cohort does not have.
        LeakageError: an image, a lesion or a patient of the cohort.
    """
    staging = out.with_name(f"{out.name}.partial")
    images, cohort = _ingest(config, staging), Cohort.open(inputs["cohort"])
    strange = [name for name, count in images.counts().items() if count and name not in cohort.classes]
    if strange:
        raise InputError(
            f"its images have class '{strange[0]}', and the trial's cohort has {', '.join(cohort.classes)}; "
            "give it 'labels', a label map to these"
        )
    as_test = replace(images, table=images.table.with_columns(split=pl.lit("test")))
    used = cohort.table.filter(pl.col("split").is_in(["train", "val"]))
    check_unseen(as_test, used, str(inputs["cohort"]))
    staging.rename(out)


def _ingest(config: Mapping[str, Any], staging: Path) -> Cohort:
    from dermsynth.cohorts.ingest import ingest

    source: Any = TypeAdapter(SourceConfig).validate_python(config["source"])
    shutil.rmtree(staging, ignore_errors=True)
    return ingest(source, config["size_px"], staging, preprocessing=_chain(config), labels=config.get("labels"))


def resize_images(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Bring a cohort or a pool to another size."""
    from dermsynth.cohorts.resize import resize

    resize(Cohort.open(inputs["images"]), config["size_px"], out)


def alter_copies(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Add altered copies to the train part, for a generator."""
    from dermsynth.cohorts.altered import with_altered_copies

    augmentation = ClassicalAugmentation(**config["augmentation"])
    cohort = Cohort.open(inputs["cohort"])
    with_altered_copies(cohort, config["copies"], augmentation, out, seed=config["seed"])


def rank_paths(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Keep, of a class's training images, those that a classifier is surest of."""
    from dermsynth.pools.path_rank import path_rank

    path_rank(inputs["fit"], Cohort.open(inputs["cohort"]), config["label"], config["keep"], out)


def train_generator(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Train one replica of the generator."""
    from dermsynth.algorithms import algorithm_class
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.loop import train

    chosen = algorithm_class(config["algorithm"])
    cohort = Cohort.open(inputs["cohort"])
    train(cohort, chosen, chosen.Config(**config["settings"]), TrainConfig(**config["training"]), out)


def draw_pool(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Draw what the classes get from a generator, `times` as many where screens will choose."""
    from dermsynth.pools.sample import sample

    times = config.get("times", 1)
    wanted = _wanted(config, Cohort.open(inputs["cohort"]))
    counts = {name: ceil(count * times) for name, count in wanted.items() if count}
    sample(inputs["run"], counts, out, seed=config["seed"], settings=config.get("settings"))


def translate_pool(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Translate real images, or drawn ones that are to be refined."""
    from dermsynth.pools.translate import translate

    cohort = Cohort.open(inputs["cohort"])
    translate(inputs["run"], cohort, out, count=config["count"], label=config["label"], seed=config["seed"])


def stage_pool(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Put drawn images beside the real ones as classes of their own."""
    from dermsynth.pools.stage import stage

    stage(Cohort.open(inputs["cohort"]), Cohort.open(inputs["pool"]), out)


def join_pools(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Make one pool of several."""
    from dermsynth.pools.join import join

    join([Cohort.open(path) for path in inputs.values()], out)


def screen_pool(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Keep the images that pass the screens.

    Raises:
        InputError: fewer are left of a class than the arms need.
    """
    from dermsynth.pools.screen import screen
    from dermsynth.pools.screens import rules_of

    cohort, pool = Cohort.open(inputs["cohort"]), Cohort.open(inputs["pool"])
    judges = [path for name, path in inputs.items() if name.startswith("judge ")]
    found = screen(pool, cohort, rules_of(config["rules"]), encoder=config["encoder"], classifiers=judges)
    kept = pool.select(found.kept).counts()
    for name, count in _wanted(config, cohort).items():
        if kept[name] < count:
            raise InputError(
                f"{kept[name]} of {pool.counts()[name]} images of class '{name}' pass the screens, and {count} are "
                f"needed; set generator.drawn to {_enough(kept[name], pool.counts()[name], count)}"
            )
    found.save(out)


def _enough(kept: int, drawn: int, needed: int) -> str:
    """Say how many times the needed images must be drawn so that enough pass, with a tenth to spare."""
    return (
        f"{1.1 * drawn / kept:.1f} or more" if kept else f"much more than {drawn / needed:.1f}, or choose other rules"
    )


def draw_oracle(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Draw what the classes get from the phantom: new lesions of the true distribution."""
    from dermsynth.cohorts.ingest import ingest

    # A class that lacks nothing gets one image, which no arm takes: all cohorts of a trial have the same classes.
    counts = {name: max(1, count) for name, count in _wanted(config, Cohort.open(inputs["cohort"])).items()}
    first = _ORACLE_LESIONS * (config["repeat"] + 1)
    source = PhantomConfig(**{**config["source"], "counts": counts, "first_lesion": first})
    ingest(source, config["size_px"], out, preprocessing=_chain(config))


def predict_images(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Ask a fit about images that no one learnt from; they are its split `test`."""
    from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
    from dermsynth.classifiers.trained import TrainedClassifier

    classifier, images = TrainedClassifier.open(inputs["fit"]), Cohort.open(inputs["images"])
    index = {name: number for number, name in enumerate(classifier.classes)}
    found = Predictions(
        image_ids=images.table["image_id"].to_numpy().astype(np.str_),
        lesion_ids=images.table["lesion_id"].to_numpy().astype(np.str_),
        labels=np.array([index[name] for name in images.table["label"]], dtype=np.int64),
        probabilities=classifier.probabilities(images),
        classes=classifier.classes,
    )
    with artefacts.creating(out, "predictions") as draft:
        write_predictions(draft.path / FILE, {"test": found})
        draft.card.update(images=len(images), classifier_sha256=classifier.sha256, cohort=images.identity)


def _wanted(config: Mapping[str, Any], cohort: Cohort) -> dict[str, int]:
    return amount(cohort, config.get("fill_to"), config.get("add", {}))


def _chain(config: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the preprocessing in the configuration of a job."""
    return TypeAdapter(Chain).validate_python(config["preprocessing"]) if "preprocessing" in config else DEFAULT_CHAIN


def fit_arm(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Train one classifier on one arm with one seed."""
    from dermsynth.classifiers.fit import fit

    cohort = Cohort.open(inputs["cohort"])
    pool, oracle = (Cohort.open(inputs[name]) if name in inputs else None for name in ("pool", "oracle"))
    classifier = FitConfig(**config["classifier"])
    if of_the_generator(classifier):
        first = classifier.model.removesuffix(OWN_GENERATOR)
        classifier = classifier.changed(model=f"{first}{inputs['run']}")
    augmentation = ClassicalAugmentation(**(config["augmentation"] or {}))
    wanted = _wanted(config, cohort) if "fill_to" in config or "add" in config else {}
    material = Material(cohort, wanted, classifier.seed, pool, oracle, augmentation)
    chosen = ARMS[config["arm"]](material)
    fit(
        chosen.cohort,
        cohort.part("val"),
        cohort.part("test"),
        classifier,
        out,
        rows=chosen.rows,
        augmentation=chosen.augmentation,
        balance=chosen.balance,
        facts={"arm": config["arm"], "train_counts": chosen.counts()},
    )
