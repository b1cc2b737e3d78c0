"""What `--download` knows of every source: the files that its reader looks for, or what to do by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dermsynth.cohorts.download import Remote
from dermsynth.cohorts.published import published_files
from dermsynth.cohorts.sources import SOURCES, source_config
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import make_isic, make_isic2016, make_isic2017, make_isic2019

FETCHED = ("dermamnist", "isic2016-task3", "isic2017-task3", "isic2018-task3", "isic2019", "isic2020")


def files_of(kind: str, root: str = "/raw") -> tuple[Remote, ...]:
    return published_files(source_config(kind, {"root": root}))[1]


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_every_source_has_files_or_says_why_not(kind: str) -> None:
    needed = {"csv": {"table": "t.csv"}, "phantom": {}}.get(kind, {})
    config = source_config(kind, needed if kind == "phantom" else {"root": "/raw/mine", **needed})
    if kind in FETCHED:
        folder, files = published_files(config)
        assert folder == Path("/raw/mine")
        assert all(re.fullmatch(r"https://[\w./-]+\.(zip|csv|npz)", remote.url) for remote in files)
        return
    with pytest.raises(InputError, match=r"leave --download out|put it into /raw/mine and run the command without"):
        published_files(config)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("isic2016-task3", lambda root: make_isic2016(root, masks=True)),
        ("isic2017-task3", lambda root: make_isic2017(root, masks=True)),
        ("isic2018-task3", make_isic),
        ("isic2019", lambda root: make_isic2019(root, test=9)),
    ],
)
def test_the_names_that_are_fetched_are_those_that_are_read(tmp_path: Path, kind: str, make: object) -> None:
    make(tmp_path)  # type: ignore[operator]
    there = {path.stem for path in tmp_path.iterdir()}
    known = {Path(remote.name).stem for remote in files_of(kind)} - {"ISIC2018_Task3_Training_LesionGroupings"}
    assert known <= there


def test_a_file_of_dermamnist_has_its_published_checksum() -> None:
    config = source_config("dermamnist", {"root": "/raw", "file": "dermamnist_64.npz"})
    (remote,) = published_files(config)[1]
    assert remote == Remote(
        "https://zenodo.org/records/10519652/files/dermamnist_64.npz", "b70a2f5635c6199aeaa28c31d7202e1f"
    )


def test_a_file_that_medmnist_does_not_publish_is_refused() -> None:
    config = source_config("dermamnist", {"root": "/raw", "file": "dermamnist_32.npz"})
    with pytest.raises(InputError, match=r"dermamnist_32.npz: is not published by MedMNIST; did you mean 'dermamnist_"):
        published_files(config)
