"""The laws of a split: who must stay together, who is assigned, and what follows from the seed alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.cohorts.cohort import PARTS, SPLIT, SPLIT_CARD, Cohort
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.cohorts.split import SplitConfig, assign, leak, split
from dermsynth.core.config import parse
from dermsynth.core.errors import ArtefactError, ConfigError, InputError, LeakageError
from tests.helpers import make_cohort, saved_cohort

CLASSES = ("mel", "nv")


def table_of(
    lesions_per_class: Sequence[int], photos: Sequence[int] = (1,), patients: Sequence[int | None] = (None,)
) -> pl.DataFrame:
    """Return a cohort's table; lesion k has photos[k % …] images and patient patients[k % …]."""
    rows = []
    for label, count in zip(CLASSES, lesions_per_class, strict=True):
        for _ in range(count):
            lesion = len({row["lesion_id"] for row in rows})
            patient = patients[lesion % len(patients)]
            for _ in range(photos[lesion % len(photos)]):
                rows.append(
                    {
                        "image_id": f"i{len(rows):04}",
                        "label": label,
                        "lesion_id": f"L{lesion:03}",
                        "patient_id": None if patient is None else f"P{patient}",
                        "origin": "real",
                        "sha256": f"h{len(rows)}",
                    }
                )
    return pl.DataFrame(rows, schema_overrides={"patient_id": pl.String})


def assigned(table: pl.DataFrame, config: SplitConfig | None = None, seed: int = 0) -> pl.DataFrame:
    return table.with_columns(split=assign(table, CLASSES, config or SplitConfig(), seed, "cohort"))


