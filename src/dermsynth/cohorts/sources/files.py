"""Images in folders and zip files, read without unpacking, and tables in CSV files."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.sources.base import Photos, Source, check_rows
from dermsynth.core.artefacts import sha256_of
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_CHUNK = 256
_BATCH = 16  # images a thread decodes in a row: handing over thumbnails one by one takes a tenth of their decoding


class ImageFiles:
    """The image files of some folders and zip files, by the name of the file without its ending.

    Args:
        places: The folders and zip files.
        by_place: Where a name stands in several places, put `PLACE/` before every name (by default that is an error).
    """

    def __init__(self, places: Sequence[Path], *, by_place: bool = False) -> None:
        self.places = list(places)
        self._zips = {place: _open_zip(place) for place in places if place.suffix == ".zip"}
        self._found: dict[str, tuple[Path, str]] = {}
        found = [(place, name) for place in places for name in self._names(place) if is_image(name)]
        stems = {(place, PurePosixPath(name).stem) for place, name in found}
        prefixed = by_place and len({stem for _, stem in stems}) < len(stems)
        for place, name in found:
            stem = PurePosixPath(name).stem
            self._add(f"{place.name}/{stem}" if prefixed else stem, place, name)

    def _names(self, place: Path) -> list[str]:
        if place in self._zips:
            return sorted(self._zips[place].namelist())
        return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())

    def _add(self, stem: str, place: Path, name: str) -> None:
        if stem in self._found:
            raise InputError(
                f"{place}/{name}: another image is also named '{stem}' ({self.title(stem)}); rename or remove one"
            )
        self._found[stem] = (place, name)

    @property
    def stems(self) -> set[str]:
        """Return the names of all images, without endings."""
        return set(self._found)

    def place(self, stem: str) -> Path:
        """Return the folder or zip file that an image is in."""
        return self._found[stem][0]

    def title(self, stem: str) -> str:
        """Return where an image is, for a message."""
        place, name = self._found[stem]
        return f"{place}/{name}"

    def read(self, stem: str) -> bytes:
        """Return the bytes of an image file."""
        place, name = self._found[stem]
        try:
            return self._zips[place].read(name) if place in self._zips else (place / name).read_bytes()
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise InputError(f"{place}/{name}: cannot be read ({error}); fetch it again") from None

    def fingerprint(self) -> str:
        """Return a hash of the content of the zips and of the names, sizes and times of the files in folders."""
        lines = [f"{place.name} {sha256_of(place)}" for place in self._zips]
        for place, name in sorted(self._found.values(), key=str):
            if place not in self._zips:
                status = (place / name).stat()
                lines.append(f"{name} {status.st_size} {status.st_mtime_ns}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class FileSource(Source):
    """A source whose images are files that a table of rows names."""

    preprocessing = "RGB, turned as EXIF says, central square, resized by antialiased bicubic interpolation"

    one_per_lesion = False
    """Keep the first photo of every lesion (by image_id) only."""

    @cached_property
    @abstractmethod
    def rows(self) -> pl.DataFrame:
        """The rows: image_id (the file's stem), label, lesion_id, patient_id, source, `at` (for messages), and more."""

    @cached_property
    @abstractmethod
    def files(self) -> ImageFiles:
        """The image files."""

    @property
    @abstractmethod
    def table(self) -> Path:
        """The file or folder that messages about all rows name."""

    def fingerprint(self) -> str:
        """Return a hash of the table and of the image files; it does not depend on where the root folder is."""
        table = hashlib.sha256(self.rows.drop("at").write_csv().encode()).hexdigest()
        return hashlib.sha256(f"{table} {self.files.fingerprint()}".encode()).hexdigest()

    def check(self) -> int:
        """Check the rows and that rows and files belong together; see `Source.check`."""
        check_rows(self.rows, self.classes, self.table)
        stems, rows = self.files.stems, self.rows
        missing = rows.filter(~pl.col("image_id").is_in(list(stems)))
        if missing.height:
            places = ", ".join(place.name for place in self.files.places)
            searched = f"not in {places}" if places else "no folder or zip of images found"
            raise InputError(
                f"{missing['at'][0]}: image '{missing['image_id'][0]}'{_and_more(missing.height)} is missing "
                f"({searched}); fetch it or remove the row"
            )
        spare = sorted(stems.difference(rows["image_id"]))
        if spare:
            raise InputError(
                f"{self.files.title(spare[0])}{_and_more(len(spare))}: has no row in {self.table}; "
                "add one or remove the image"
            )
        return self._kept.height

    @cached_property
    def _kept(self) -> pl.DataFrame:
        rows = self.rows
        if self.one_per_lesion:
            rows = rows.filter(pl.col("image_id") == pl.col("image_id").min().over("lesion_id"))
        return rows.drop("at")

    def photos(self, size_px: int, threads: int) -> Iterator[Photos]:
        """Yield the images in the order of the table, decoded on `threads` threads."""
        stems = self._kept["image_id"].to_list()
        starts = list(range(0, len(stems), _CHUNK))
        with ThreadPoolExecutor(threads) as pool:

            def submit(start: int) -> list[Future[list[tuple[str, NDArray[np.uint8]]]]]:
                chunk = stems[start : start + _CHUNK]
                batches = [chunk[first : first + _BATCH] for first in range(0, len(chunk), _BATCH)]
                return [pool.submit(self._decode_all, batch, size_px) for batch in batches]

            # One chunk is decoded ahead, while the caller writes the one before.
            ahead = submit(0)
            try:
                for start in starts:
                    here, ahead = ahead, submit(start + _CHUNK)
                    decoded = [pair for batch in here for pair in batch.result()]
                    table = self._kept[start : start + _CHUNK]
                    table = table.with_columns(sha256=pl.Series([sha256 for sha256, _ in decoded]))
                    yield Photos(table, np.stack([image for _, image in decoded]))
            finally:
                pool.shutdown(cancel_futures=True)

    def _decode_all(self, stems: Sequence[str], size_px: int) -> list[tuple[str, NDArray[np.uint8]]]:
        return [self._decode(stem, size_px) for stem in stems]

    def _decode(self, stem: str, size_px: int) -> tuple[str, NDArray[np.uint8]]:
        data = self.files.read(stem)
        return hashlib.sha256(data).hexdigest(), decode(data, self.files.title(stem), size_px)


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image; macOS adds a shadow `._name` beside every file of a zip."""
    file = name.rpartition("/")[2]
    return file.lower().endswith(SUFFIXES) and not file.startswith(".")


def decode(data: bytes, title: str, size_px: int) -> NDArray[np.uint8]:
    """Return the central square of an image file as size x size x 3, uint8, RGB; raises InputError that names it."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    what = ""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.mode.startswith(("I", "F")):  # conversion to RGB would clip instead of scaling
                raise InputError(f"{title}: has more than 8 bits a channel ({opened.mode}); save it with 8 bits")
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except UnidentifiedImageError:  # its text names a Python object, not the file
        what = "is no image file" if data else "is empty (0 bytes)"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        what = f"cannot be decoded ({' '.join(str(error).split())})"
    if what:
        raise InputError(f"{title}: {what}; replace it, or remove it and its row")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = image.resize((size_px, size_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(square)


def read_table(path: Path, needed: Sequence[str]) -> pl.DataFrame:
    """Return a CSV file with all columns as text (empty fields null) and `at`, the file and line of each row.

    Commas, semicolons or tabs, with or without a byte-order mark, any line ends; blank lines are skipped.

    Raises:
        InputError: no such file, no CSV in UTF-8, a row with too few or too many fields, or a missing column.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: is not UTF-8 text; save the table as CSV in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    header, rows, lines = _parsed(text, path)
    for name in needed:
        if name not in header:
            raise InputError(f"{path}: has no column '{name}'; {nearest(name, header)}")
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: has two columns '{twice[0]}'; remove one")
    columns = {name: [row[number] or None for row in rows] for number, name in enumerate(header) if name}
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return table.with_columns(at=pl.Series([f"{path}: line {line}" for line in lines], dtype=pl.String))


def _parsed(text: str, path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows and the line each row ends in; fields without the spaces around them."""
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count), strict=True)
    rows, lines = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if not any(row):
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{path}: line {reader.line_num}: has {len(row)} fields, the header has {len(header)}; correct it"
                )
            rows.append([value.strip() for value in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: cannot be read as CSV ({error})") from None
    if not rows:
        raise InputError(f"{path}: has no rows")
    return header, rows, lines


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as a zip file ({error}); fetch it again") from None


def _and_more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""


def places_of_images(root: Path, stem: str) -> list[Path]:
    """Return the folders and zip files in `root` whose name starts with `stem`; a folder beats its own zip."""
    found = [path for path in sorted(root.glob(f"{stem}*")) if path.is_dir() or path.suffix == ".zip"]
    folders = {path.name for path in found if path.is_dir()}
    return [path for path in found if path.is_dir() or path.stem not in folders]


def existing_folder(root: Path, what: str) -> Path:
    """Return `root`, or raise InputError if it is no folder."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected {what}")
    return root
