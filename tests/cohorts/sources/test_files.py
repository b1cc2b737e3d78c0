"""Reading tables and image files: what is understood, and what is refused with its place."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dermsynth.cohorts.sources.files import ImageFiles, places_of_images
from dermsynth.cohorts.sources.tables import read_table
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import image_bytes

PLAIN = "image_id,dx\na,nv\nb,mel\n"


def table_at(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        PLAIN.rstrip(),
        PLAIN + "\n\n",
        "image_id , dx\n a,nv \nb , mel\n",
        '"image_id","dx"\n"a","nv"\n"b","mel"\n',
        "\ufeff" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
    ],
    ids=["comma", "semicolon", "tab", "crlf", "cr", "bom", "no-end", "blank-end", "spaces", "quoted", "excel"],
)
def test_a_table_means_the_same_however_it_was_saved(tmp_path: Path, content: str) -> None:
    table = read_table(table_at(tmp_path, content), ["image_id", "dx"])
    assert table.select("image_id", "dx").rows() == [("a", "nv"), ("b", "mel")]


def test_a_row_knows_its_line_also_after_blank_and_quoted_lines(tmp_path: Path) -> None:
    path = table_at(tmp_path, 'image_id,dx\n\na,nv\n"b\nc",mel\nd,nv\n')
    assert read_table(path, ["dx"])["at"].to_list() == [f"{path}: line {line}" for line in (3, 5, 6)]


def test_an_empty_field_is_null(tmp_path: Path) -> None:
    assert read_table(table_at(tmp_path, "image_id,dx\na,\n"), ["dx"])["dx"].to_list() == [None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture,dx\na,nv\n", "table.csv: has no column 'image_id'; known: dx, picture"),
        ("image_ids,dx\na,nv\n", "table.csv: has no column 'image_id'; did you mean 'image_ids'?"),
        ("image_id,dx\na,nv\nb,mel,x\n", "table.csv: line 3: has 3 fields, the header has 2; correct it"),
        ("image_id,dx\na\n", "table.csv: line 2: has 1 fields, the header has 2; correct it"),
        ('image_id,dx\n"a,nv\n', "table.csv: line 2: cannot be read as CSV"),
        ("image_id,dx,dx\na,nv,mel\n", "table.csv: has two columns 'dx'; remove one"),
        ("image_id,dx\n", "table.csv: has no rows"),
        ("", "table.csv: has no rows"),
        ("image_id,dx\na,nv\nb,n\u00e9v\n".encode("latin-1"), "table.csv: line 3: is not UTF-8 text"),
        (image_bytes(), "table.csv: line 1: is not UTF-8 text; save the table as CSV in UTF-8"),
    ],
)
def test_an_unusable_table_is_refused_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_table(table_at(tmp_path, content), ["image_id"])
    assert message in one_line(error)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.csv: no such file"):
        read_table(tmp_path / "absent.csv", [])


def test_a_folder_beats_the_zip_it_was_unpacked_from(tmp_path: Path) -> None:
    for name in ("images_part_1", "images_part_2"):
        (tmp_path / name).mkdir()
    for name in ("images_part_1.zip", "images_part_3.zip", "images_notes.txt"):
        (tmp_path / name).touch()
    found = [path.name for path in places_of_images(tmp_path, "images")]
    assert found == ["images_part_1", "images_part_2", "images_part_3.zip"]


def test_a_zip_is_read_without_unpacking_and_without_the_shadows_of_macos(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("inner/a.jpg", image_bytes())
        archive.writestr("__MACOSX/inner/._a.jpg", b"shadow")
        archive.writestr("ATTRIBUTION.txt", b"text")
    files = ImageFiles([tmp_path / "images.zip"])
    assert files.ids == {"a"}
    assert files.read("a") == image_bytes()


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_bytes(image_bytes())
    with pytest.raises(InputError, match=r"a.png: another image is also named 'a' \(.*a.jpg\); rename or remove one"):
        ImageFiles([tmp_path])


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK but not for long")
    with pytest.raises(InputError, match=r"images.zip: cannot be read as a zip file .*; fetch it again"):
        ImageFiles([tmp_path / "images.zip"])


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", image_bytes())
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"images.zip/a.jpg: cannot be read \(Bad CRC-32.*\); fetch it again"):
        ImageFiles([path]).read("a")


def test_an_image_that_went_away_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(image_bytes())
    files = ImageFiles([tmp_path])
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"a.jpg: cannot be read"):
        files.read("a")
