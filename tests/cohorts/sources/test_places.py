"""Folders and zip files: what is read without unpacking, and what is refused before it does harm."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from dermsynth.cohorts.sources import places
from dermsynth.cohorts.sources.files import ImageFiles
from dermsynth.cohorts.sources.places import Place
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import image_bytes, write_files


def zip_of(path: Path, *names: str, data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


@pytest.mark.parametrize("name", ["images", "images.zip"])
def test_a_folder_and_its_zip_are_the_same(tmp_path: Path, name: str) -> None:
    write_files(tmp_path / name, {"b/two.jpg": b"2", "one.jpg": b"1"})
    place = Place(tmp_path / name)
    assert place.names == ["b/two.jpg", "one.jpg"]
    assert place.read("b/two.jpg") == b"2"
    assert place.title("one.jpg") == f"{tmp_path / name}/one.jpg"
    assert place.find("two.jpg") == "b/two.jpg"
    assert place.find("three.jpg") is None


def test_the_file_that_lies_least_deep_is_found(tmp_path: Path) -> None:
    assert Place(zip_of(tmp_path / "a.zip", "a/b/table.csv", "z/table.csv")).find("table.csv") == "z/table.csv"


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:/evil.jpg"])
def test_a_name_that_leads_out_of_the_zip_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        InputError, match=r"a.zip: holds '.*evil.jpg', which leads out of the zip; do not use this file"
    ):
        ImageFiles([zip_of(tmp_path / "a.zip", "good.jpg", name)])


def test_names_that_only_look_so_are_read(tmp_path: Path) -> None:
    assert Place(zip_of(tmp_path / "a.zip", "a..b/c...jpg")).names == ["a..b/c...jpg"]


def test_backslashes_of_old_windows_tools_are_folders(tmp_path: Path) -> None:
    place = Place(zip_of(tmp_path / "a.zip", "train\\benign\\1.jpg"))
    assert place.names == ["train/benign/1.jpg"]
    assert place.read("train/benign/1.jpg") == b"x"


def test_a_name_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_of(tmp_path / "a.zip", "a.jpg", "a.jpg")
    with pytest.raises(InputError, match=r"a.zip: holds 'a.jpg' twice; make the zip again"):
        ImageFiles([path])


def with_count(path: Path, count: int, size: int | None = None) -> Path:
    """Return a zip whose directory claims another number of files, and another size of itself."""
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    data[end + 8 : end + 12] = struct.pack("<HH", count, count)
    if size is not None:
        data[end + 12 : end + 16] = struct.pack("<L", size)
    path.write_bytes(data)
    return path


def test_a_million_files_are_refused_before_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_FILES", 1000)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("listed"))
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1001, 1001, 60_000, 0, 0))
    with pytest.raises(InputError, match=r"a.zip: lists 1,001 files in 60,000 bytes; at most 1,000 are read: divide"):
        Place(path)


def test_the_large_count_of_a_zip64_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    wide = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 2_000_000, 2_000_000, 10**8, 0)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, 0, 1)
    path.write_bytes(wide + locator + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0, 0))
    with pytest.raises(InputError, match="lists 2,000,000 files in 100,000,000 bytes"):
        Place(path)


def test_a_directory_that_is_larger_than_its_count_allows_is_refused(tmp_path: Path) -> None:
    path = with_count(zip_of(tmp_path / "a.zip", "a.jpg"), 1, 2**31)
    with pytest.raises(InputError, match="lists 1 files in 2,147,483,648 bytes; at most 500,000 are read"):
        Place(path)


def test_a_zip_with_a_comment_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"x")
        archive.comment = b"c" * 60_000
    assert Place(tmp_path / "a.zip").names == ["a.jpg"]


def test_an_image_that_claims_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", "a.jpg")
    data = bytearray(path.read_bytes())
    entry = data.rfind(b"PK\1\2")
    data[entry + 24 : entry + 28] = struct.pack("<L", 2**30)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a.zip/a.jpg: claims 1,073,741,824 bytes; at most 512 MiB are read; remove"):
        ImageFiles([path])


def test_an_encrypted_image_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", "a.jpg")
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a.zip/a.jpg: is encrypted; unpack the zip with its password first"):
        ImageFiles([path])


def test_zips_inside_a_zip_are_ignored(tmp_path: Path) -> None:
    inner = zip_of(tmp_path / "inner.zip", "b.jpg").read_bytes()
    write_files(tmp_path / "outer.zip", {"a.jpg": image_bytes(), "inner.zip": inner})
    assert set(ImageFiles([tmp_path / "outer.zip"]).ids) == {"a"}


def test_one_name_in_two_folders_of_a_zip_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", "one/a.jpg", "two/a.jpg")
    with pytest.raises(InputError, match=r"a.zip/two/a.jpg: another image is also named 'a' \(.*one/a.jpg\)"):
        ImageFiles([path])


def test_a_place_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.zip: no such folder or zip file"):
        Place(tmp_path / "absent.zip")
