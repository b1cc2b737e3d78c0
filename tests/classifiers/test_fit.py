"""A fit: what it learns, what it writes, that it repeats bit for bit, and everything it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file
from tests.classifiers.discs import CLASSES, QUICK, TEST, TRAIN, VAL, cohort

from dermsynth.classifiers import build
from dermsynth.classifiers import choose as module
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import Progress, fit
from dermsynth.classifiers.predict import predict
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.cohorts.split import SplitConfig, split
from dermsynth.core.artefacts import read_card
from dermsynth.core.config import parse
from dermsynth.core.errors import ArtefactError, ConfigError, DivergedError, InputError, LeakageError
from dermsynth.core.randomness import global_torch_seed, numpy_generator
from dermsynth.metrics.scores import balanced_accuracy, recalls
from dermsynth.training import checkpoint
from dermsynth.training.device import make_fabric


def relabelled(part: Cohort, **columns: Any) -> Cohort:
    return replace(part, table=part.table.with_columns(**columns))


def score(folder: Path, split: str = "test") -> float:
    found = read_predictions(folder, split)
    return balanced_accuracy(found.labels, found.predicted, len(found.classes))


def recorded(calls: list[tuple[int, int]]) -> Progress:
    return lambda done, total: calls.append((done, total))


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return fit(TRAIN, VAL, TEST, QUICK, tmp_path_factory.mktemp("fits") / "fit", facts={"arm": "real"})


def test_it_learns_what_separates_the_classes(fitted: Path) -> None:
    assert score(fitted) > 0.9


def test_it_learns_the_phantom_in_seconds(tmp_path: Path) -> None:
    ingest(PhantomConfig(counts={"bcc": 60, "mel": 60, "nv": 60}), 32, tmp_path / "cohort")
    split(tmp_path / "cohort", SplitConfig(val=0.2, test=0.3), seed=0)
    lesions = Cohort.open(tmp_path / "cohort")
    parts = [lesions.part(name) for name in ("train", "val", "test")]
    config = FitConfig(width=8, budget_kimg=2, evaluations=4)
    assert score(fit(parts[0], parts[1], parts[2], config, tmp_path / "fit")) > 0.7  # chance is 0.33


def test_shuffled_labels_leave_held_out_images_at_chance(tmp_path: Path) -> None:
    labels = numpy_generator(0, "shuffle").permutation(TRAIN.table["label"].to_numpy())
    shuffled = relabelled(TRAIN, label=pl.Series(labels, dtype=pl.String))
    assert score(fit(shuffled, VAL, TEST, QUICK, tmp_path / "fit")) < 0.6


def test_repeated_rows_of_a_rare_class_raise_its_recall(tmp_path: Path) -> None:
    train = cohort("train", (6, 120, 120), contrast=12)
    val, test = cohort("val", (15, 15, 15), contrast=12), cohort("test", (60, 60, 60), contrast=12)
    all_rows = np.arange(len(train))
    repeated = np.concatenate([all_rows, np.tile(all_rows[:6], 19)])
    rare_recall = []
    for name, rows in (("as-is", all_rows), ("oversampled", repeated)):
        # One evaluation: the choice on val must not hide what the rows do.
        folder = fit(train, val, test, QUICK.changed(evaluations=1), tmp_path / name, rows=rows)
        found = read_predictions(folder)
        rare_recall.append(recalls(found.labels, found.predicted, 3)[0])
    assert rare_recall[1] > rare_recall[0] + 0.1


def test_predictions_hold_every_val_and_test_image_in_order_and_sum_to_one(fitted: Path) -> None:
    table = pl.read_parquet(fitted / "predictions.parquet")
    assert table.columns == ["image_id", "lesion_id", "split", "label", "p_bkl", "p_mel", "p_nv"]
    assert table["split"].to_list() == ["val"] * len(VAL) + ["test"] * len(TEST)
    known = pl.concat([VAL.table, TEST.table])
    for column in ("image_id", "lesion_id", "label"):
        assert table[column].to_list() == known[column].to_list()
    sums = table.select("p_bkl", "p_mel", "p_nv").to_numpy().sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_history_and_predictions_tell_the_same_validation_score(fitted: Path) -> None:
    card = read_card(fitted, "fit")
    scores = [line["val_balanced_accuracy"] for line in history(fitted)]
    assert score(fitted, "val") == max(scores) == card["val_balanced_accuracy"]
    assert card["chosen_images_seen"] == history(fitted)[scores.index(max(scores))]["images_seen"]


def test_the_best_state_is_kept_and_of_equal_ones_the_earliest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Wrong scores, to tell best from last: 0.2, 0.7, 0.7, 0.1.
    scores = iter([0.2, 0.7, 0.7, 0.1])
    monkeypatch.setattr(module, "balanced_accuracy", lambda *_: next(scores))
    folder = fit(TRAIN, VAL, TEST, QUICK, tmp_path / "early")
    assert read_card(folder, "fit")["chosen_images_seen"] == history(folder)[1]["images_seen"]
    monkeypatch.undo()

    scores = iter([0.2, 0.7, 0.8, 0.9])
    monkeypatch.setattr(module, "balanced_accuracy", lambda *_: next(scores))
    late = fit(TRAIN, VAL, TEST, QUICK, tmp_path / "late")
    weights = [load_file(one / "classifier.safetensors") for one in (folder, late)]
    assert not np.array_equal(weights[0]["classifier.head.weight"], weights[1]["classifier.head.weight"])


def test_the_saved_weights_make_the_saved_predictions(fitted: Path) -> None:
    network = build(QUICK, 3, 32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    tensors, _ = checkpoint.load(fitted / "classifier.safetensors")
    checkpoint.load_network("classifier", network, tensors, fitted)
    expected = read_predictions(fitted).probabilities
    np.testing.assert_array_equal(predict(network, TEST, make_fabric()), expected.astype(np.float32))


@pytest.mark.parametrize("augmentation", [None, ClassicalAugmentation(), ClassicalAugmentation(mixup_alpha=0.2)])
def test_a_second_run_gives_the_same_bits(tmp_path: Path, augmentation: ClassicalAugmentation | None) -> None:
    torch.set_num_threads(1)
    folders = [tmp_path / name for name in ("one", "two")]
    for number, folder in enumerate(folders):
        torch.manual_seed(number)  # the global generator must not matter
        fit(TRAIN, VAL, TEST, QUICK.changed(budget_kimg=0.1), folder, augmentation=augmentation)
    for name in ("predictions.parquet", "classifier.safetensors", "history.jsonl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_global_generator_is_left_as_it_was(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    fit(TRAIN, VAL, TEST, QUICK.changed(budget_kimg=0.02, evaluations=1), tmp_path / "fit")
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_differ(tmp_path: Path, fitted: Path) -> None:
    other = fit(TRAIN, VAL, TEST, QUICK.changed(seed=1), tmp_path / "fit")
    assert (other / "predictions.parquet").read_bytes() != (fitted / "predictions.parquet").read_bytes()


def test_augmentation_changes_training_and_is_recorded(tmp_path: Path, fitted: Path) -> None:
    augmentation = ClassicalAugmentation(rotation_deg=45)
    folder = fit(TRAIN, VAL, TEST, QUICK, tmp_path / "fit", augmentation=augmentation)
    assert history(folder)[0]["loss"] != history(fitted)[0]["loss"]
    assert read_card(folder, "fit")["augmentation"] == augmentation.canonical()
    assert read_card(fitted, "fit")["augmentation"] is None


@pytest.mark.parametrize("mixing", [{"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}])
def test_a_network_learns_from_mixed_images(tmp_path: Path, mixing: dict[str, float]) -> None:
    augmentation = ClassicalAugmentation(policy="none", **mixing)
    folder = fit(TRAIN, VAL, TEST, QUICK, tmp_path / "fit", augmentation=augmentation)
    assert score(folder) > 0.8
    assert history(folder)[-1]["loss"] > 0.3  # mixed labels cannot be met


def test_views_are_averaged_as_probabilities_over_mirrors_and_turns() -> None:
    fabric = make_fabric("fp32")
    with global_torch_seed(0, "init"):
        network = build(FitConfig(width=4), 3, 32)
    pixels = TEST.images[:]
    members = [np.rot90(one, turns, (1, 2)) for one in (pixels, pixels[:, :, ::-1]) for turns in range(4)]
    seen = [Cohort.in_memory(TEST.table, np.ascontiguousarray(member), CLASSES) for member in members]
    expected = np.mean([predict(network, one, fabric) for one in seen], axis=0)
    assert np.abs(expected - predict(network, TEST, fabric)).max() > 1e-4
    np.testing.assert_allclose(predict(network, TEST, fabric, 8), expected, atol=1e-6)


def test_a_fit_chooses_and_predicts_with_its_views_and_says_so(tmp_path: Path, fitted: Path) -> None:
    folder = fit(TRAIN, VAL, TEST, QUICK.changed(tta=8), tmp_path / "fit")
    card = read_card(folder, "fit")
    assert card["config"]["tta"] == 8
    assert read_card(fitted, "fit")["config"]["tta"] == 1
    assert score(folder, "val") == card["val_balanced_accuracy"]
    for part in ("val", "test"):
        one, eight = (read_predictions(path, part).probabilities for path in (fitted, folder))
        assert np.abs(one - eight).max() > 1e-3


def test_every_training_set_gets_the_same_number_of_steps(tmp_path: Path) -> None:
    seen = []
    for name, rows in (("few", np.arange(0, 180, 9)), ("many", np.tile(np.arange(180), 5))):
        calls: list[tuple[int, int]] = []
        config = QUICK.changed(budget_kimg=0.1)
        folder = fit(TRAIN, VAL, TEST, config, tmp_path / name, rows=rows, progress=recorded(calls))
        assert calls[-1] == (96, 96)
        assert sum(read_card(folder, "fit")["train_counts"].values()) == len(rows)
        seen.append([line["images_seen"] for line in history(folder)])
    assert seen[0] == seen[1] == [32, 48, 64, 96]


def test_the_card_says_what_went_in(fitted: Path) -> None:
    card = read_card(fitted, "fit")
    assert card["arm"] == "real"
    assert card["config"] == QUICK.canonical()
    assert card["train_counts"] == {"bkl": 60, "mel": 60, "nv": 60}
    assert card["images_seen"] == 800
    assert card["threads"] == 1
    assert {"device", "precision", "wall_s", "parameters", "classes", "size_px"} <= set(card)


def test_an_existing_folder_is_not_replaced_unless_forced(fitted: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="already exists"):
        fit(TRAIN, VAL, TEST, QUICK, fitted)
    out = tmp_path / "fit"
    for seed in (0, 1):
        fit(TRAIN, VAL, TEST, QUICK.changed(budget_kimg=0.02, evaluations=1, seed=seed), out, force=True)
    assert read_card(out, "fit")["config"]["seed"] == 1


def test_other_classes_are_refused(tmp_path: Path) -> None:
    other = replace(TEST, classes=("nv", "mel", "bkl"))
    with pytest.raises(InputError, match="test has classes nv, mel, bkl but train has bkl, mel, nv"):
        fit(TRAIN, VAL, other, QUICK, tmp_path / "fit")


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    smaller = Cohort.in_memory(VAL.table, VAL.images[:][:, ::2, ::2], CLASSES)
    with pytest.raises(InputError, match="val has images of 16 px but train of 32"):
        fit(TRAIN, smaller, TEST, QUICK, tmp_path / "fit")


def test_a_class_without_validation_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class 'mel' has no image in val"):
        fit(TRAIN, VAL.select(pl.col("label") != "mel"), TEST, QUICK, tmp_path / "fit")


def test_an_empty_part_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="test has no image"):
        fit(TRAIN, VAL, TEST.select([]), QUICK, tmp_path / "fit")


def test_one_training_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train has images of 'bkl' only"):
        fit(TRAIN, VAL, TEST, QUICK, tmp_path / "fit", rows=np.arange(60))


@pytest.mark.parametrize("rows", [[], [0, 180], [-1, 100]])
def test_rows_outside_the_training_set_are_refused(tmp_path: Path, rows: list[int]) -> None:
    with pytest.raises(InputError, match="of the 180 training images"):
        fit(TRAIN, VAL, TEST, QUICK, tmp_path / "fit", rows=np.array(rows, dtype=np.int64))


@pytest.mark.parametrize("name", ["val", "test"])
def test_synthetic_images_reach_neither_val_nor_test(tmp_path: Path, name: str) -> None:
    parts = {"val": VAL, "test": TEST}
    second = pl.col("image_id") == f"{name}0001"
    parts[name] = relabelled(parts[name], origin=pl.when(second).then(pl.lit("synthetic")).otherwise(pl.col("origin")))
    with pytest.raises(LeakageError, match=f"{name} holds the synthetic image '{name}0001'"):
        fit(TRAIN, parts["val"], parts["test"], QUICK, tmp_path / "fit")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "other"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_a_lesion_in_two_parts_is_refused(tmp_path: Path, name: str, other: str) -> None:
    parts = {"train": TRAIN, "val": VAL, "test": TEST}
    second = pl.col("image_id") == f"{other}0001"
    lesion = pl.when(second).then(pl.lit(f"lesion-{name}0002")).otherwise(pl.col("lesion_id"))
    parts[other] = relabelled(parts[other], lesion_id=lesion)
    with pytest.raises(LeakageError, match=rf"lesion 'lesion-{name}0002' .* is in {name} and in {other}"):
        fit(parts["train"], parts["val"], parts["test"], QUICK, tmp_path / "fit")


def test_a_diverging_fit_stops_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"not finite after \d+ images at learning rate .* lower learning_rate"):
        fit(TRAIN, VAL, TEST, QUICK.changed(learning_rate=1e38), tmp_path / "fit")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "smallcnn"}, "'model' is 'smallcnn': unknown model; did you mean 'small-cnn'?"),
        ({"batch_size": 1}, "'batch_size' is 1"),
        ({"tta": 3}, "'tta' is 3: Input should be 1, 2, 4 or 8"),
        ({"budget": 3}, "unknown key 'budget'; did you mean 'budget_kimg'?"),
    ],
)
def test_configuration_is_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(FitConfig, wrong, "trial.yaml")
    assert message in str(error.value)
