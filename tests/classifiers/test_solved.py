"""Probes and nearest neighbours: against scikit-learn, chosen on validation, opened again, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.classifiers.test_networks_pretrained import save
from tests.helpers import make_cohort

from dermsynth.classifiers import build, rebuild
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.frozen import Standardised
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.classifiers.solved import NEIGHBOURS, REGULARISATIONS
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import read_card
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.encoders import handmade
from dermsynth.encoders.pretrained import Pretrained
from dermsynth.trials.arms import ALTERS, ARMS, NEEDS_POOL, Material, missing
from dermsynth.trials.protocol import Protocol


def hard() -> Cohort:
    """Return a cohort whose images have tints that hide their class's colour, so that candidates differ."""
    cohort = make_cohort((48, 60, 72))
    tints = np.random.default_rng(0).normal(0, 60, (len(cohort), 1, 1, 3))
    images = (cohort.images[:] + tints).clip(0, 255).astype(np.uint8)
    return Cohort.in_memory(cohort.table, images, cohort.classes)


COHORT = hard()
PARTS = {name: COHORT.part(name) for name in ("train", "val", "test")}


def fitted(model: str, out: Path, **more: Any) -> Path:
    config = FitConfig(model=model, precision="fp32", **more.pop("settings", {}))
    return fit(PARTS["train"], PARTS["val"], PARTS["test"], config, out, **more)


def features(part: str) -> NDArray[np.float64]:
    """Return the offline features of a part, without those that change by rounding alone."""
    known = handmade.encode(PARTS["train"].images[:])
    changing = known.std(axis=0) > 1e-5 * np.abs(known.mean(axis=0))
    return handmade.encode(PARTS[part].images[:])[:, changing]


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def reference(folder: Path) -> Any:
    """Return scikit-learn's classifier of the candidate that was chosen."""
    chosen = read_card(folder, "fit")["val_balanced_accuracy"]
    line = next(line for line in history(folder) if line["val_balanced_accuracy"] == chosen)
    if "regularisation" in line:
        return make_pipeline(StandardScaler(), LogisticRegression(C=line["regularisation"], max_iter=5000, tol=1e-8))
    return make_pipeline(StandardScaler(), KNeighborsClassifier(int(line["neighbours"])))


@pytest.mark.parametrize("method", ["probe", "knn"])
def test_probabilities_are_those_of_scikit_learn(method: str, tmp_path: Path) -> None:
    folder = fitted(f"{method}:handmade", tmp_path / "fit")
    known = reference(folder).fit(features("train"), PARTS["train"].labels)
    expected = known.predict_proba(features("test"))
    np.testing.assert_allclose(read_predictions(folder).probabilities, expected, atol=5e-3)


@pytest.mark.parametrize("method", ["probe", "knn"])
def test_a_pretrained_encoder_is_probed_as_it_is(method: str, tmp_path: Path) -> None:
    encoder = save("dinov2", tmp_path / "weights")
    folder = fitted(f"{method}:hf:{encoder}", tmp_path / "fit")
    encode = Pretrained(encoder).encode
    known = reference(folder).fit(encode(PARTS["train"].images[:]), PARTS["train"].labels)
    expected = known.predict_proba(encode(PARTS["test"].images[:]))
    np.testing.assert_allclose(read_predictions(folder).probabilities, expected, atol=5e-3)


@pytest.mark.parametrize(
    ("method", "key", "candidates"), [("probe", "regularisation", REGULARISATIONS), ("knn", "neighbours", NEIGHBOURS)]
)
def test_the_first_of_the_best_candidates_on_validation_is_kept(
    method: str, key: str, candidates: tuple[float, ...], tmp_path: Path
) -> None:
    folder = fitted(f"{method}:handmade", tmp_path / "fit")
    lines = history(folder)
    assert [line[key] for line in lines] == [one for one in candidates if key != "neighbours" or one <= 90]
    scores = [line["val_balanced_accuracy"] for line in lines]
    assert len(set(scores)) > 1
    assert read_card(folder, "fit")["val_balanced_accuracy"] == max(scores)
    found = read_predictions(folder, "val")
    recalls = [(found.predicted[found.labels == label] == label).mean() for label in range(3)]
    assert np.mean(recalls) == pytest.approx(max(scores))


@pytest.mark.parametrize("model", ["probe:handmade", "knn:handmade"])
@pytest.mark.parametrize("tta", [1, 4])
def test_a_fit_that_is_opened_again_says_the_same(model: str, tta: int, tmp_path: Path) -> None:
    folder = fitted(model, tmp_path / "fit", settings={"tta": tta})
    for part in ("val", "test"):
        found = TrainedClassifier.open(folder).probabilities(PARTS[part])
        np.testing.assert_allclose(found, read_predictions(folder, part).probabilities, atol=1e-6)


def test_a_row_that_stands_twice_counts_twice(tmp_path: Path) -> None:
    rows = np.concatenate([np.arange(len(PARTS["train"])), np.flatnonzero(PARTS["train"].labels == 0)])
    folder = fitted("probe:handmade", tmp_path / "fit", rows=rows)
    known = reference(folder).fit(features("train")[rows], PARTS["train"].labels[rows])
    expected = known.predict_proba(features("test"))
    np.testing.assert_allclose(read_predictions(folder).probabilities, expected, atol=5e-3)
    assert read_card(folder, "fit")["images_seen"] == len(rows)