tables = st.builds(
    table_of,
    st.tuples(st.integers(5, 40), st.integers(5, 40)),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
)
shares = st.builds(lambda val, test: SplitConfig(val=val, test=test), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
laws = settings(max_examples=40, deadline=None)


@laws
@given(tables, shares, st.integers(0, 1000))
def test_no_lesion_straddles_and_every_image_is_assigned(table: pl.DataFrame, config: SplitConfig, seed: int) -> None:
    whole = assigned(table, config, seed)
    assert whole.group_by("lesion_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(whole["split"]) == set(PARTS)


@laws
@given(
    st.tuples(st.integers(30, 60), st.integers(30, 60)),
    st.lists(st.one_of(st.none(), st.integers(0, 29)), min_size=20, max_size=60),
    st.integers(0, 1000),
)
def test_no_patient_straddles(lesions: tuple[int, int], patients: list[int | None], seed: int) -> None:
    table = table_of(lesions, patients=patients)
    with contextlib.suppress(InputError):  # patients that share everything leave nothing to hold out
        check_patients(assigned(table, seed=seed))


def check_patients(whole: pl.DataFrame) -> None:
    known = whole.filter(pl.col("patient_id").is_not_null())
    assert known.is_empty() or known.group_by("patient_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert whole.group_by("lesion_id").agg(pl.col("split").n_unique())["split"].max() == 1


@laws
@given(tables, shares, st.integers(0, 1000))
def test_every_class_has_the_requested_share_within_one_lesion(
    table: pl.DataFrame, config: SplitConfig, seed: int
) -> None:
    whole = assigned(table, config, seed)
    for label in CLASSES:
        lesions = whole.filter(pl.col("label") == label).unique("lesion_id")
        for part, share in (("val", config.val), ("test", config.test)):
            found = lesions.filter(pl.col("split") == part).height
            assert abs(found - share * lesions.height) <= 1


@laws
@given(tables, st.randoms(use_true_random=False), st.integers(0, 1000))
def test_the_order_of_the_rows_changes_nothing(table: pl.DataFrame, random: object, seed: int) -> None:
    rows = list(range(table.height))
    random.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = assigned(table[rows], seed=seed).sort("image_id")
    assert shuffled["split"].to_list() == assigned(table, seed=seed)["split"].to_list()


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    table = table_of((30, 30))
    first, again, other = (assigned(table, seed=seed)["split"].to_list() for seed in (3, 3, 4))
    assert first == again != other


def test_chains_of_patients_and_lesions_move_together() -> None:
    # Lesion L000 has photos of patients P0 and P1, lesion L001 of P1: all three belong together.
    table = table_of((20, 20), photos=(2,))
    patients = ["P0", "P1", "P1", None, *[None] * (table.height - 4)]
    table = table.with_columns(patient_id=pl.Series(patients, dtype=pl.String))
    for seed in range(10):
        whole = assigned(table, seed=seed)
        assert whole.filter(pl.col("lesion_id").is_in(["L000", "L001"]))["split"].n_unique() == 1


def test_an_empty_patient_is_no_common_patient() -> None:
    table = table_of((20, 20)).with_columns(patient_id=pl.lit(""))
    assert set(assigned(table)["split"]) == set(PARTS)


def test_identical_files_stay_together_whatever_their_lesion() -> None:
    table = table_of((20, 20))
    hashes = table["sha256"].to_list()
    hashes[1] = hashes[0]
    table = table.with_columns(sha256=pl.Series(hashes))
    for seed in range(10):
        assert assigned(table, seed=seed)["split"][:2].n_unique() == 1


def official(table: pl.DataFrame, test: pl.Expr) -> pl.DataFrame:
    return table.with_columns(part=pl.when(test).then(pl.lit("test")).otherwise(pl.lit("train")))


def test_official_keeps_exactly_the_published_test_and_draws_val_from_the_rest() -> None:
    fixed = pl.col("lesion_id").str.slice(3).is_in(["3", "7"])
    table = official(table_of((30, 20)), fixed)
    table = table.with_columns(is_test=fixed)
    whole = assigned(table, SplitConfig(scheme="official", val=0.25))
    assert (whole["is_test"] == (whole["split"] == "test")).all()
    val = whole.filter(pl.col("split") == "val")
    assert dict(val.group_by("label").len().iter_rows()) == {"mel": 6, "nv": 4}


def test_official_without_a_published_test_is_refused() -> None:
    for table in (table_of((9, 9)), official(table_of((9, 9)), pl.lit(value=False))):
        with pytest.raises(InputError, match="cohort: its source fixes no test set; use --scheme lesion"):
            assigned(table, SplitConfig(scheme="official"))


def test_training_images_of_an_official_test_lesion_are_left_out() -> None:
    table = official(table_of((9, 9), photos=(2,)), pl.col("image_id").is_in(["i0001", "i0020", "i0021"]))
    whole = assigned(table, SplitConfig(scheme="official"))
    assert whole.filter(pl.col("split") == "test")["image_id"].to_list() == ["i0001", "i0020", "i0021"]
    assert whole.filter(pl.col("split") == "unused")["image_id"].to_list() == ["i0000"]
    assert leak(whole, ()) is None


def test_a_published_val_part_is_kept() -> None:
    table = table_of((9, 9)).with_columns(
        part=pl.col("lesion_id").replace_strict(
            {"L000": "val", "L009": "val", "L001": "test", "L010": "test"}, default="train"
        )
    )
    for scheme in ("official", "fixed"):
        assert assigned(table, SplitConfig(scheme=scheme))["split"].to_list() == table["part"].to_list()


def test_fixed_keeps_the_published_parts_whatever_they_leak_and_says_so() -> None:
    table = official(table_of((10, 10), photos=(2,)), pl.col("image_id").is_in(["i0001", "i0020", "i0021", "i0022"]))
    whole = assigned(table, SplitConfig(scheme="fixed"))
    assert (whole.filter(pl.col("split") == "test")["part"] == "test").all()
    assert (whole["part"] == "test").sum() == (whole["split"] == "test").sum()
    assert leak(whole.with_columns(split="part"), ()) == (
        "50.0 % of the test images show a lesion or a patient that is in train"
    )


def test_near_duplicates_stay_together_whatever_their_lesion() -> None:
    table = table_of((20, 20))
    for seed in range(10):
        parts = assign(table, CLASSES, SplitConfig(), seed, "cohort", [(0, 7), (7, 25)])
        assert parts.gather([0, 7, 25]).n_unique() == 1


def test_near_duplicates_are_searched_for_in_the_pixels(tmp_path: Path) -> None:
    cohort = ingest(source_config("phantom", {"counts": {"mel": 30, "nv": 30}}), 64, tmp_path / "drawn")
    pixels = cohort.images[:]
    pixels[3] = pixels[50, ::-1]  # upside down
    Cohort.in_memory(cohort.table, pixels, cohort.classes).save(tmp_path / "cohort")
    for seed in range(5):
        parts = split(tmp_path / "cohort", SplitConfig(val=0.3, test=0.3), seed=seed, force=True).table["split"]
        assert parts[3] == parts[50]
    assert json.loads((tmp_path / "cohort" / SPLIT_CARD).read_text())["near_duplicates"] >= 1


@laws
@given(tables, st.integers(2, 5), st.integers(0, 1000))
def test_every_lesion_is_tested_in_exactly_one_fold(table: pl.DataFrame, folds: int, seed: int) -> None:
    configs = [SplitConfig(scheme="kfold", folds=folds, fold=fold) for fold in range(folds)]
    tested = [assigned(table, config, seed).filter(pl.col("split") == "test") for config in configs]
    assert sorted(pl.concat(tested)["image_id"]) == table["image_id"].to_list()
    lesions = [part["lesion_id"].n_unique() for part in tested]
    assert max(lesions) - min(lesions) <= 1
    for label in CLASSES:
        counts = [part.filter(pl.col("label") == label)["lesion_id"].n_unique() for part in tested]
        assert max(counts) - min(counts) <= 1


def test_more_folds_than_lesions_are_refused() -> None:
    with pytest.raises(InputError, match="class 'mel' has 4 lesions that can be parted, fewer than the 5 folds"):
        assigned(table_of((4, 20)), SplitConfig(scheme="kfold"))


PAPER_002 = {
    "NV": (10300, 1287, 1288),
    "MEL": (3618, 452, 452),
    "BCC": (2658, 332, 333),
    "BKL": (2099, 262, 263),
    "AK": (694, 87, 86),
    "SCC": (502, 63, 63),
    "VASC": (202, 26, 25),
    "DF": (191, 24, 24),
}
"""Table 1 of Fossen-Romsaas et al. 2020: train, val and test images."""


def test_an_image_level_split_has_the_exact_counts_of_paper_002() -> None:
    labels = [label for label, counts in PAPER_002.items() for _ in range(sum(counts))]
    ids = [f"i{number:05}" for number in range(len(labels))]
    table = pl.DataFrame({"image_id": ids, "label": labels, "lesion_id": ids, "sha256": ids}).with_columns(
        origin=pl.lit("real"), patient_id=pl.lit(None, dtype=pl.String)
    )
    parts = assign(table, tuple(PAPER_002), SplitConfig(scheme="image", val=0.1, test=0.1), 0, "ISIC 2019")
    found = {
        (label, part): n
        for label, part, n in table.with_columns(split=parts).group_by("label", "split").len().iter_rows()
    }
    assert {label: tuple(found[label, part] for part in PARTS) for label in PAPER_002} == PAPER_002


def test_an_image_level_split_of_lesions_with_several_photos_is_marked_leaky(tmp_path: Path) -> None:
    cohort = ingest(
        source_config("phantom", {"counts": {"mel": 60, "nv": 60}, "several_photos": 1.0}), 16, tmp_path / "c"
    )
    assert cohort.leaky is None
    leaky = split(tmp_path / "c", SplitConfig(scheme="image")).leaky
    assert leaky is not None
    share = float(leaky.split(" %")[0])
    assert 30 < share < 95
    assert Cohort.open(tmp_path / "c").select([0, 1]).leaky == leaky


def test_the_share_of_leaked_test_images_in_ham10000(real_data: Path) -> None:
    source = make_source(source_config("ham10000", {"root": str(real_data / "ham10000")}))
    table = source.check().with_columns(origin=pl.lit("real"), sha256="image_id")
    config = SplitConfig(scheme="image", val=0.1, test=0.1)
    shares = []
    for seed in range(8):
        whole = table.with_columns(split=assign(table, source.classes, config, seed, "ham"))
        shares.append(float(str(leak(whole, ())).split(" %")[0]))
    assert abs(np.mean(shares) - 38.7) < 1.0


def test_a_smaller_share_of_train_is_part_of_a_larger_one() -> None:
    table = table_of((40, 60), photos=(1, 2, 3))
    whole = assigned(table)
    before: set[str] = set()
    for fraction in (0.05, 0.1, 0.5, 1.0):
        thin = assigned(table, SplitConfig(train_fraction=fraction))
        kept = thin.filter(pl.col("split") == "train")
        assert before <= set(kept["image_id"])
        before = set(kept["image_id"])
        assert thin.filter(pl.col("split").is_in(["val", "test"])).equals(
            whole.filter(pl.col("split").is_in(["val", "test"]))
        )
        lesions = dict(kept.group_by("label").agg(pl.col("lesion_id").n_unique()).iter_rows())
        assert lesions == {"mel": max(1, round(fraction * 28)), "nv": round(fraction * 42)}
    assert before == set(whole.filter(pl.col("split") == "train")["image_id"])


def test_at_most_so_many_lesions_of_each_class_are_used() -> None:
    thin = assigned(table_of((10, 60)), SplitConfig(train_lesions=20)).filter(pl.col("split") == "train")
    assert dict(thin.group_by("label").len().iter_rows()) == {"mel": 7, "nv": 20}


@pytest.mark.parametrize(
    ("profile", "expected"), [("exponential", [70, 32, 15, 7]), ("step", [70, 70, 7, 7])], ids=["exponential", "step"]
)
def test_train_can_be_thinned_out_to_a_profile(profile: str, expected: list[int]) -> None:
    labels = [label for label in "abcd" for _ in range(100)]
    ids = [f"i{number:03}" for number in range(400)]
    table = pl.DataFrame({"image_id": ids, "label": labels, "lesion_id": ids, "sha256": ids}).with_columns(
        origin=pl.lit("real"), patient_id=pl.lit(None, dtype=pl.String)
    )
    config = parse(SplitConfig, {"imbalance": profile, "imbalance_ratio": 10}, "split")
    whole = table.with_columns(split=assign(table, tuple("abcd"), config, 0, "cohort"))
    train = dict(whole.filter(pl.col("split") == "train").group_by("label").len().iter_rows())
    assert [train[label] for label in "abcd"] == expected
    assert (whole["split"] == "test").sum() == 80


@pytest.mark.parametrize("lesions", [1, 2])
def test_a_class_with_too_few_lesions_is_refused_with_its_number(lesions: int) -> None:
    with pytest.raises(InputError) as error:
        assigned(table_of((lesions, 20)))
    assert f"cohort: class 'mel' has too few lesions ({lesions}): none is left for " in str(error.value)
    assert "add lesions, change the shares, or leave the class out" in str(error.value)


def test_three_lesions_are_enough_for_a_class() -> None:
    whole = assigned(table_of((3, 20)))
    assert set(whole.filter(pl.col("label") == "mel")["split"]) == set(PARTS)


def test_one_lesion_in_all_is_refused() -> None:
    table = table_of((20, 20)).with_columns(lesion_id=pl.lit("L"), label=pl.lit("mel"))
    with pytest.raises(InputError, match="class 'mel' has too few lesions \\(1\\): none is left for"):
        assigned(table)


def test_a_lesion_with_two_labels_is_refused() -> None:
    table = table_of((20, 20)).with_columns(
        lesion_id=pl.when(pl.col("image_id") == "i0020").then(pl.lit("L000")).otherwise("lesion_id")
    )
    with pytest.raises(InputError, match="cohort: lesion 'L000' is labelled mel and nv; correct its labels"):
        assigned(table)


def test_synthetic_images_are_never_split() -> None:
    table = table_of((20, 20)).with_columns(
        origin=pl.when(pl.col("image_id") == "i0007").then(pl.lit("synthetic")).otherwise("origin")
    )
    with pytest.raises(LeakageError, match="cohort: image 'i0007' is synthetic; only real images are split"):
        assigned(table)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"val": 0.5, "test": 0.5}, "split: val 0.5 and test 0.5 leave nothing to train on"),
        ({"val": 0}, "split: 'val' is 0: Input should be greater than 0"),
        (
            {"scheme": "random"},
            "split: 'scheme' is 'random': Input should be 'lesion', 'kfold', 'official', 'fixed' or 'image'",
        ),
        ({"fold": 5}, "split: fold 5: there are 5 folds, numbered from 0"),
        (
            {"train_fraction": 0.5, "train_lesions": 3},
            "split: train_fraction and train_lesions are both set; choose one",
        ),
        ({"tset": 0.2}, "split: unknown key 'tset'; did you mean 'test'?"),
    ],
)
def test_shares_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(SplitConfig, values, "split")
    assert str(error.value) == message


