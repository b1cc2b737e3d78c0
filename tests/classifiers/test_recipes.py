"""Recipes and what they lead to: settings, averages, calibration, operating points, and equal work in every arm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.classifiers.discs import QUICK, TEST, TRAIN, VAL, cohort
from tests.helpers import make_cohort, make_pool

from dermsynth.classifiers.config import RECIPES, FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.core.artefacts import read_card
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.metrics.scores import balanced_accuracy, recalls
from dermsynth.metrics.temperature import best_temperature, mean_cross_entropy
from dermsynth.trials.arms import ARMS, Material, missing

SHORT = QUICK.changed(budget_kimg=0.16)
HARD = {name: cohort(name, counts, contrast=12) for name, counts in (("train", (60, 60, 60)), ("val", (40, 40, 40)))}


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_recipe_sets_what_it_names_and_nothing_else() -> None:
    for name, settings in RECIPES.items():
        expected = {**FitConfig().canonical(), **settings, "recipe": name}
        assert FitConfig(recipe=name).canonical() == expected


def test_what_is_set_beside_a_recipe_stands_over_it() -> None:
    config = FitConfig(recipe="fastai", rate_span=10)
    assert (config.rate_span, config.schedule) == (10, "one-cycle")


def test_a_configuration_is_read_back_from_its_card_as_it_was() -> None:
    config = FitConfig(recipe="fastai", learning_rate=1e-3, schedule="cosine")
    assert parse(FitConfig, config.canonical(), "card") == config


def test_another_recipe_brings_its_values_and_leaves_the_others() -> None:
    changed = FitConfig(recipe="plain-sgd", batch_size=8, seed=3).changed(recipe="fastai", head_first=0.2)
    assert changed == FitConfig(recipe="fastai", batch_size=8, seed=3, head_first=0.2)
    assert FitConfig(recipe="fastai", momentum=0.8).changed(seed=1).momentum == 0.8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"recipe": "fast-ai"}, "'recipe' is 'fast-ai': unknown recipe; did you mean 'fastai'?"),
        ({"schedule": "one-cycle", "momentum": 0.0}, "momentum is 0, and one-cycle moves it by 0.05 to either side"),
        ({"recipe": "plain-sgd", "schedule": "one-cycle"}, "choose 0.05 or more, less than 0.95"),
        ({"rate_span": 0.5}, "'rate_span' is 0.5"),
        ({"rate_span": float("inf")}, "'rate_span' is inf"),
        ({"head_first": 1}, "'head_first' is 1"),
        ({"label_smoothing": 1.0}, "'label_smoothing' is 1.0"),
        ({"choose_by": "accuracy"}, "'choose_by' is 'accuracy'"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(FitConfig, wrong, "trial.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe": "plain-adam"},
        {"recipe": "plain-sgd", "learning_rate": 0.3},
        {"recipe": "fastai", "rate_span": 1.0, "learning_rate": 1e-2},
        {"label_smoothing": 0.1, "ema_halflife_kimg": 0.05},
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values()),
)
def test_every_recipe_learns(tmp_path: Path, settings: dict[str, Any]) -> None:
    plain = FitConfig(width=4, budget_kimg=0.8, evaluations=4)
    folder = fit(TRAIN, VAL, TEST, plain.changed(**{"learning_rate": 1e-2, **settings}), tmp_path / "fit")
    found = read_predictions(folder)
    assert balanced_accuracy(found.labels, found.predicted, 3) > 0.85


@pytest.mark.parametrize("balance", ["weighted", "focal", "logit-adjusted"])
def test_every_balance_learns_and_is_recorded(tmp_path: Path, balance: Any) -> None:
    folder = fit(TRAIN, VAL, TEST, QUICK, tmp_path / "fit", balance=balance)
    found = read_predictions(folder)
    assert balanced_accuracy(found.labels, found.predicted, 3) > 0.85
    assert read_card(folder, "fit")["balance"] == balance


@pytest.mark.parametrize("balance", ["weighted", "logit-adjusted"])
def test_a_rare_class_is_found_more_often_where_the_loss_is_balanced(tmp_path: Path, balance: Any) -> None:
    train, val = cohort("train", (15, 120, 120), contrast=15), cohort("val", (20, 20, 20), contrast=15)
    test = cohort("test", (60, 60, 60), contrast=15)
    found = []
    for name in ("none", balance):
        # One evaluation: the choice on val must not hide what the loss does.
        folder = fit(train, val, test, QUICK.changed(evaluations=1), tmp_path / name, balance=name)
        said = read_predictions(folder)
        found.append(recalls(said.labels, said.predicted, 3)[0])
    assert found[1] > found[0] + 0.5


def test_a_balance_that_needs_every_class_is_refused_before_training(tmp_path: Path) -> None:
    rows = np.arange(60, 180)
    with pytest.raises(InputError, match="class 'bkl' has no image in train, so a weighted loss has no weight for it"):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", rows=rows, balance="weighted")
    assert not list(tmp_path.iterdir())


def test_every_arm_takes_the_same_steps_and_scores_the_same_states(tmp_path: Path) -> None:
    whole = make_cohort((12, 16, 64))
    pool = make_pool(tmp_path / "pool", whole, missing(whole, 20))
    material = Material(whole, missing(whole, 20), 0, pool, make_cohort((40, 40, 40), prefix="new", split=False))
    config = FitConfig(width=2, batch_size=8, budget_kimg=0.1, evaluations=3, recipe="fastai")
    scored = set()
    for name, arm in ARMS.items():
        chosen = arm(material)
        folder = fit(
            chosen.cohort,
            whole.part("val"),
            whole.part("test"),
            config,
            tmp_path / name,
            rows=chosen.rows,
            augmentation=chosen.augmentation,
            balance=chosen.balance,
        )
        assert read_card(folder, "fit")["images_seen"] == 96
        scored.add(tuple(line["images_seen"] for line in history(folder)))
    assert scored == {(32, 64, 96)}


def test_averaged_weights_are_scored_saved_and_predict(tmp_path: Path) -> None:
    live = fit(TRAIN, VAL, TEST, SHORT, tmp_path / "live")
    averaged = fit(TRAIN, VAL, TEST, SHORT.changed(ema_halflife_kimg=0.02), tmp_path / "averaged")
    one, other = read_predictions(live), read_predictions(averaged)
    assert np.abs(one.probabilities - other.probabilities).max() > 1e-3
    again = TrainedClassifier.open(averaged).probabilities(TEST)
    np.testing.assert_allclose(again, other.probabilities, atol=1e-6)
    assert [line["loss"] for line in history(live)] == [line["loss"] for line in history(averaged)]


def test_the_area_may_choose_the_state(tmp_path: Path) -> None:
    folder = fit(HARD["train"], HARD["val"], TEST, QUICK.changed(choose_by="macro_auc"), tmp_path / "fit")
    lines, card = history(folder), read_card(folder, "fit")
    best = max(lines, key=lambda line: line["val_macro_auc"])
    assert card["chosen_images_seen"] == best["images_seen"]
    found = read_predictions(folder, "val")
    expected = roc_auc_score(found.labels, found.probabilities, multi_class="ovr")
    assert card["val_macro_auc"] == best["val_macro_auc"] == pytest.approx(expected, abs=1e-6)


def test_a_temperature_is_fitted_on_val_written_and_applied_again(tmp_path: Path) -> None:
    config = QUICK.changed(calibration="temperature")
    plain = fit(HARD["train"], HARD["val"], TEST, QUICK, tmp_path / "plain")
    folder = fit(HARD["train"], HARD["val"], TEST, config, tmp_path / "tempered")
    card = read_card(folder, "fit")["temperature"]
    before, after = read_predictions(plain, "val"), read_predictions(folder, "val")
    assert card["fitted_on"] == "val"
    assert card["value"] == pytest.approx(best_temperature(before.labels, before.probabilities), rel=1e-3)
    assert card["cross_entropy_after"] == pytest.approx(mean_cross_entropy(after.labels, after.probabilities), abs=1e-5)
    assert card["cross_entropy_after"] < card["cross_entropy_before"]
    for split in ("val", "test"):
        np.testing.assert_array_equal(
            read_predictions(plain, split).predicted, read_predictions(folder, split).predicted
        )
    again = TrainedClassifier.open(folder).probabilities(TEST)
    np.testing.assert_allclose(again, read_predictions(folder).probabilities, atol=1e-6)
    assert read_card(plain, "fit")["temperature"] is None


@pytest.mark.parametrize("calibration", ["none", "temperature"])
def test_operating_points_hold_on_the_predictions_of_val_as_they_are_read(tmp_path: Path, calibration: str) -> None:
    folder = fit(HARD["train"], HARD["val"], TEST, SHORT.changed(calibration=calibration), tmp_path / "fit")
    points, found = read_card(folder, "fit")["operating_points"], read_predictions(folder, "val")
    assert (points["chosen_on"], points["images"]) == ("val", len(found))
    for number, name in enumerate(found.classes):
        positive = found.labels == number
        for aim, point in points["classes"][name].items():
            called = found.probabilities[:, number] >= point["threshold"]
            assert called[positive].mean() == pytest.approx(point["sensitivity"])
            assert (~called[~positive]).mean() == pytest.approx(point["specificity"])
            assert point[aim] >= 0.9
