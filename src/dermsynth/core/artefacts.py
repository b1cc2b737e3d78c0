"""Artefact folders: written under a temporary name, renamed when complete, and described by `card.json`.

A folder without a card does not exist. The card lists every file with its size and SHA-256, so that a truncated file is
found on opening and a folder has one identity that later steps can record as their input.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsynth import __version__
from dermsynth.core.errors import ArtefactError
from dermsynth.core.replacing import draft_of, replace_folder, sweep

if TYPE_CHECKING:
    import polars as pl

CARD = "card.json"
_LIBRARIES = ("torch", "lightning-fabric", "numpy", "polars", "scikit-learn", "pillow", "opencv-python-headless")


@dataclass
class Draft:
    """A folder under construction: write files below `path` and facts into `card`."""

    path: Path
    card: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def creating(out: Path, kind: str, *, force: bool = False) -> Iterator[Draft]:
    """Build the artefact folder `out`; it appears only if the block ends without an error.

    Args:
        out: The folder to make. Missing parents are made.
        kind: What it is (`cohort`, `run`, `fit`, …); `read_card` checks it.
        force: Replace an existing artefact. The old one stays until the new one is complete.

    Raises:
        ArtefactError: `out` exists and `force` is false, it cannot be written there, or the disk is full.
    """
    out = check_free(out, force=force)
    temporary = draft_of(out)
    shutil.rmtree(temporary, ignore_errors=True)
    with explained_disk_errors(out):
        temporary.mkdir(parents=True)
        draft = Draft(temporary)
        try:
            yield draft
            finish(temporary, out, kind, draft.card)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_free(out: Path, *, force: bool) -> Path:
    """Return `out` as an absolute path, or raise ArtefactError if something is there and `force` is false.

    What killed processes left beside it is cleared away.
    """
    out = Path(out).absolute()
    with explained_disk_errors(out):
        sweep(out)
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return out
    if not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    if not (out / CARD).exists():
        raise ArtefactError(f"{out}: is no dermsynth artefact (no {CARD}), so --force will not delete it; move it away")
    return out


def finish(draft: Path, out: Path, kind: str, facts: Mapping[str, Any], *, leave_out: Iterable[str] = ()) -> None:
    """Write the card of the complete folder `draft` and rename it to `out`, replacing what was there.

    The card lists no hidden files and none of `leave_out`: files that only work in progress needs. They are deleted
    after the rename, so that a process killed before it finds them again.
    """
    no_part = {CARD, *leave_out}
    paths = {path.relative_to(draft).as_posix(): path for path in sorted(draft.rglob("*")) if path.is_file()}
    files = {
        name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for name, path in paths.items()
        if name not in no_part and not path.name.startswith(".")
    }
    card = {
        "kind": kind,
        "dermsynth": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **facts,
        "files": files,
    }
    write_json(draft / CARD, card)
    for path in [draft / name for name in files] + [draft / CARD, draft]:
        _sync(path)
    replace_folder(draft, out)
    _sync(out.parent)
    for name in no_part - {CARD}:
        (out / name).unlink(missing_ok=True)


def read_card(path: Path, kind: str) -> dict[str, Any]:
    """Return the card of a complete artefact folder of this kind.

    Raises:
        ArtefactError: no folder, no card, an unreadable card, another kind, or a file that is missing or of another
            size than when it was written.
    """
    path = Path(path)
    if not path.is_dir():
        raise ArtefactError(f"{path}: no such folder; expected a dermsynth {kind}")
    try:
        card: Any = json.loads((path / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"{path}: has no {CARD}, so it is no complete {kind}; make it again") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path / CARD}: cannot be read ({error}); make the {kind} again") from None
    if not isinstance(card, dict) or not isinstance(card.get("files"), dict):
        raise ArtefactError(f"{path / CARD}: is no card of an artefact (it lists no files); make the {kind} again")
    if card.get("kind") != kind:
        raise ArtefactError(f"{path}: is a {card.get('kind', 'folder of unknown kind')}, expected a {kind}")
    for name, known in card["files"].items():
        file = path / name
        if not file.is_file():
            raise ArtefactError(f"{file}: is missing; make the {kind} again")
        if file.stat().st_size != known["bytes"]:
            found = file.stat().st_size
            raise ArtefactError(f"{file}: has {found} bytes, its card says {known['bytes']}; make the {kind} again")
    return dict(card)


def identity(card: Mapping[str, Any]) -> str:
    """Return the SHA-256 that stands for the content of the artefact: its files' names and hashes."""
    lines = "".join(f"{name} {known['sha256']}\n" for name, known in sorted(card["files"].items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically: readers see the old file or the new one."""
    write_atomically(path, json_bytes(value))


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a table as parquet, atomically; polars' own writer hides a full disk in an error of another kind."""
    write_atomically(path, parquet_bytes(table))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, flush it to disk and rename it; ArtefactError if it cannot be written."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none of them changes if one cannot be written (ArtefactError)."""
    temporary = {path: draft_of(path) for path in files}
    try:
        for path, data in files.items():
            with explained_disk_errors(path), temporary[path].open("wb") as file:
                sweep(path)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path in files:
            temporary[path].replace(path)
    finally:
        for left in temporary.values():
            left.unlink(missing_ok=True)


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON in UTF-8."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """Return a table as the bytes of a parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


@contextlib.contextmanager
def explained_disk_errors(out: Path) -> Iterator[None]:
    """Turn a full disk, and a place where `out` cannot be written, into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ArtefactError(
                f"{out}: the disk is full ({os.strerror(error.errno)}); nothing half-written was kept: "
                "free some space and run the same command again"
            ) from error
        if error.errno in _NO_PLACE and _is_about(error, Path(out).absolute()):
            raise ArtefactError(
                f"{out}: cannot be written there ({error.strerror}: {error.filename}); choose another place"
            ) from error
        raise


_NO_PLACE = (errno.ENOTDIR, errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)


def _is_about(error: OSError, out: Path) -> bool:
    """Return whether an error names `out`, a draft of it or a folder above it, and not some file that is read."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return False
    path = Path(error.filename).absolute()
    if out.is_relative_to(path):
        return True
    return path.is_relative_to(out.parent) and out.name in path.relative_to(out.parent).parts[0]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that can change a number, without importing them."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