def test_the_folder_says_how_it_was_split_and_opens_with_the_split(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "cohort", split=False)
    cohort = split(tmp_path / "cohort", SplitConfig(), seed=5)
    card = json.loads((tmp_path / "cohort" / SPLIT_CARD).read_text())
    assert (card["seed"], card["config"]["scheme"]) == (5, "lesion")
    for part in PARTS:
        assert Cohort.open(tmp_path / "cohort").part(part).counts() == card["counts"][part]
    assert np.array_equal(cohort.images[:], make_cohort(split=False).images[:])


def test_a_second_split_needs_force_and_changes_the_identity(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "cohort", split=False)
    first = split(tmp_path / "cohort", SplitConfig()).identity
    with pytest.raises(ArtefactError, match="cohort: is split already; --force to split it again"):
        split(tmp_path / "cohort", SplitConfig(), seed=1)
    assert Cohort.open(tmp_path / "cohort").identity == first
    assert split(tmp_path / "cohort", SplitConfig(), seed=1, force=True).identity != first
    assert split(tmp_path / "cohort", SplitConfig(), force=True).identity == first


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / SPLIT).write_bytes(b"PAR1 but no more"), "split.parquet: cannot be read ("),
        (lambda folder: (folder / SPLIT_CARD).unlink(), "split.parquet: cannot be read ("),
        (lambda folder: (folder / SPLIT_CARD).write_text("{}"), "split.parquet: cannot be read ("),
        (
            lambda folder: (
                pl.read_parquet(folder / SPLIT).with_columns(split=pl.lit("train")).write_parquet(folder / SPLIT)
            ),
            "split.parquet: is not the split that split.json describes",
        ),
    ],
    ids=["truncated", "no-card", "empty-card", "changed"],
)
def test_a_damaged_split_is_refused_and_can_be_made_again(tmp_path: Path, spoil: object, message: str) -> None:
    folder = tmp_path / "cohort"
    saved_cohort(folder, split=False)
    split(folder, SplitConfig())
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(ArtefactError) as error:
        Cohort.open(folder)
    assert message in str(error.value)
    assert str(error.value).endswith(f"run 'dermsynth split {folder} --force'")
    assert "\n" not in str(error.value)
    split(folder, SplitConfig(), force=True)


def test_the_real_challenge_keeps_its_test_and_no_lesion_straddles(real_data: Path) -> None:
    for kind, folder, scheme in (("isic2018-task3", "isic2018_task3", "official"), ("ham10000", "ham10000", "lesion")):
        source = make_source(source_config(kind, {"root": str(real_data / folder)}))
        table = source.rows.with_columns(origin=pl.lit("real"), sha256="image_id")  # type: ignore[attr-defined]
        parts = assign(table, source.classes, SplitConfig(scheme=scheme), 0, kind)  # type: ignore[arg-type]
        whole = table.with_columns(split=parts)
        assert whole.group_by("lesion_id").agg(pl.col("split").n_unique())["split"].max() == 1
        if scheme == "official":
            assert (parts == "test").sum() == 1_512
