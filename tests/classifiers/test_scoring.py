"""Scorecards: numbers from the files alone, which fits belong together, and what is refused and how."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk
from tests.classifiers.predicted import CLASSES, fit_folder, predictions, predictions_file

from dermsynth.classifiers import scoring
from dermsynth.classifiers.predictions import Predictions, read_predictions, write_predictions
from dermsynth.classifiers.recipes import recipes_of
from dermsynth.core.errors import ArtefactError, ConfigError, InputError

score = partial(scoring.score, resamples=100)


def test_numbers_are_those_of_scikit_learn_on_the_file(tmp_path: Path) -> None:
    (column,) = score([predictions_file(tmp_path / "a.parquet")]).columns
    found = read_predictions(tmp_path / "a.parquet")
    assert column.overall["balanced_accuracy"].value == pytest.approx(
        sk.balanced_accuracy_score(found.labels, found.predicted)
    )
    assert column.overall["mcc"].value == pytest.approx(sk.matthews_corrcoef(found.labels, found.predicted))
    assert column.questions["mel"]["auc"].value == pytest.approx(
        sk.roc_auc_score(found.labels == 1, found.probabilities[:, 1])
    )
    expected = sk.confusion_matrix(found.labels, found.predicted)
    assert column.confusion.counts == tuple(map(tuple, expected.tolist()))
    assert (column.confusion.rows, column.confusion.columns) == ("actual class", "predicted class")


def test_a_folder_and_the_file_in_it_are_the_same_fit(tmp_path: Path) -> None:
    folder = fit_folder(tmp_path / "fit")
    one, other = score([folder]), score([folder / "predictions.parquet"])
    assert one.columns[0].overall == other.columns[0].overall
    assert one.columns[0].name == other.columns[0].name == "real"
    assert one.columns[0].seeds == (0,)


def test_everything_is_one_json_value_and_the_same_every_time(tmp_path: Path) -> None:
    file = predictions_file(tmp_path / "a.parquet")
    first, again = (json.dumps(score([file], positive=["mel", "bkl"]).to_json(), allow_nan=False) for _ in range(2))
    assert first == again
    assert json.loads(first)["columns"][0]["curves"][0]["roc"]["bkl + mel"]["true_positive_rate"][-1] == 1


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    made = predictions()
    for name, rows in (("a", np.arange(len(made))), ("b", np.random.default_rng(0).permutation(len(made)))):
        write_predictions(tmp_path / f"{name}.parquet", {"test": made.take(rows)})
    one, other = (score([tmp_path / f"{name}.parquet"]).columns[0] for name in "ab")
    assert one.overall == other.overall
    assert one.questions == other.questions


def test_seeds_of_one_recipe_are_one_column_with_their_mean(tmp_path: Path) -> None:
    fits = [fit_folder(tmp_path / str(seed), seed=seed) for seed in (2, 0, 1)]
    found = score(fits)
    (column,) = found.columns
    each = [score([fit]).columns[0].overall["accuracy"].value for fit in (fits[1], fits[2], fits[0])]
    assert (column.name, column.seeds) == ("real", (0, 1, 2))
    assert column.overall["accuracy"].by_fit == pytest.approx(each)
    assert column.overall["accuracy"].value == pytest.approx(np.mean(each))
    assert sum(map(sum, column.confusion.counts)) == 3 * found.images


def test_other_arms_settings_and_unknown_recipes_stay_apart(tmp_path: Path) -> None:
    fits = [
        fit_folder(tmp_path / "a", seed=0),
        fit_folder(tmp_path / "b", seed=1, arm="hybrid"),
        fit_folder(tmp_path / "c", seed=2, width=8),
        predictions_file(tmp_path / "theirs.parquet"),
    ]
    names = [column.name for column in score(fits).columns]
    assert names == [f"real ({fits[0]})", "hybrid", f"real ({fits[2]})", "theirs"]


def test_fits_that_agree_in_the_seed_too_are_not_averaged(tmp_path: Path) -> None:
    fits = [fit_folder(tmp_path / name, arm="hybrid") for name in "ab"]
    assert [recipe.fits for recipe in recipes_of(fits)] == [(fits[0],), (fits[1],)]


def test_thresholds_come_from_val_alone(tmp_path: Path) -> None:
    val, test = predictions(prefix="v"), predictions()
    moved = replace(test, probabilities=np.roll(test.probabilities, 1, axis=0))
    for name, part in (("a", test), ("b", moved)):
        write_predictions(tmp_path / f"{name}.parquet", {"val": val, "test": part})
    one, other = (score([tmp_path / f"{name}.parquet"]).columns[0].operating["mel"] for name in "ab")
    assert one.thresholds_for_specificity == other.thresholds_for_specificity
    assert one.sensitivity_at_specificity != other.sensitivity_at_specificity
    called = val.probabilities[val.labels != 1, 1].astype(np.float32) >= one.thresholds_for_specificity[0]
    assert 0.1 - 1 / len(called) < called.mean() <= 0.1


def test_without_val_there_are_no_operating_points_and_a_note_says_why(tmp_path: Path) -> None:
    file = predictions_file(tmp_path / "a.parquet", val=False)
    found = score([file])
    assert found.columns[0].operating == {}
    assert any(f"{file}: holds no val image" in note for note in found.notes)
    found = score([predictions_file(tmp_path / "b.parquet")], part="val")
    assert found.columns[0].operating == {}
    assert any("the images that they are judged on" in note for note in found.notes)
    assert any("val chooses the state of a fit, so its scores are too good" in note for note in found.notes)


def test_several_positive_classes_are_one_question(tmp_path: Path) -> None:
    file = predictions_file(tmp_path / "a.parquet")
    found, made = score([file], positive=["nv", "mel"]), read_predictions(file)
    positive, together = made.labels > 0, made.probabilities[:, 1:].sum(axis=1)
    column = found.columns[0]
    assert found.focus == "mel + nv"
    assert column.questions["mel + nv"]["auc"].value == pytest.approx(sk.roc_auc_score(positive, together))
    assert column.questions["mel + nv"]["sensitivity"].value == pytest.approx((made.predicted[positive] > 0).mean())
    assert found.questions["mel + nv"].images == positive.sum()
    assert score([file], positive=["mel"]).focus == "mel"


def test_a_class_that_is_never_predicted_is_named(tmp_path: Path) -> None:
    made = predictions()
    probabilities = made.probabilities.copy()
    probabilities[:, 0] = 0
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    write_predictions(tmp_path / "a.parquet", {"test": replace(made, probabilities=probabilities)})
    found = score([tmp_path / "a.parquet"])
    assert found.columns[0].never_predicted == ("bkl",)
    assert any("never predicts 'bkl': a precision without predictions counts as 0" in note for note in found.notes)
    precision = found.columns[0].questions["bkl"]["precision"]
    assert precision.value == 0
    assert precision.high > 0.9


def test_constant_scores_are_chance_and_not_certain_to_be(tmp_path: Path) -> None:
    made = predictions()
    constant = replace(made, probabilities=np.full(made.probabilities.shape, 1 / 3))
    write_predictions(tmp_path / "a.parquet", {"val": predictions(prefix="v"), "test": constant})
    auc = score([tmp_path / "a.parquet"]).columns[0].questions["mel"]["auc"]
    assert auc.value == 0.5
    assert auc.low < 0.5 < auc.high


def test_few_lesions_are_pointed_out(tmp_path: Path) -> None:
    found = score([predictions_file(tmp_path / "a.parquet", counts=(1, 4, 30))])
    assert "'bkl' has 1 lesion in test: its numbers say little" in found.notes
    one = found.columns[0].questions["bkl"]["sensitivity"]
    assert one.high - one.low > 0.7


def test_a_difference_is_paired_and_has_delong_and_mcnemar_for_single_fits(tmp_path: Path) -> None:
    better = predictions_file(tmp_path / "better.parquet", skill=3)
    worse = predictions_file(tmp_path / "worse.parquet", seed=1)
    found = score([better], against=[worse])
    (comparison,) = found.comparisons
    one, other = found.columns
    assert (comparison.name, comparison.against) == (one.name, other.name) == ("better", "worse")
    difference = comparison.overall["accuracy"]
    assert difference.difference == pytest.approx(one.overall["accuracy"].value - other.overall["accuracy"].value)
    assert difference.low > 0
    assert difference.p_value < 0.01
    assert comparison.delong["mel"].difference == pytest.approx(comparison.questions["mel"]["auc"].difference)
    right = [read_predictions(file).predicted == read_predictions(file).labels for file in (better, worse)]
    assert comparison.mcnemar is not None
    assert comparison.mcnemar.only_this == (right[0] & ~right[1]).sum()
    assert comparison.mcnemar.only_against == (right[1] & ~right[0]).sum()


def test_delong_and_the_bootstrap_agree_on_areas(tmp_path: Path) -> None:
    files = [predictions_file(tmp_path / f"{seed}.parquet", seed=seed, counts=(60, 90, 120)) for seed in (0, 1)]
    (comparison,) = score([files[0]], against=[files[1]], resamples=2000).comparisons
    for name in CLASSES:
        ours, theirs = comparison.questions[name]["auc"], comparison.delong[name]
        assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.12)


def test_seeds_are_paired_and_single_fit_tests_left_out(tmp_path: Path) -> None:
    real = [fit_folder(tmp_path / f"r{seed}", seed=seed) for seed in (0, 1)]
    hybrid = [fit_folder(tmp_path / f"h{seed}", seed=seed, arm="hybrid", skill=2) for seed in (1, 0)]
    (comparison,) = score(hybrid, against=real).comparisons
    pairs = [
        score([h], against=[r]).comparisons[0].overall["mcc"].difference
        for h, r in zip(hybrid[::-1], real, strict=True)
    ]
    assert comparison.overall["mcc"].by_pair == pytest.approx(pairs)
    assert (comparison.delong, comparison.mcnemar) == ({}, None)
    with pytest.raises(InputError, match="'hybrid' has seed 1, 'real' has seeds 0, 1; differences are paired by seed"):
        score(hybrid[:1], against=real)
    file = predictions_file(tmp_path / "theirs.parquet")
    with pytest.raises(InputError, match="'theirs' has a fit without a known seed, 'real' has seeds 0, 1"):
        score([file], against=real)


def test_a_fit_against_itself_is_refused(tmp_path: Path) -> None:
    file = predictions_file(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no fit to score beside those to compare with; name the folder of a fit"):
        score([file], against=[file])


def refuse(match: str, fits: list[Path], **options: object) -> None:
    with pytest.raises((InputError, ConfigError), match=match):
        score(fits, **options)  # type: ignore[arg-type]


def changed(made: Predictions, column: str, row: int, value: object, folder: Path) -> Path:
    """Write predictions with one value changed, past the checks of `Predictions`."""
    file = folder / "changed.parquet"
    write_predictions(file, {"test": made})
    table = pl.read_parquet(file)
    values = table[column].to_list()
    values[row] = value
    table.with_columns(pl.Series(column, values, dtype=table[column].dtype)).write_parquet(file)
    return file


def test_bad_numbers_name_file_row_and_image(tmp_path: Path) -> None:
    refuse(r"changed.parquet.*row 3 \(image t0002\) has a probability that is not finite",
           [changed(predictions(), "p_mel", 2, float("nan"), tmp_path)])  # fmt: skip
    refuse(r"changed.parquet.*row 1 \(image t0000\) has probabilities that lie outside 0 to 1",
           [changed(predictions(), "p_mel", 0, 7.0, tmp_path)])  # fmt: skip
    refuse(r"changed.parquet.*row 1 \(image t0000\) has label 'df' but there is no column 'p_df'",
           [changed(predictions(), "label", 0, "df", tmp_path)])  # fmt: skip


def test_other_images_labels_lesions_and_classes_name_both_files_and_the_first_image(tmp_path: Path) -> None:
    first, made = predictions_file(tmp_path / "first.parquet"), predictions()
    refuse("changed.parquet.*image t0000 has label 'nv', in .*first.parquet.*it has 'bkl'",
           [first, changed(made, "label", 0, "nv", tmp_path)])  # fmt: skip
    refuse("changed.parquet.*image t0001 has lesion 'other', in .*first.parquet.*it has 'tl",
           [first, changed(made, "lesion_id", 1, "other", tmp_path)])  # fmt: skip
    refuse("changed.parquet.*other images than .*first.parquet.*: another is in .*changed.parquet",
           [first, changed(made, "image_id", 5, "another", tmp_path)])  # fmt: skip
    other = tmp_path / "other.parquet"
    write_predictions(other, {"test": replace(made, classes=("bkl", "df", "nv"))})
    refuse("other.parquet.*has classes bkl, df, nv; .*first.parquet.*has bkl, mel, nv", [first, other])


def test_too_few_images(tmp_path: Path) -> None:
    write_predictions(tmp_path / "one.parquet", {"test": predictions().take(np.array([0]))})
    refuse(
        "one.parquet.*class 'mel' has no image.*split the cohort so that every class is in it",
        [tmp_path / "one.parquet"],
    )
    three = [int(np.flatnonzero(predictions().labels == c)[0]) for c in range(3)]
    write_predictions(tmp_path / "three.parquet", {"test": predictions().take(np.array(three))})
    found = score([tmp_path / "three.parquet"]).columns[0].overall["accuracy"]
    assert found.high - found.low > 0.6


def test_options_that_cannot_be_say_what_can(tmp_path: Path) -> None:
    file = predictions_file(tmp_path / "a.parquet")
    refuse("part is 'train'; expected test or val", [file], part="train")
    refuse("target is 90; expected a share between 0 and 1, such as 0.9", [file], target=90)
    refuse("confidence is 95; expected a share above 0.5 and below 1", [file], confidence=95)
    refuse("resamples is 10; intervals need at least 100", [file], resamples=10)
    refuse(r"positive class 'mell': did you mean 'mel'\?", [file], positive=["mell"])
    refuse("all 3 classes are positive; leave at least one out", [file], positive=list(CLASSES))
    refuse("a.parquet: is given twice; name every fit once", [file, file])
    refuse("no fit to score; name the folder of a fit or a predictions file", [])
    refuse("b.parquet: is of another recipe than .*a.parquet; compare with one fit",
           [file], against=[predictions_file(tmp_path / "b.parquet"), file][::-1])  # fmt: skip


def test_a_fit_whose_files_are_damaged_is_refused(tmp_path: Path) -> None:
    folder = fit_folder(tmp_path / "fit")
    (folder / "predictions.parquet").write_bytes(b"short")
    with pytest.raises(ArtefactError, match=r"predictions.parquet: has 5 bytes, its card says \d+; make the fit again"):
        score([folder])
