"""Label maps: every class gets a stated meaning, or none; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.labels import MAPS, load_map, relabelled
from dermsynth.cohorts.sources import SOURCES, source_config
from dermsynth.core.errors import ConfigError, InputError
from tests.cohorts.sources.layouts import make_isic2019, make_tree, opened

NAMES = sorted(path.stem for path in MAPS.glob("*.yaml"))


def rows_of(*labels: str) -> pl.DataFrame:
    return pl.DataFrame({"image_id": [f"i{number}" for number in range(len(labels))], "label": labels})


def map_at(folder: Path, *lines: str) -> str:
    path = folder / "mine.yaml"
    path.write_text("\n".join(["meaning: mine", "labels:", *(f"  {line}" for line in lines)]) + "\n")
    return str(path)


def test_labels_change_and_their_originals_are_kept(tmp_path: Path) -> None:
    path = map_at(tmp_path, "b: two", "a: one", "c: two")
    rows, classes = relabelled(rows_of("a", "b", "c", "a"), ("a", "b", "c"), path)
    assert rows["label"].to_list() == ["one", "two", "two", "one"]
    assert rows["original_label"].to_list() == ["a", "b", "c", "a"]
    assert classes == ("two", "one")


def test_a_label_that_becomes_null_is_left_out(tmp_path: Path) -> None:
    path = map_at(tmp_path, "a: one", "b: null", "c: two", "d: three")
    rows, classes = relabelled(rows_of("a", "b", "c"), ("a", "b", "c"), path)
    assert rows["image_id"].to_list() == ["i0", "i2"]
    assert classes == ("one", "two")  # nothing becomes three


def test_a_class_that_the_map_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine.yaml: says nothing about class 'melanom'; did you mean 'melanoma'"):
        relabelled(rows_of("melanom", "nv"), ("melanom", "nv"), map_at(tmp_path, "melanoma: m", "nv: n"))


def test_two_classes_must_be_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine.yaml: leaves 1 of 3 classes; 2 at least are needed"):
        relabelled(rows_of("a", "b", "c"), ("a", "b", "c"), map_at(tmp_path, "a: one", "b: one", "c: null"))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no label map 'ham1000'; did you mean 'ham10000'\?, or give a .yaml file"):
        load_map("ham1000")


def test_a_file_that_is_no_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("label: {a: b}\nmeaning: x\n")
    with pytest.raises(ConfigError, match=r"mine.yaml: unknown key 'label'; did you mean 'labels'"):
        load_map(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_map_of_the_house_says_what_it_means(name: str) -> None:
    known = load_map(name)
    assert len(known.meaning) > 100
    assert {target for target in known.labels.values() if target} <= known.labels.keys()


def fixed_classes() -> list[tuple[str, tuple[str, ...]]]:
    return [(kind, made.classes) for kind, (_, made) in SOURCES.items() if isinstance(vars(made).get("classes"), tuple)]


@pytest.mark.parametrize(("kind", "classes"), fixed_classes())
def test_every_source_with_fixed_classes_has_two_of_them(kind: str, classes: tuple[str, ...]) -> None:
    assert relabelled(rows_of(*classes), classes, "benign-malignant")[1] == ("benign", "malignant")


def test_isic2019_becomes_the_classes_of_ham10000_in_their_order() -> None:
    classes = SOURCES["isic2019"][1].classes
    assert relabelled(rows_of(*classes), classes, "ham10000")[1] == SOURCES["ham10000"][1].classes


def test_the_images_that_both_real_sets_have_get_the_same_label(real_data: Path) -> None:
    there = opened("isic2019", real_data / "isic2019")
    mapped, _ = relabelled(there.rows, there.classes, "ham10000")  # type: ignore[attr-defined]
    known = opened("ham10000", real_data / "ham10000").rows  # type: ignore[attr-defined]
    both = known.select("image_id", "label").join(mapped, on="image_id")
    assert both.height == 10_015
    assert both["label"].equals(both["label_right"], null_equal=False)


def test_ingest_relabels_and_the_card_says_how(tmp_path: Path) -> None:
    make_isic2019(tmp_path / "raw", train=16)
    config = source_config("isic2019", {"root": str(tmp_path / "raw")})
    cohort = ingest(config, 8, tmp_path / "out", labels="benign-malignant")
    assert cohort.classes == ("benign", "malignant")
    assert cohort.counts() == {"benign": 8, "malignant": 8}
    assert cohort.card["config"]["labels"] == load_map("benign-malignant").canonical()
    assert "original_label" in cohort.table.columns


def test_what_was_left_out_is_counted_in_the_card(tmp_path: Path) -> None:
    make_isic2019(tmp_path / "raw", test=18)
    labels = map_at(tmp_path, *(f"{name}: {name}" for name in SOURCES["isic2019"][1].classes[1:]), "mel: null")
    cohort = ingest(source_config("isic2019", {"root": str(tmp_path / "raw")}), 8, tmp_path / "out", labels=labels)
    assert cohort.card["left_out"] == {"class UNK: none of the eight": 2, "label without a class in the map": 4}


def test_another_map_is_another_cohort(tmp_path: Path) -> None:
    config = source_config("folder", {"root": str(make_tree(tmp_path / "tree", {"a": 2, "b": 2, "c": 2}))})
    first = ingest(config, 8, tmp_path / "out", labels=map_at(tmp_path, "a: x", "b: x", "c: y"))
    again = ingest(config, 8, tmp_path / "out", labels=map_at(tmp_path, "a: x", "b: x", "c: y"))
    assert again.card["created"] == first.card["created"]
    with pytest.raises(Exception, match="already exists"):
        ingest(config, 8, tmp_path / "out", labels=map_at(tmp_path, "a: x", "b: y", "c: y"))
