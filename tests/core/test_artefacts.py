"""Artefact folders: whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dermsynth.core.artefacts import (
    CARD,
    check_free,
    creating,
    explained_disk_errors,
    finish,
    identity,
    read_card,
    write_json,
    write_together,
)
from dermsynth.core.errors import ArtefactError


def made(out: Path, text: str = "hello", *, force: bool = False) -> Path:
    with creating(out, "thing", force=force) as draft:
        (draft.path / "data.txt").write_text(text)
        draft.card["colour"] = "red"
    return out


def test_a_complete_folder_has_its_files_and_a_card_with_facts_and_versions(tmp_path: Path) -> None:
    card = read_card(made(tmp_path / "new" / "thing"), "thing")
    assert card["colour"] == "red"
    assert card["files"]["data.txt"]["bytes"] == 5
    assert "numpy" in card["versions"]


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        made(tmp_path / "thing", None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_replacing_keeps_the_old_folder(tmp_path: Path) -> None:
    out = made(tmp_path / "thing", "old")
    with pytest.raises(TypeError):
        made(out, None, force=True)  # type: ignore[arg-type]
    assert (out / "data.txt").read_text() == "old"
    read_card(out, "thing")


def test_force_replaces_an_artefact(tmp_path: Path) -> None:
    made(tmp_path / "thing", "old")
    assert (made(tmp_path / "thing", "new", force=True) / "data.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_an_existing_folder_is_refused_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    made(tmp_path / "thing")
    with pytest.raises(ArtefactError, match=r"already exists; choose another --out, or --force"):
        made(tmp_path / "thing")


def test_force_does_not_delete_what_is_no_artefact(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("photo")
    with pytest.raises(ArtefactError, match="no dermsynth artefact"):
        check_free(tmp_path, force=True)


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    made(tmp_path / "thing")


def test_a_folder_without_card_does_not_exist(tmp_path: Path) -> None:
    (made(tmp_path / "thing") / CARD).unlink()
    with pytest.raises(ArtefactError, match=r"has no card.json, so it is no complete thing"):
        read_card(tmp_path / "thing", "thing")


@pytest.mark.parametrize("content", ["", "{", "[]", '"thing"', '{"kind": "thing"}', '{"kind": "thing", "files": []}'])
def test_a_damaged_card_is_refused(tmp_path: Path, content: str) -> None:
    (made(tmp_path / "thing") / CARD).write_text(content)
    with pytest.raises(ArtefactError, match="make the thing again"):
        read_card(tmp_path / "thing", "thing")


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is a thing, expected a cohort"):
        read_card(made(tmp_path / "thing"), "cohort")


def test_a_truncated_file_is_found(tmp_path: Path) -> None:
    (made(tmp_path / "thing") / "data.txt").write_text("hell")
    with pytest.raises(ArtefactError, match=r"data.txt: has 4 bytes, its card says 5"):
        read_card(tmp_path / "thing", "thing")


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    (made(tmp_path / "thing") / "data.txt").unlink()
    with pytest.raises(ArtefactError, match=r"data.txt: is missing"):
        read_card(tmp_path / "thing", "thing")


def test_the_identity_follows_the_content_and_not_the_place_or_time(tmp_path: Path) -> None:
    first, second, other = (
        identity(read_card(made(tmp_path / name, text), "thing")) for name, text in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert first == second != other


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_explained_in_one_line(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(ArtefactError, match=r"the disk is full .*; nothing half-written was kept"),
        explained_disk_errors(tmp_path),
    ):
        raise OSError(number, os.strerror(number))


def test_other_operating_system_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), explained_disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def a_file_above(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "x"


def too_long_a_name(folder: Path) -> Path:
    return folder / ("x" * 300)


@pytest.mark.parametrize("place", [a_file_above, too_long_a_name, lambda folder: Path("/proc/x")])
def test_a_place_where_nothing_can_be_made_is_named_in_one_line(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    out = place(tmp_path)
    with pytest.raises(ArtefactError) as error:
        made(out)
    assert str(error.value).startswith(f"{out}: cannot be written there (")
    assert "\n" not in str(error.value)


def test_a_file_that_is_read_elsewhere_is_not_taken_for_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), creating(tmp_path / "thing", "thing"):
        (tmp_path / "photo.jpg").read_bytes()


def test_a_json_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["facts.json"]


def test_a_killed_process_leaves_no_folder_of_that_name(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from dermsynth.core.artefacts import creating
with creating(Path(sys.argv[1]), "thing") as draft:
    (draft.path / "data.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "thing")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".thing.tmp-")
    made(tmp_path / "thing")
    read_card(tmp_path / "thing", "thing")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_files_that_belong_together_change_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "split.json", tmp_path / "gone" / "split.parquet"
    first.write_text("old")
    with pytest.raises(ArtefactError, match=r"split\.parquet: cannot be written there"):
        write_together({first: b"new", second: b"new"})
    assert first.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["split.json"]


def test_what_only_work_in_progress_needs_is_not_in_the_artefact(tmp_path: Path) -> None:
    draft = tmp_path / "thing.partial"
    draft.mkdir()
    for name in ("data.txt", "checkpoint", ".data.txt.tmp-99"):
        (draft / name).touch()
    finish(draft, tmp_path / "thing", "thing", {}, leave_out=("checkpoint", "absent"))
    assert list(read_card(tmp_path / "thing", "thing")["files"]) == ["data.txt"]
    assert not (tmp_path / "thing" / "checkpoint").exists()


def test_what_is_left_out_is_kept_until_the_artefact_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint").touch()
    monkeypatch.setattr(Path, "rename", lambda path, to: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finish(tmp_path, tmp_path / "thing", "thing", {}, leave_out=("checkpoint",))
    assert (tmp_path / "checkpoint").exists()
