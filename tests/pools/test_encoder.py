"""A classifier's features as an encoder: those before its last layer, of a fit that saw nothing that it must not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.pools.planted import lesions, planted_pool, real_cohort

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import CARD
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.pools.encoder import pool_encoder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return real_cohort(tmp_path_factory.mktemp("encoder") / "cohort", 48)


@pytest.fixture(scope="module")
def fitted(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(cohort, tmp_path_factory.mktemp("encoder") / "fit")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMSYNTH_CACHE", str(tmp_path / "cache"))


def made(cohort: Cohort, out: Path, arm: str = "real", seed: int = 0) -> Path:
    parts = [cohort.part(name) for name in ("train", "val", "test")]
    config = FitConfig(model="small-cnn", width=2, budget_kimg=0.03, batch_size=8, evaluations=1, seed=seed)
    return fit(parts[0], parts[1], parts[2], config, out, facts={"arm": arm})


def test_features_are_what_the_last_layer_makes_the_scores_of(cohort: Cohort, fitted: Path) -> None:
    encoder = pool_encoder(f"fit:{fitted}", cohort)
    features = encoder.features(cohort)
    classifier = TrainedClassifier.open(fitted)
    network, _ = classifier._network
    assert encoder.name == f"fit:fit@{classifier.sha256[:12]}"
    with torch.no_grad():
        scores = network.head(torch.from_numpy(features).float())
    np.testing.assert_allclose(scores.softmax(dim=1).numpy(), classifier.probabilities(cohort), atol=0.02)


def test_features_are_kept_but_not_for_another_fit(cohort: Cohort, fitted: Path, tmp_path: Path) -> None:
    first = pool_encoder(f"fit:{fitted}", cohort).features(cohort)
    np.testing.assert_array_equal(pool_encoder(f"fit:{fitted}", cohort).features(cohort), first)
    other = made(cohort, tmp_path / "other", seed=1)
    assert not np.allclose(pool_encoder(f"fit:{other}", cohort).features(cohort), first)


def test_a_fit_of_another_split_is_refused(cohort: Cohort, fitted: Path, tmp_path: Path) -> None:
    other = real_cohort(tmp_path / "other", 56)
    with pytest.raises(LeakageError, match="may have learnt from image"):
        pool_encoder(f"fit:{fitted}", other)


@pytest.mark.parametrize("arm", ["hybrid", "placebo", "oracle"])
def test_a_fit_that_learnt_from_more_than_the_cohort_is_refused(cohort: Cohort, tmp_path: Path, arm: str) -> None:
    with pytest.raises(InputError, match=f"learnt from the arm '{arm}', .* take a fit of the arm 'real'"):
        pool_encoder(f"fit:{made(cohort, tmp_path / 'fit', arm)}", cohort)


def test_a_fit_of_unknown_origin_must_have_learnt_from_as_many_images(cohort: Cohort, tmp_path: Path) -> None:
    out = made(cohort, tmp_path / "fit")
    card = json.loads((out / CARD).read_text())
    del card["arm"]
    (out / CARD).write_text(json.dumps(card))
    assert pool_encoder(f"fit:{out}", cohort).name.startswith("fit:")
    card["train_counts"]["mel"] += 9  # as if nine synthetic images had been among them
    (out / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"learnt from \{'mel': 21, 'nv': 12\}, which has other images"):
        pool_encoder(f"fit:{out}", cohort)


def test_a_fit_of_other_images_is_refused(fitted: Path, tmp_path: Path) -> None:
    images, labels = lesions(40, 0, size_px=16)
    other = planted_pool(tmp_path / "pool", real_cohort(tmp_path / "cohort", 48), images, labels)
    with pytest.raises(InputError, match=r"at 32 px, and .* at 16 px"):
        pool_encoder(f"fit:{fitted}", other)


def test_what_is_no_fit_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such folder; expected a dermsynth fit"):
        pool_encoder(f"fit:{tmp_path / 'nothing'}", cohort)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CARD).write_text(json.dumps({"kind": "run", "files": {}}))
    with pytest.raises(ArtefactError, match="is a run, expected a fit"):
        pool_encoder(f"fit:{tmp_path / 'run'}", cohort)


def test_other_encoders_are_the_usual_ones(cohort: Cohort) -> None:
    assert pool_encoder(None, cohort).name == "handmade-1, scaled"
    with pytest.raises(InputError, match="nowhere: no such folder"):
        pool_encoder("nowhere", cohort)
