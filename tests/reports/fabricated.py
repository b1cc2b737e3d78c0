"""A small finished trial folder with the layout of a real one: painted blobs for images, drawn numbers for scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermsynth.classifiers.predictions import Predictions, write_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.randomness import numpy_generator
from dermsynth.trials.costs import COSTS, Cost, write_cost
from dermsynth.trials.looks import as_published, elsewhere
from dermsynth.trials.verdict import ArmFacts, Context, Endpoint, judge

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
TRAIN = {"akiec": 14, "bcc": 18, "bkl": 26, "df": 8, "mel": 24, "nv": 60, "vasc": 9}
TARGET = 40
ENLARGED = ("classical", "oversampled", "hybrid", "placebo", "oracle")
GRID = tuple(f"hybrid fill_to={fill_to} screens.rank={rank}" for fill_to in (10, 20, 40) for rank in (0.5, 1))
SKILL = {"real": 1.1, "classical": 1.3, "oversampled": 1.35, "hybrid": 1.6, "placebo": 1.0, "oracle": 2.2}


def fabricate(
    folder: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    arms: tuple[str, ...] = tuple(SKILL),
    test_images: int = 60,
    size_px: int = 32,
    source: str = "phantom",
    licence: str | None = "CC-BY-NC-4.0",
    name: str = "fabricated",
    looked_elsewhere: bool = False,
) -> Path:
    """Write a trial folder and return it.

    An arm is a recipe, or a recipe with what a grid set, such as `hybrid fill_to=20`. `looked_elsewhere`: with another
    classifier, in groups by sex, and tested as published.
    """
    jobs = folder / "jobs"
    jobs.mkdir(parents=True)
    tests = _counts(test_images)
    table = pl.concat([_rows("train", TRAIN, source), _rows("val", tests, source), _rows("test", tests, source)])
    facts: dict[str, Any] = {"config": {"source": {"kind": source}}, **({"licence": licence} if licence else {})}
    Cohort.in_memory(table, _paint(table, size_px), CLASSES).save(jobs / "cohort-0a1b2c3d", facts=facts)
    index: dict[str, Any] = {"cohort": "jobs/cohort-0a1b2c3d", "runs": [], "pools": {}, "oracle": {}, "fits": {}}
    index["runs"].append(_run(jobs / "run-11112222", size_px))
    for seed in seeds:
        pool = _rows(f"pool{seed}", {c: max(0, TARGET - n) for c, n in TRAIN.items()}, "dcgan").with_columns(
            origin=pl.lit("synthetic"), seed=pl.lit(seed)
        )
        pool = pool.drop("split")
        images = 255 - _paint(pool, size_px)
        Cohort.in_memory(pool, images, CLASSES).save(
            jobs / f"pool-{seed:08d}", facts={"seed": seed, "licence": licence}
        )
        index["pools"][str(seed)] = f"jobs/pool-{seed:08d}"
    if "oracle" in arms:
        more = _rows("oracle", {c: max(0, TARGET - n) for c, n in TRAIN.items()}, source).drop("split")
        Cohort.in_memory(more, _paint(more, size_px), CLASSES).save(jobs / "oracle-99990000")
        index["oracle"] = {str(seed): "jobs/oracle-99990000" for seed in seeds}
    fits: dict[str, dict[int, Path]] = {arm: {} for arm in arms}
    for arm in arms:
        for seed in seeds:
            out = jobs / f"fit-{arm.replace(' ', '-')}-{seed}"
            _fit(out, table, arm, seed)
            fits[arm][seed] = out
            index["fits"].setdefault(arm, {})[str(seed)] = f"jobs/{out.name}"
    context = Context(arms={arm: _facts(arm) for arm in arms})
    if looked_elsewhere:
        context = replace(context, **_elsewhere(jobs, table, index, fits, seeds))
    artefacts.write_json(folder / "index.json", index)
    verdict = judge(
        fits,
        Endpoint(resamples=200),
        control="oversampled",
        treatment="hybrid",
        name=name,
        generators=1,
        context=context,
    )
    artefacts.write_json(folder / "verdict.json", verdict.to_json())
    (folder / "protocol.yaml").write_text(
        f"name: {name}\nseeds: [{', '.join(map(str, seeds))}]\nalgorithm:\n  name: dcgan\n  budget_kimg: 12\n"
        "classifier:\n  name: small-cnn\n  steps: 400\n"
        "endpoint:\n  metric: balanced_accuracy\n  smallest_difference: 0.02\n"
    )
    return folder


def add_fidelity(folder: Path) -> None:
    """Add `fidelity.json` to a trial folder."""
    generator = numpy_generator(0, "fidelity")
    frechet = {"synthetic": 61.4, "real_floor": 8.9}
    per_class = {c: {"n": 24, "synthetic": 90 * generator.random() + 40, "real_floor": 12.0} for c in CLASSES}
    value = {"encoder": "color-texture-96", "n": 180, "frechet": frechet, "classes": per_class}
    value["nearer_to_train"] = {"share": 0.56, "low": 0.48, "high": 0.63, "images": 180}
    artefacts.write_json(folder / "fidelity.json", value)


def add_audit(folder: Path) -> None:
    """Add `audit.json` to a trial folder."""
    findings = [
        {"severity": "error", "finding": "lesion in two parts", "count": 0, "detail": "no lesion straddles the split"},
        {
            "severity": "warning",
            "finding": "near-duplicate <images>",
            "count": 4,
            "detail": "e.g. train00001, val00003",
        },
    ]
    artefacts.write_json(folder / "audit.json", findings)


def add_findings(folder: Path, *messages: str) -> None:
    """Let the monitors of a trial's generator have noticed something at its end."""
    (run,) = folder.glob("jobs/run-*")
    lines = [{"kind": message.partition(":")[0], "images_seen": 12_000, "message": message} for message in messages]
    _write_lines(run / "findings.jsonl", lines)


