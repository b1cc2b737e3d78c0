"""A small finished trial, as far as planning another one reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.core import artefacts
from dermsynth.trials.protocol import Protocol

SMALL = {
    "name": "small",
    "repeats": 4,
    "fill_to": 40,
    "cohort": {"source": {"kind": "phantom", "counts": {"mel": 20, "nv": 30}}, "size_px": 16},
    "endpoint": {"smallest_difference": 0.05},
}


def earlier_trial(folder: Path, *, seeds: tuple[int, ...] = (0, 1, 2), alike: bool = False) -> Path:
    """Return a finished trial of two arms whose fits judge 60 lesions of each class at random.

    Where `alike`, the fits of both arms are the same.
    """
    folder.mkdir()
    fits: dict[str, dict[str, str]] = {}
    for arm in ("oversampled", "hybrid"):
        for seed in seeds:
            name = f"{arm}-{seed}"
            (folder / name).mkdir()
            labels = np.arange(120) % 2
            p = np.random.default_rng([seed, 0 if alike else len(arm)]).random(120)
            # the second class is judged right more often, so its noise is another one
            right = p < np.where(labels == 1, 0.9, 0.5)
            sure = np.where(right, labels, 1 - labels)
            images = np.array([f"i{n:03}" for n in range(120)])
            found = Predictions(images, images, labels, 0.8 * np.eye(2)[sure] + 0.1, ("mel", "nv"))
            write_predictions(folder / name / FILE, {"test": found})
            fits.setdefault(arm, {})[str(seed)] = name
    declared = Protocol.model_validate({**SMALL, "repeats": len(seeds)})
    (folder / "protocol.yaml").write_text(declared.to_yaml())
    artefacts.write_json(folder / "index.json", {"fits": fits})
    artefacts.write_json(folder / "card.json", {"kind": "trial", "files": {}})
    return folder
