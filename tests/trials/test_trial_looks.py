"""Looks: the comparison with other classifiers, on other images, in groups, and as some publish it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score

from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.metrics.lesions import Lesions, bootstrap_recalls, recalls_inside
from dermsynth.trials.evidence import Evidence
from dermsynth.trials.looks import as_published, elsewhere, in_groups, looks_of

CLASSES = ("df", "mel", "nv")
SEEDS = (0, 1, 2)


def written(folder: Path, labels: np.ndarray, right: np.ndarray, prefix: str = "i") -> Path:
    """Write predictions that are right where `right` says so, and the next class elsewhere."""
    folder.mkdir(parents=True)
    said = np.where(right, labels, (labels + 1) % len(CLASSES))
    names = np.array([f"{prefix}{n:04}" for n in range(len(labels))])
    found = Predictions(names, names, labels, 0.7 * np.eye(3)[said] + 0.1, CLASSES)
    write_predictions(folder / FILE, {"test": found})
    return folder


def fits(folder: Path, labels: np.ndarray, shares: dict[str, float], prefix: str = "i") -> dict[str, dict[int, Path]]:
    """Return fits of each arm that are right by chance with the given share."""
    return {
        arm: {
            seed: written(
                folder / f"{arm}-{seed}", labels, np.random.default_rng([seed, n]).random(len(labels)) < share, prefix
            )
            for seed in SEEDS
        }
        for n, (arm, share) in enumerate(shares.items())
    }


def test_a_test_without_a_class_is_judged_on_the_classes_that_it_has(tmp_path: Path) -> None:
    labels = np.repeat([1, 2], 40)
    two = fits(tmp_path, labels, {"hybrid": 0.8, "oversampled": 0.6})
    pair = elsewhere("test", "other", two, "test", resamples=200, seed=0)
    (look,) = looks_of([pair], margin=0.02, confidence=0.95)
    assert (look.classes, look.images, look.lesions) == (("mel", "nv"), 80, 80)
    expected = []
    for by_seed in two.values():
        evidence = Evidence.read({"a": by_seed}, SEEDS, "test", every_class=False)
        scores = [np.mean([np.mean(p[labels == c] == c) for c in (1, 2)]) for p in evidence.predicted]
        expected.append(np.mean(scores))
    assert look.comparison.difference == pytest.approx(expected[0] - expected[1])
    assert look.accuracy.difference == pytest.approx(look.comparison.difference)  # as many of either class


def test_looks_are_decided_as_one_family(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], 40)
    two = fits(tmp_path, labels, {"hybrid": 0.75, "oversampled": 0.6})
    pair = elsewhere("classifier", "other", two, "test", resamples=200, seed=0)
    (alone,) = looks_of([pair], margin=0.02, confidence=0.95)
    many = looks_of([pair] * 4, margin=0.02, confidence=0.95)
    assert alone.comparison.adjusted_p == alone.comparison.p_value
    assert {look.comparison.adjusted_p for look in many} == {min(1.0, 4 * alone.comparison.p_value)}


def test_synthetic_images_in_the_treatments_test_alone_make_a_gain(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], 30)
    two = fits(tmp_path, labels, {"hybrid": 0.6, "oversampled": 0.6})
    easy = np.repeat([0, 1, 2], 60)
    drawn = {seed: written(tmp_path / f"drawn-{seed}", easy, np.ones(180, dtype=bool), f"s{seed}-") for seed in SEEDS}
    pair = as_published("mixed", two, drawn, "test")
    (look,) = looks_of([pair], margin=0.02, confidence=0.95)
    evidence = Evidence.read(two, SEEDS, "test")
    real = [balanced_accuracy_score(labels, p) for p in evidence.predicted]
    assert (look.images, look.lesions) == (90 + 180, 90 + 180)
    assert look.control.by_seed == pytest.approx(real[3:])
    mixed = [
        balanced_accuracy_score(np.concatenate([labels, easy]), np.concatenate([p, easy]))
        for p in evidence.predicted[:3]
    ]
    assert look.treatment.by_seed == pytest.approx(mixed)
    assert look.comparison.outcome == "helps"
    accuracies = [np.mean(np.concatenate([p, easy]) == np.concatenate([labels, easy])) for p in evidence.predicted[:3]]
    control = [np.mean(p == labels) for p in evidence.predicted[3:]]
    assert look.accuracy.difference == pytest.approx(np.mean(accuracies) - np.mean(control))


def judged(tmp_path: Path, number: int = 120) -> Evidence:
    labels = np.arange(number) % 3
    return Evidence.read(fits(tmp_path, labels, {"hybrid": 0.8, "oversampled": 0.6}), SEEDS, "test")


def test_groups_are_the_values_of_a_column_with_enough_lesions(tmp_path: Path) -> None:
    evidence = judged(tmp_path)
    sexes: list[Any] = ["female"] * 60 + ["male"] * 45 + ["unknown"] * 9 + [None] * 6
    pairs, spread = in_groups("sex", pl.Series(sexes), evidence, ("hybrid", "oversampled"))
    assert [(pair.name, pair.images) for pair in pairs] == [("female", 60), ("male", 45)]
    assert spread is not None
    (female, _) = looks_of(pairs, margin=0.02, confidence=0.95)
    rows = slice(0, 60)
    expected = [balanced_accuracy_score(evidence.labels[rows], p[rows]) for p in evidence.predicted]
    assert female.treatment.by_seed == pytest.approx(expected[:3])
    assert female.comparison.difference == pytest.approx(np.mean(expected[:3]) - np.mean(expected[3:]))


def test_numbers_are_cut_into_thirds(tmp_path: Path) -> None:
    ages = pl.Series([float(n) for n in range(120)])
    pairs, _ = in_groups("age", ages, judged(tmp_path), ("hybrid", "oversampled"))
    assert [pair.name for pair in pairs] == ["up to 39", "above 39, up to 79", "above 79"]
    assert sum(pair.images for pair in pairs) == 120


def test_groups_without_common_classes_say_nothing(tmp_path: Path) -> None:
    evidence = judged(tmp_path)
    groups = pl.Series([str(label) for label in evidence.labels])
    assert in_groups("site", groups, evidence, ("hybrid", "oversampled")) == ([], None)


def test_recalls_on_all_images_are_those_of_the_bootstrap_in_the_limit() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 90])
    lesions = Lesions.of(labels, np.arange(150) // 2, 2)
    correct = generator.random((150, 4)) < 0.7
    limit = recalls_inside(correct, np.ones_like(correct), labels, lesions)
    drawn = bootstrap_recalls(correct, lesions, resamples=20000, seed=1)
    assert limit.values == pytest.approx(drawn.values)
    assert limit.lesions.tolist() == drawn.lesions.tolist()
    spread = np.sqrt(np.einsum("cff->cf", limit.covariance))
    assert limit.covariance == pytest.approx(drawn.covariance, abs=0.05 * float(spread.max()) ** 2)