@pytest.mark.parametrize("model", ["probe:handmade", "knn:handmade"])
def test_a_class_without_a_training_image_is_never_predicted(model: str, tmp_path: Path) -> None:
    folder = fitted(model, tmp_path / "fit", rows=np.flatnonzero(PARTS["train"].labels != 1))
    assert read_predictions(folder).probabilities[:, 1].max() < 1e-5


@pytest.mark.parametrize("model", ["probe:handmade", "knn:handmade"])
def test_two_fits_give_the_same_bits(model: str, tmp_path: Path) -> None:
    folders = [fitted(model, tmp_path / name) for name in ("one", "two")]
    files = [(folder / "classifier.safetensors").read_bytes() for folder in folders]
    assert files[0] == files[1]


def test_the_precision_around_it_does_not_reach_frozen_features() -> None:
    network = build(NetworkConfig(model="probe:handmade"), 3, 16)
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        inside = network.features(images)
    assert torch.equal(inside, network.features(images))


def test_a_feature_that_changes_by_rounding_alone_is_not_blown_up() -> None:
    layer, generator = Standardised(3), torch.Generator().manual_seed(0)
    noise = torch.rand(50, 3, generator=generator)
    values = torch.stack([noise[:, 0], 5 + 1e-6 * noise[:, 1], torch.zeros(50)], dim=1)
    layer.learn(values)
    found = layer(values)
    np.testing.assert_allclose(found[:, 0], StandardScaler().fit_transform(values.numpy())[:, 0], atol=1e-5)
    assert found[:, 1:].abs().max() < 1e-5


def test_neighbours_are_made_again_in_their_number() -> None:
    network = build(NetworkConfig(model="knn:handmade"), 3, 16)
    network.head[1].learn(torch.rand(7, 236), torch.arange(7) % 3, 5)  # type: ignore[index, operator]
    again = rebuild(network.description, 3)
    again.load_state_dict(network.state_dict())
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    assert torch.equal(again(images), network(images))


def test_altered_or_weighted_images_are_refused(tmp_path: Path) -> None:
    message = "model 'knn:handmade' takes features of images as they are"
    with pytest.raises(InputError, match=message):
        fitted("knn:handmade", tmp_path / "fit", augmentation=ClassicalAugmentation())
    with pytest.raises(InputError, match=message):
        fitted("knn:handmade", tmp_path / "fit", balance="weighted")


def test_a_trial_with_such_arms_is_refused_before_it_starts() -> None:
    values = {
        "name": "x",
        "cohort": {"source": {"kind": "phantom", "counts": {"mel": 8, "nv": 16}}, "size_px": 32},
        "arms": ["oversampled", "hybrid"],
        "fill_to": 16,
        "classifier": {"model": "knn:handmade"},
    }
    assert parse(Protocol, values, "trial").classifier.model == "knn:handmade"
    with pytest.raises(ConfigError, match=r"arm 'focal' alters or weights images, .* 'knn:handmade'"):
        parse(Protocol, {**values, "arms": ["oversampled", "focal", "hybrid"]}, "trial")


def test_the_arms_that_alter_or_weight_images_are_known() -> None:
    for name in set(ARMS) - {*NEEDS_POOL, "oracle"}:
        chosen = ARMS[name](Material(COHORT, missing(COHORT, 60), 0))
        assert (chosen.augmentation is not None or chosen.balance != "none") == (name in ALTERS), name
    assert not set(ALTERS) & {*NEEDS_POOL, "oracle"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("probe", "unknown model; write 'probe:ENCODER'"),
        ("probe:", "unknown model; write 'probe:ENCODER'"),
        ("probe:resnet-18", "unknown encoder; known: discriminator:RUN, handmade, hf:FOLDER"),
        ("probe:hf", "unknown encoder; write 'hf:FOLDER'"),
        ("knn:handmde", "unknown encoder; did you mean 'handmade'?"),
        ("hf", "unknown model; write 'hf:FOLDER'"),
        ("resnet-18:x", "unknown model; write 'resnet-18'"),
        ("resnet18", "unknown model; did you mean 'resnet-18'?"),
        ("class-head:", "unknown model; write 'class-head:RUN'"),
    ],
)
def test_a_name_that_stands_for_nothing_is_answered_with_the_nearest(model: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(FitConfig, {"model": model}, "trial.yaml")
    assert message in str(error.value)


def test_settings_of_the_encoder_are_those_of_the_probe() -> None:
    assert FitConfig(model="probe:hf:x", fresh=True, input_px=64).input_px == 64
    with pytest.raises(ConfigError, match="width: 'probe:handmade' has no such setting"):
        parse(FitConfig, {"model": "probe:handmade", "width": 4}, "trial.yaml")


def test_a_size_that_the_encoder_cannot_take_is_refused() -> None:
    with pytest.raises(InputError, match="20 px, the handmade encoder needs a multiple of 8"):
        build(NetworkConfig(model="probe:handmade"), 3, 20)
