"""A screening: rules in order, what is written of it, and every leak that is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.pools.planted import lesions, planted_pool, real_cohort

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ConfigError, InputError, LeakageError
from dermsynth.pools.mix import mix
from dermsynth.pools.screen import screen
from dermsynth.pools.screens import rules_of
from dermsynth.reports import nearest
from dermsynth.reports.screens import page, rejected_share, rows

TINY = FitConfig(width=2, budget_kimg=0.03, evaluations=1, precision="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort, a pool of 20 honest images, then 4 of them mirrored, and a fit."""
    folder = tmp_path_factory.mktemp("screen")
    cohort = real_cohort(folder / "cohort", 80)
    images, labels = lesions(20, 1)
    whole = np.concatenate([images, images[:4, :, ::-1]]), np.concatenate([labels, labels[:4]])
    planted_pool(folder / "pool", cohort, *whole)
    fit(cohort.part("train"), cohort.part("val"), cohort.part("test"), TINY, folder / "fit")
    return folder


@pytest.fixture
def cohort(folder: Path) -> Cohort:
    return Cohort.open(folder / "cohort")


@pytest.fixture
def pool(folder: Path) -> Cohort:
    return Cohort.open(folder / "pool")


def test_a_rule_judges_what_the_rules_before_it_kept(cohort: Cohort, pool: Cohort) -> None:
    found = screen(pool, cohort, rules_of(["duplicate", "k-centre:keep=0.5"]))
    assert [(len(step.rows), len(step.kept)) for step in found.steps] == [(24, 20), (20, 10)]
    assert found.rejected.height == 14
    assert set(found.rejected["image_id"]) | set(pool.table[found.kept]["image_id"]) == set(pool.table["image_id"])


def test_what_passes_is_a_pool_that_says_how_it_was_screened(cohort: Cohort, pool: Cohort, tmp_path: Path) -> None:
    kept = screen(pool, cohort, rules_of(["duplicate"])).save(tmp_path / "kept", files={"more.html": b"x"})
    assert kept.table.equals(pool.table[:20])
    np.testing.assert_array_equal(kept.images[:], pool.images[np.arange(20)])
    assert kept.card["screens"] == [{"rule": "duplicate:of=pool,similar=0.75", "kept": 20, "rejected": 4}]
    assert kept.card["screened_from"] == pool.identity
    assert kept.card["config"] == {"seed": 3}
    assert "more.html" in kept.card["files"]
    rejected = pl.read_parquet(tmp_path / "kept" / "rejected.parquet")
    assert rejected["image_id"].to_list() == ["s20", "s21", "s22", "s23"]
    assert rejected["reason"].str.contains("similarity .* more than 0.750").all()


def test_a_pool_that_is_screened_again_remembers_both(cohort: Cohort, pool: Cohort, tmp_path: Path) -> None:
    once = screen(pool, cohort, rules_of(["duplicate"])).save(tmp_path / "once")
    twice = screen(once, cohort, rules_of(["k-centre:keep=0.5"])).save(tmp_path / "twice")
    assert [step["kept"] for step in twice.card["screens"]] == [20, 10]


def test_the_train_part_counts_as_seen_and_the_pool_still_joins_its_cohort(cohort: Cohort, tmp_path: Path) -> None:
    few = planted_pool(tmp_path / "few", cohort, *lesions(8, 3), learnt=3)
    kept = screen(few, cohort, rules_of(["k-centre"])).save(tmp_path / "kept")
    known = pl.read_parquet(tmp_path / "kept" / "seen.parquet")
    assert set(known["image_id"]) == set(cohort.part("train").table["image_id"])
    assert known["held_out"].to_list() == [False] * 3 + [True] * (known.height - 3)
    assert len(mix(cohort, kept)) == len(cohort.part("train")) + 4


def test_a_classifier_of_the_cohort_is_asked(folder: Path, cohort: Cohort, pool: Cohort) -> None:
    found = screen(pool, cohort, rules_of(["rank:keep=0.5"]), classifiers=[folder / "fit"])
    probabilities = TrainedClassifier.open(folder / "fit").probabilities(pool)
    values = probabilities[np.arange(24), pool.labels]
    np.testing.assert_allclose(found.steps[0].judgement.values, values)
    assert len(found.kept) == 12