def add_costs(folder: Path) -> None:
    """Let every job of a trial have kept what it cost."""
    (folder / "jobs" / COSTS).mkdir()
    for place, job in enumerate(sorted(folder.glob("jobs/*-*/"))):
        kind = job.name.partition("-")[0]
        seconds = 10.0 + place
        cost = Cost(
            job=job.name,
            kind=kind,
            title=f"{kind} {place}",
            wall_s=seconds,
            processor_s=seconds,
            peak_bytes=500 * 2**20,
            energy_wh=seconds / 360,
            host="somewhere",
            threads=1,
        )
        write_cost(folder / "jobs", cost)


def _facts(arm: str) -> ArmFacts:
    recipe, *settings = arm.split()
    varied = {key: float(value) for key, value in (one.split("=") for one in settings)}
    return ArmFacts(recipe, varied, _train_counts(recipe))


def _elsewhere(
    jobs: Path, table: pl.DataFrame, index: dict[str, Any], fits: dict[str, dict[int, Path]], seeds: tuple[int, ...]
) -> dict[str, Any]:
    """Return the columns and pairs of a context: groups by sex, another classifier, and the test as published."""
    test = table.filter(pl.col("split") == "test")
    sexes = ["female", "male"] * len(test)
    columns = {"sex": dict(zip(test["image_id"].to_list(), sexes, strict=False))}
    two = ("hybrid", "oversampled")
    further: dict[str, dict[int, Path]] = {arm: {} for arm in two}
    drawn: dict[int, Path] = {}
    for seed in seeds:
        for arm in two:
            further[arm][seed] = jobs / f"fit-resnet18-{arm}-{seed}"
            _fit(further[arm][seed], table, arm, seed + 100)
        drawn[seed] = jobs / f"fit-drawn-{seed}"
        _fit(drawn[seed], test.with_columns(image_id="drawn" + pl.col("image_id")), "oracle", seed + 200)
    index["further"] = {
        "resnet18": {arm: {str(seed): f"jobs/{path.name}" for seed, path in by.items()} for arm, by in further.items()}
    }
    redraws = {"resamples": 200, "seed": 0}
    pairs = [
        elsewhere("classifier", "resnet18", further, "test", **redraws),
        as_published("with synthetic", {arm: fits[arm] for arm in two}, drawn, "test"),
    ]
    return {"columns": columns, "pairs": pairs}


def _train_counts(recipe: str) -> dict[str, int]:
    return {c: max(n, TARGET) for c, n in TRAIN.items()} if recipe in ENLARGED else TRAIN


def _counts(images: int) -> dict[str, int]:
    total = sum(TRAIN.values())
    return {c: max(2, round(n / total * images)) for c, n in TRAIN.items()}


def _rows(part: str, counts: dict[str, int], source: str) -> pl.DataFrame:
    labels = [c for c, n in counts.items() for _ in range(n)]
    names = [f"{part}{i:05d}" for i in range(len(labels))]
    columns = {"image_id": names, "label": labels, "lesion_id": [f"L{name}" for name in names]}
    constant = {"patient_id": None, "source": source, "origin": "real"}
    table = pl.DataFrame(columns).with_columns(**{k: pl.lit(v, dtype=pl.String) for k, v in constant.items()})
    return table.with_columns(sha256=pl.col("image_id"), split=pl.lit(part))


