"""Made-up predictions whose quality is known to be neither perfect nor none."""

from __future__ import annotations

import numpy as np


def guessed(
    counts: tuple[int, ...] = (15, 30, 60),
    *,
    seed: int = 0,
    skill: float = 1.5,
    photos: int = 1,
    fits: int = 1,
    decimals: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (N,), lesions (N,) and probabilities (F, N, C) of `counts` lesions per class.

    A lesion has 1 to `photos` photos, which resemble each other. With `decimals`, probabilities are rounded and many
    are equal.
    """
    generator = np.random.default_rng(seed)
    of_lesion, n_classes = np.repeat(np.arange(len(counts)), counts), len(counts)
    lesions = np.repeat(np.arange(len(of_lesion)), generator.integers(1, photos + 1, len(of_lesion)))
    labels = of_lesion[lesions]
    looks = generator.normal(0, 0.9, (len(of_lesion), n_classes))[lesions] + skill * np.eye(n_classes)[labels]
    logits = looks + generator.normal(0, 0.5, (fits, len(labels), n_classes))
    raw = np.exp(logits)
    if decimals is not None:
        raw = np.round(raw / raw.sum(axis=2, keepdims=True), decimals) + 1e-3
    return labels, lesions, raw / raw.sum(axis=2, keepdims=True)
