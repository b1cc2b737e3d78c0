"""Finished trials made from made-up predictions: as far as judging and comparing read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.core import artefacts
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import Endpoint, judge

CLASSES = ("df", "mel", "nv")
PER_CLASS = (20, 60, 120)
DECLARED: dict[str, Any] = {
    "name": "made-up",
    "repeats": 3,
    "fill_to": 40,
    "cohort": {"source": {"kind": "phantom", "counts": {"df": 60, "mel": 60, "nv": 90}}, "size_px": 16},
    "arms": ["oversampled", "hybrid"],
    "endpoint": {"resamples": 300},
}


def predictions(
    skill: float, key: Sequence[int], *, images: str = "image", counts: Sequence[int] = PER_CLASS
) -> Predictions:
    """Return what a made-up classifier says of two photos of each lesion; `skill`: how the true class stands out."""
    shared, own = np.random.default_rng(len(images)), np.random.default_rng(list(key))
    labels = np.repeat(np.arange(len(counts)), np.array(counts) * 2)
    logits = shared.normal(0, 1, (sum(counts), len(counts)))[np.arange(len(labels)) // 2]
    logits = logits + own.normal(0, 0.5, logits.shape) + skill * np.eye(len(counts))[labels]
    return Predictions(
        image_ids=np.array([f"{images}{number:04}" for number in range(len(labels))]),
        lesion_ids=np.array([f"{images}-lesion{number // 2}" for number in range(len(labels))]),
        labels=labels,
        probabilities=np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        classes=CLASSES[: len(counts)],
    )


def finished_trial(
    folder: Path,
    skills: Mapping[str, float],
    *,
    images: str = "image",
    seeds: Sequence[int] = (0, 1, 2),
    draw: int = 0,
    counts: Sequence[int] = PER_CLASS,
    **declared: Any,
) -> Path:
    """Return a finished trial whose arms have these skills.

    Args:
        folder: To make.
        skills: By arm.
        images: Start of the images' names; other names are other images.
        seeds: Of the fits.
        draw: Another one gives other fits of the same skill.
        counts: Lesions of each class.
        declared: Keys of the protocol that stand over `DECLARED`.
    """
    protocol = Protocol.model_validate({**DECLARED, "repeats": len(seeds), "seed": min(seeds), **declared})
    fits: dict[str, dict[int, Path]] = {}
    for number, (arm, skill) in enumerate(skills.items()):
        for seed in seeds:
            path = folder / "jobs" / f"{arm}-{seed}"
            path.mkdir(parents=True)
            found = predictions(skill, (draw, number, seed), images=images, counts=counts)
            write_predictions(path / FILE, {protocol.endpoint.split: found})
            fits.setdefault(arm, {})[seed] = path
    verdict = judge(
        fits,
        Endpoint(**protocol.endpoint.model_dump()),
        control=protocol.control,
        treatment=str(protocol.treatment),
        name=protocol.name,
        generators=1,
    )
    artefacts.write_json(folder / "verdict.json", verdict.to_json())
    (folder / "protocol.yaml").write_text(protocol.to_yaml())
    named = {arm: {str(seed): f"jobs/{path.name}" for seed, path in by_seed.items()} for arm, by_seed in fits.items()}
    artefacts.write_json(folder / "index.json", {"fits": named})
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": artefacts.sha256_of(folder / name)}
        for name in ("protocol.yaml", "index.json")
    }
    card = {"kind": "trial", "protocol_sha256": protocol.digest(), "files": files}
    artefacts.write_json(folder / artefacts.CARD, card)
    return folder
