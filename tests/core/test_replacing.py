"""Replacing folders: there is always one, and what killed processes left is cleared away, but nobody else's."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import pytest

from dermsynth.core import replacing
from dermsynth.core.replacing import draft_of, replace_folder, sweep

GONE = 2**22 + 1  # above the highest process number of Linux


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "data.txt").write_text(text)
    return path


def left_by(pid: int, path: Path, what: str = "tmp", host: str = platform.node()) -> Path:
    return folder(path.with_name(f".{path.name}.{what}-{host}-{pid}"), what)


@pytest.mark.parametrize("swaps", [True, False])
def test_the_new_folder_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    if not swaps:
        monkeypatch.setattr(replacing, "_exchanged", lambda first, second: False)
    out = folder(tmp_path / "thing", "old")
    replace_folder(folder(tmp_path / "new", "new"), out)
    assert (out / "data.txt").read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]


def test_a_process_killed_while_it_deletes_the_old_folder_has_put_the_new_one_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder(tmp_path / "thing", "old")
    new = folder(tmp_path / "thing.partial", "new")

    def killed(path: Path, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(new, out)
    assert (out / "data.txt").read_text() == "new"
    assert not new.exists()


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux swaps two folders in one step")
def test_no_moment_is_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder(tmp_path / "thing", "old")
    rename = Path.rename

    def watched(path: Path, to: Path) -> Path:
        moved = rename(path, to)
        assert out.exists()
        return moved

    monkeypatch.setattr(Path, "rename", watched)
    replace_folder(folder(tmp_path / "new", "new"), out)
    assert (out / "data.txt").read_text() == "new"


def test_a_link_is_replaced_and_what_it_leads_to_is_kept(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere", "old")
    (tmp_path / "thing").symlink_to(elsewhere)
    replace_folder(folder(tmp_path / "new", "new"), tmp_path / "thing")
    assert (tmp_path / "thing" / "data.txt").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"thing", "elsewhere"}


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    out = folder(tmp_path / "thing", "whole")
    left_by(GONE, out)
    left_by(GONE, out, "old")
    (tmp_path / f".thing.tmp-{platform.node()}-{GONE + 1}").touch()
    sweep(out)
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_a_killed_process_moved_away_comes_back(tmp_path: Path) -> None:
    left_by(GONE, tmp_path / "thing", "old")
    left_by(GONE, tmp_path / "thing", "tmp")
    sweep(tmp_path / "thing")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
    assert (tmp_path / "thing" / "data.txt").read_text() == "old"


def test_what_may_be_in_use_or_is_of_another_name_stays(tmp_path: Path) -> None:
    kept = {
        left_by(os.getppid(), tmp_path / "thing"),
        left_by(1, tmp_path / "thing"),
        left_by(GONE, tmp_path / "thing", host="elsewhere"),
        left_by(GONE, tmp_path / "thing2"),
        folder(tmp_path / ".thing.tmp-mine", "own"),
    }
    sweep(tmp_path / "thing")
    assert set(tmp_path.iterdir()) == kept


def test_a_draft_lies_beside_its_folder(tmp_path: Path) -> None:
    assert draft_of(tmp_path / "thing").parent == tmp_path
    sweep(tmp_path / "absent" / "thing")
