"""The files of a split, where a cohort takes it over from the one it was made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl

from dermsynth.cohorts.cohort import PARTS, SPLIT, SPLIT_CARD, UNUSED, Cohort
from dermsynth.cohorts.split import SplitConfig, split
from dermsynth.cohorts.split_files import carry_split, write_split
from tests.helpers import make_cohort, saved_cohort


def test_a_cohort_made_from_another_has_its_split_and_knows_how_that_was_drawn(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "before", split=False)
    before = split(tmp_path / "before", SplitConfig(test=0.3), seed=5)
    fewer = before.select(range(0, len(before), 2))
    fewer.save(tmp_path / "after")
    carry_split(fewer, fewer.table, fewer.classes, tmp_path / "after")
    after = Cohort.open(tmp_path / "after")
    assert after.table["split"].equals(fewer.table["split"])
    card = json.loads((tmp_path / "after" / SPLIT_CARD).read_text())
    assert (card["seed"], card["config"]["test"]) == (5, 0.3)
    assert card["counts"]["test"] == after.part("test").counts() != before.part("test").counts()


def test_the_mark_of_a_leaky_split_goes_along(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "after", split=False)
    before = replace(make_cohort(), leaky="images of one lesion stand in train and test")
    carry_split(before, before.table, before.classes, tmp_path / "after")
    assert Cohort.open(tmp_path / "after").leaky == before.leaky


def test_unused_images_are_counted_where_there_are_some(tmp_path: Path) -> None:
    table = make_cohort().table
    write_split(tmp_path, table, ("bkl", "mel", "nv"), {})
    assert set(json.loads((tmp_path / SPLIT_CARD).read_text())["counts"]) == set(PARTS)
    train_mel = (pl.col("label") == "mel") & (pl.col("split") == "train")
    thinned = table.with_columns(split=pl.when(train_mel).then(pl.lit(UNUSED)).otherwise("split"))
    write_split(tmp_path, thinned, ("bkl", "mel", "nv"), {})
    assert json.loads((tmp_path / SPLIT_CARD).read_text())["counts"][UNUSED] == {"bkl": 0, "mel": 8, "nv": 0}
    assert pl.read_parquet(tmp_path / SPLIT)["split"].equals(thinned["split"])
