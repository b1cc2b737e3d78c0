"""Fit one classifier: train on an arm's images, choose the state that is best on validation, predict val and test.

A fit lives in `OUT.partial` until it is complete. The same call continues what is in there, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.classifiers import find
from dermsynth.classifiers.calibrate import fit_temperature, operating_points
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.novelty import write_novelty
from dermsynth.classifiers.predict import predict
from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.classifiers.start import check_start
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import DivergedError, InputError, InterruptedRunError, LeakageError
from dermsynth.core.locks import alone_in
from dermsynth.metrics.temperature import tempered
from dermsynth.training.device import describe
from dermsynth.training.partial import CHECKPOINT, HISTORY, SETTINGS, PartialRun, flat
from dermsynth.training.stop import StopRequests

if TYPE_CHECKING:
    from dermsynth.classifiers.balance import Balance
    from dermsynth.classifiers.run import Run
    from dermsynth.classifiers.solved import Solved

WEIGHTS = "classifier.safetensors"
WEIGHTS_PREFIX = "classifier"
_PROGRESS_CALLS = 100

Progress = Callable[[int, int], None]
"""Called with (images seen, images in all) from time to time."""


def fit(
    train: Cohort,
    val: Cohort,
    test: Cohort,
    config: FitConfig,
    out: Path | str,
    *,
    rows: NDArray[np.int64] | None = None,
    augmentation: ClassicalAugmentation | None = None,
    balance: Balance = "none",
    facts: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Train a classifier and return its folder.

    The state with the highest score on `val` is kept, of equal ones the earliest. Test images are read once, by that
    state. Same configuration, cohorts and number of threads: the same bits, also where the fit was stopped between.

    Args:
        train: Training images, real or synthetic.
        val: Real images that choose the state, the temperature and the operating points; every class is among them.
        test: Real images that are predicted.
        config: Network and training.
        out: The folder to make: `predictions.parquet` (val and test), `history.jsonl` (a line per scored state),
            `classifier.safetensors` (the chosen one), `novelty.safetensors` (what unusual images are found by) and
            `card.json`.
        rows: The rows of `train` that make one epoch; a row may stand in it several times. Default: every row once.
        augmentation: Alters every training image each time it is seen; where it mixes images, the loss is the cross
            entropy to the shares of their classes. Default: images as they are.
        balance: What the loss does about unequal classes.
        facts: Go into the card.
        force: Replace an existing artefact, or start over where a partial fit has other settings.
        progress: Called with images seen and images in all.

    Raises:
        InputError: the cohorts have different classes or sizes, a class is missing in `val`, `train` has one class
            only, `rows` are not rows of `train`, `balance` needs images of a class that has none, or the network cannot
            be made or cannot do what is asked.
        LeakageError: a synthetic image is in `val` or `test`, a lesion is in two of the three, or the network starts
            from a generator's that saw one of `val` or `test`.
        DivergedError: the loss or a prediction is no longer finite.
        ArtefactError: `out` exists and `force` is false, its partial fit has other settings, another process is at work
            there, or the disk is full.
        InterruptedRunError: the user stopped it; the state is saved.
    """
    import torch

    from dermsynth.classifiers.run import Run
    from dermsynth.classifiers.solved import Solved

    out = artefacts.check_free(Path(out), force=force)
    rows = np.arange(len(train), dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
    _check(train, val, test, rows)
    check_start(config, val, test, alters=augmentation is not None or balance != "none")
    what = {
        "config": config.canonical(),
        "augmentation": augmentation.canonical() if augmentation else None,
        "balance": balance,
    }
    images = {name: part.identity[:12] for name, part in (("train", train), ("val", val), ("test", test))}
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), artefacts.explained_disk_errors(out):
        run: Run | Solved
        if find(config.model).learns_in_steps:
            run = Run(train, val, config, rows, augmentation, balance)
        else:
            run = Solved(train, val, config, rows)
        machine = ", ".join(f"{name} {value}" for name, value in describe(run.fabric).items())
        identity = flat({**what, **images, "rows": hashlib.sha256(rows.tobytes()).hexdigest()[:12]})
        identity["machine"] = f"{machine}, torch {torch.__version__}"
        folder = out.with_name(f"{out.name}.partial")
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            artefacts.check_free(out, force=force)  # another process may have finished it meanwhile
            partial = PartialRun(folder)
            # Without a checkpoint there is nothing that other settings would throw away.
            partial.claim(identity, force=force or not partial.checkpoint.exists())
            try:
                wall_s = _learn(run, partial.checkpoint, progress)
                card = {**(facts or {}), **what, **_complete(run, val, test, folder), "wall_s": wall_s}
                card["novelty"] = write_novelty(folder, run.predictor, train, rows, val, run.fabric)
            except DivergedError:
                shutil.rmtree(folder)  # continued, it would diverge again
                raise
            artefacts.finish(folder, out, "fit", card, leave_out=(CHECKPOINT, SETTINGS))
    return out