def _paint(table: pl.DataFrame, size_px: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return blobs on skin; the class sets the colour, the row the shape."""
    generator = numpy_generator(0, "blobs", table.height)
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    images = np.empty((table.height, size_px, size_px, 3), np.uint8)
    for i, label in enumerate(table["label"]):
        wide, high, turn = generator.uniform(0.35, 0.7), generator.uniform(0.35, 0.7), generator.uniform(0, 3)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        blob = 1 / (1 + np.exp(12 * ((along / wide) ** 2 + (across / high) ** 2 - 1)))
        colour = np.array([120, 70, 50]) + 12 * np.array([CLASSES.index(label), -CLASSES.index(label) / 2, 4])
        skin = np.array([222, 180, 160]) + generator.normal(0, 4, (size_px, size_px, 1))
        images[i] = np.clip(skin * (1 - blob[..., None]) + colour * blob[..., None], 0, 255)
    return images


def _run(out: Path, size_px: int) -> str:
    from PIL import Image

    generator = numpy_generator(0, "run")
    with artefacts.creating(out, "run") as draft:
        (draft.path / "samples").mkdir()
        labels = [c for c in CLASSES for _ in range(8)]
        clean = _paint(pl.DataFrame({"label": labels}), size_px).astype(float)
        for step in range(1, 9):
            share = step / 8
            noisy = share * clean + (1 - share) * generator.uniform(0, 255, clean.shape)
            sheet = noisy.reshape(7, 8, size_px, size_px, 3).transpose(0, 2, 1, 3, 4).reshape(7 * size_px, -1, 3)
            Image.fromarray(sheet.astype(np.uint8)).save(draft.path / "samples" / f"{step * 1500:09d}.png")
        lines = [
            {
                "images_seen": 100 * i,
                "wall_s": 0.4 * i,
                "loss_discriminator": 1.1 + 0.4 * np.exp(-i / 20) + 0.1 * generator.normal(),
                "loss_generator": 1.2 + 0.8 * (1 - np.exp(-i / 40)) + 0.15 * generator.normal(),
                "score_real": 0.5 + 0.4 * np.exp(-i / 30) + 0.1 * generator.normal(),
                "score_fake": -0.6 - 0.4 * np.exp(-i / 30) + 0.1 * generator.normal(),
            }
            for i in range(1, 121)
        ]
        _write_lines(draft.path / "history.jsonl", lines)
        looks = [
            {
                "images_seen": 1500 * i,
                "kernel_distance": (40.0, 0.79, 0.46, 0.38, 0.23, 0.12, 0.13, 0.14)[i - 1],
                "kernel_floor": -0.006,
                "diversity": 19.5 * (1 - 0.5 * np.exp(-i / 2)),
                "real_diversity": 19.5,
                "coverage": 0.76 * (1 - np.exp(-i / 2.5)),
                "real_coverage": 0.963,
                **({"change": 20 / i} if i > 1 else {}),
            }
            for i in range(1, 9)
        ]
        _write_lines(draft.path / "looks.jsonl", looks)
        config = {"algorithm": "dcgan", "settings": {"batch_size": 64}, "training": {"seed": 0}}
        draft.card.update(wall_s=48.3, config=config, licence="CC-BY-NC-4.0", chosen_at=9000)
    return f"jobs/{out.name}"


def _fit(out: Path, table: pl.DataFrame, arm: str, seed: int) -> None:
    generator = numpy_generator(seed, f"fit {arm}")
    shared = numpy_generator(0, "difficulty").normal(size=(table.height, len(CLASSES)))
    found = {}
    facts = _facts(arm)
    skill = SKILL[facts.recipe] + sum(float(value) for value in facts.settings.values()) / 100
    for split in table["split"].unique(maintain_order=True).drop_nulls():
        if split == "train":
            continue
        where = (table["split"] == split).to_numpy()
        rows = table.filter(pl.col("split") == split)
        labels = np.array([CLASSES.index(label) for label in rows["label"]])
        logits = skill * np.eye(len(CLASSES))[labels] + 0.6 * shared[where]
        logits += 0.5 * generator.normal(size=logits.shape)
        p = np.exp(2 * logits)
        p /= p.sum(axis=1, keepdims=True)
        found[split] = Predictions(np.array(rows["image_id"]), np.array(rows["lesion_id"]), labels, p, CLASSES)
    with artefacts.creating(out, "fit") as draft:
        write_predictions(draft.path / "predictions.parquet", found)
        top = 0.35 + 0.12 * skill
        lines = [
            {"images_seen": 640 * i, "loss": 2 * np.exp(-i / 8), "val_balanced_accuracy": top - 0.4 * np.exp(-i / 5)}
            for i in range(1, 21)
        ]
        for line in lines:
            line["val_balanced_accuracy"] += 0.015 * generator.normal()
        _write_lines(draft.path / "history.jsonl", lines)
        draft.card.update(arm=arm, seed=seed, wall_s=21.7, chosen_images_seen=640 * (14 + seed), device="cpu")


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