def test_a_classifier_predicts_as_it_did_when_it_was_fitted(folder: Path, cohort: Cohort) -> None:
    from dermsynth.classifiers.predictions import read_predictions

    test = cohort.part("test")
    again = TrainedClassifier.open(folder / "fit").probabilities(test)
    np.testing.assert_allclose(again, read_predictions(folder / "fit", "test").probabilities, atol=1e-6)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_classifier_that_learnt_from_a_held_out_lesion_is_refused(
    cohort: Cohort, pool: Cohort, tmp_path: Path, part: str
) -> None:
    held_out = cohort.part(part)
    moved = held_out.table["image_id"][:2].to_list()
    rest = held_out.select(~pl.col("image_id").is_in(moved))
    train = Cohort.concat([cohort.part("train"), held_out.select(pl.col("image_id").is_in(moved))])
    parts = {"val": cohort.part("val"), "test": cohort.part("test"), part: rest}
    fit(train, parts["val"], parts["test"], TINY, tmp_path / "leaky")
    with pytest.raises(LeakageError, match=f"may have learnt from image '{moved[0]}', which is in the {part} part"):
        screen(pool, cohort, rules_of(["confidence"]), classifiers=[tmp_path / "leaky"])


def test_a_classifier_that_was_chosen_on_test_images_is_refused(cohort: Cohort, pool: Cohort, tmp_path: Path) -> None:
    fit(cohort.part("train"), cohort.part("test"), cohort.part("val"), TINY, tmp_path / "swapped")
    with pytest.raises(LeakageError, match="which is in the val part"):
        screen(pool, cohort, rules_of(["confidence"]), classifiers=[tmp_path / "swapped"])


def test_a_generator_that_saw_a_held_out_lesion_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    pool = planted_pool(tmp_path / "pool", cohort, *lesions(4, 1))
    cohort.part("val").table.select("image_id", "lesion_id", "patient_id", "sha256").write_parquet(
        tmp_path / "pool" / "seen.parquet"
    )
    with pytest.raises(LeakageError, match="saw lesion_id"):
        screen(pool, cohort, rules_of(["duplicate"]))


def test_no_rule_looks_at_a_test_image(folder: Path, pool: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = Cohort.open(folder / "cohort")
    test = {cohort.images[int(row)].tobytes() for row in np.flatnonzero(cohort.table["split"] == "test")}
    seen: list[np.ndarray] = []
    from dermsynth.encoders import handmade

    plain = handmade.encode
    monkeypatch.setattr(handmade, "encode", lambda images: seen.append(images) or plain(images))
    screen(pool, cohort, rules_of(["realism:share=0.2", "near-copy:share=0.2"]))
    assert not any(image.tobytes() in test for images in seen for image in images)


@pytest.mark.parametrize(
    ("rules", "message"),
    [([], "no rule to screen by"), (["agreement"], "needs 2 of --classifier, and 0 are given")],
)
def test_what_cannot_be_done_is_said_first(cohort: Cohort, pool: Cohort, rules: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        screen(pool, cohort, rules_of(rules))


def test_a_rule_that_keeps_nothing_is_named(cohort: Cohort, tmp_path: Path) -> None:
    images, labels = lesions(6, 1)
    pool = planted_pool(tmp_path / "pool", cohort, 255 - images, labels)
    with pytest.raises(InputError, match=r"rule realism:share=0\.1 rejects all 6 images"):
        screen(pool, cohort, rules_of(["realism:share=0.1"]))


def test_the_page_shows_every_rule_and_what_it_rejected(cohort: Cohort, pool: Cohort) -> None:
    found = screen(pool, cohort, rules_of(["duplicate", "realism:share=0.05"]))
    text = page(found).decode()
    assert "of 24 images kept" in text
    assert text.count("<svg") == 2
    assert all(step.rule.written in text for step in found.steps)
    sheet = list(rows(pool, found.steps[0]))
    assert [row.name for row in sheet] == ["mel", "", "nv", ""]
    np.testing.assert_array_equal(sheet[0].images[:, :, ::-1], sheet[1].images)


def test_the_rejection_curve_counts() -> None:
    values, at = np.array([1.0, 2.0, 2.0, np.inf]), np.array([0.0, 2.0, 3.0])
    np.testing.assert_allclose(rejected_share(values, at, high=False), [0, 0.25, 0.75])
    np.testing.assert_allclose(rejected_share(values, at, high=True), [1, 0.25, 0.25])


def test_the_nearest_pairs_are_shown_most_similar_first(cohort: Cohort, tmp_path: Path) -> None:
    images, labels = lesions(6, 1)
    images[3] = np.rot90(cohort.part("train").images[5])
    pairs = nearest.rows(cohort, planted_pool(tmp_path / "pool", cohort, images, labels), count=3)
    assert [len(row.images) for row in pairs] == [3, 3, 3]
    assert pairs[0].name == "0.0 grey levels"
    assert pairs[0].images[2].max() == 0
    assert [float(row.name.split()[0]) for row in pairs] == sorted(float(row.name.split()[0]) for row in pairs)