def _learn(run: Run | Solved, state: Path, progress: Progress) -> float:
    """Take the steps that are left, and save the state from time to time; return the seconds of all of them."""
    from dermsynth.classifiers.solved import Solved
    from dermsynth.training import checkpoint

    if isinstance(run, Solved):
        started = time.monotonic()
        run.solve()
        return round(time.monotonic() - started, 1)
    steps, batch_size = run.config.steps, run.config.batch_size
    saved = started = time.monotonic()
    if state.exists():
        tensors, known = checkpoint.load(state)
        run.restore(tensors, known, state)
        started -= float(known["wall_s"])
    with StopRequests() as stop:
        while run.step < steps:
            run.advance()
            if run.step % max(1, steps // _PROGRESS_CALLS) == 0 or run.step == steps:
                progress(run.images_seen, steps * batch_size)
            now = time.monotonic()
            if stop.requested or now - saved > run.config.checkpoint_every_s:
                tensors, known = run.state()
                checkpoint.save(state, tensors, {**known, "wall_s": f"{now - started:.2f}"})
                saved = now
            if stop.requested and run.step < steps:
                raise InterruptedRunError(
                    f"stopped at {run.images_seen:,} of {steps * batch_size:,} images; the state is in {state.parent}: "
                    "run the same command again to continue"
                )
    return round(time.monotonic() - started, 1)


def _complete(run: Run | Solved, val: Cohort, test: Cohort, folder: Path) -> dict[str, Any]:
    """Let the best state predict, write what later stages read, and return what the card says of it."""
    from dermsynth.training import checkpoint

    config = run.config
    run.restore_chosen()
    found = {
        name: predict(run.predictor, part, run.fabric, config.tta).astype(np.float64)
        for name, part in (("val", val), ("test", test))
    }
    temperature = fit_temperature(val.labels, found["val"]) if config.calibration == "temperature" else None
    if temperature is not None:
        # As they are written: a threshold that is one of them must still be equal to it when they are read.
        found = {name: tempered(p, temperature["value"]).astype(np.float32).astype(float) for name, p in found.items()}
    write_predictions(
        folder / FILE, {name: _predictions(part, found[name]) for name, part in (("val", val), ("test", test))}
    )
    lines = "".join(json.dumps(line) + "\n" for line in run.history)
    artefacts.write_atomically(folder / HISTORY, lines.encode())
    # One entry only: safetensors writes several in an order that changes from run to run.
    built = {"model": config.model, "classes": run.classes, **run.network.description}
    tensors = checkpoint.network_state(WEIGHTS_PREFIX, run.predictor)
    checkpoint.save(folder / WEIGHTS, tensors, {"classifier": json.dumps(built)})
    scores = {name: value for name, value in run.chosen_line.items() if name.startswith("val_")}
    return {
        "classes": list(run.classes),
        "size_px": val.size_px,
        "preprocessing": (val.card.get("config") or {}).get("preprocessing"),
        "network": run.network.description,
        "train_counts": run.train_counts,
        "parameters": sum(parameter.numel() for parameter in run.network.parameters()),
        "images_seen": run.images_seen,
        "chosen_images_seen": run.chosen_line["images_seen"],
        **scores,
        "temperature": temperature,
        "operating_points": operating_points(val.labels, found["val"], run.classes),
        **describe(run.fabric),
    }


def _predictions(part: Cohort, probabilities: NDArray[np.float64]) -> Predictions:
    return Predictions(
        np.array(part.table["image_id"].to_list(), dtype=np.str_),
        np.array(part.table["lesion_id"].to_list(), dtype=np.str_),
        part.labels,
        probabilities,
        part.classes,
    )


def _check(train: Cohort, val: Cohort, test: Cohort, rows: NDArray[np.int64]) -> None:
    parts = {"train": train, "val": val, "test": test}
    for name, part in parts.items():
        if not len(part):
            raise InputError(f"{name} has no image; split the cohort again")
        if part.classes != train.classes:
            raise InputError(
                f"{name} has classes {', '.join(part.classes)} but train has {', '.join(train.classes)}; "
                "take all three from cohorts with the same classes"
            )
        if part.size_px != train.size_px:
            raise InputError(f"{name} has images of {part.size_px} px but train of {train.size_px}; ingest at one size")
    empty = [name for name, count in val.counts().items() if not count]
    if empty:
        raise InputError(f"class '{empty[0]}' has no image in val, so no state can be chosen; split the cohort again")
    if not len(rows) or rows.min() < 0 or rows.max() >= len(train):
        raise InputError(f"rows must name at least one of the {len(train)} training images, counted from 0")
    found = np.unique(train.labels[rows])
    if len(found) < 2:
        raise InputError(f"train has images of '{train.classes[found[0]]}' only; a classifier needs two classes")
    for name in ("val", "test"):
        synthetic = parts[name].table.filter(pl.col("origin") == "synthetic")
        if synthetic.height:
            raise LeakageError(
                f"{name} holds the synthetic image '{synthetic['image_id'][0]}' ({synthetic.height} in all); "
                "classifiers are judged on real images only"
            )
    for name, other in (("train", "val"), ("train", "test"), ("val", "test")):
        # A leaky split was asked for; even there no image stands in two parts.
        column = "image_id" if parts[other].leaky else "lesion_id"
        shared = parts[name].table.filter(pl.col(column).is_in(parts[other].table[column].to_list()))
        if shared.height:
            raise LeakageError(
                f"lesion '{shared['lesion_id'][0]}' (image '{shared['image_id'][0]}') is in {name} and in {other}; "
                "split the cohort by lesion"
            )
