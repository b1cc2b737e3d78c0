"""Images in folders and zip files, read without unpacking."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

import polars as pl

from dermsynth.cohorts.decode import decode, decode_mask
from dermsynth.cohorts.sources.base import Picture, Source, check_rows
from dermsynth.core.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


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
        """Return a hash of names, sizes and checksums in zips, and of names, sizes and times in folders."""
        lines = []
        for place, name in sorted(self._found.values(), key=str):
            if place in self._zips:
                member = self._zips[place].getinfo(name)
                lines.append(f"{name} {member.file_size} {member.CRC}")
            else:
                status = (place / name).stat()
                lines.append(f"{name} {status.st_size} {status.st_mtime_ns}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class FileSource(Source):
    """A source whose images are files that a table of rows names."""

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
        files = [self.files.fingerprint(), *([self.masks.fingerprint()] if self.masks else [])]
        return hashlib.sha256(" ".join([table, *files]).encode()).hexdigest()

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The masks of the lesions by image_id, for any of the images; none by default."""
        return None

    def check(self) -> pl.DataFrame:
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
        if self.one_per_lesion:
            rows = rows.filter(pl.col("image_id") == pl.col("image_id").min().over("lesion_id"))
        return rows.drop("at")

    def has_masks(self, rows: pl.DataFrame) -> bool:
        """Return whether there is a mask file for every row."""
        return self.masks is not None and self.masks.stems.issuperset(rows["image_id"])

    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]:
        """Yield a reader per row; see `Source.pictures`."""
        return (partial(self._picture, image_id) for image_id in rows["image_id"])

    def _picture(self, image_id: str) -> Picture:
        data = self.files.read(image_id)
        image = decode(data, self.files.title(image_id))
        mask = None
        if self.masks is not None and image_id in self.masks.stems:
            mask = decode_mask(self.masks.read(image_id), self.masks.title(image_id), image.size)
        return Picture(image, mask, hashlib.sha256(data).hexdigest())


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image; macOS adds a shadow `._name` beside every file of a zip."""
    file = name.rpartition("/")[2]
    return file.lower().endswith(SUFFIXES) and not file.startswith(".")


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
