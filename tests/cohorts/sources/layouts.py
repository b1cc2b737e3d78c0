"""Small data sets on disk in the layouts of their publishers, made of drawn images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dermsynth.cohorts.ingest import Photos, read_photos
from dermsynth.cohorts.sources.base import Source

HAM_HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"
CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def everything(source: Source, size_px: int = 8) -> Photos:
    """Return all images of a small source."""
    (photos,) = read_photos(source, source.check(), size_px)
    return photos


def image_bytes(seed: int = 0, *, width: int = 24, height: int = 16, kind: str = "JPEG") -> bytes:
    """Return the file of an image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_images(place: Path, names: Sequence[str], *, inside: str = "") -> None:
    """Write an image for every name, into a zip file (below the folder `inside` of it) or a folder."""
    files = {f"{inside}{name}.jpg": image_bytes(number) for number, name in enumerate(names)}
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        for name, data in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)


def ham_rows(per_class: int = 2) -> list[str]:
    """Return rows of HAM10000's table: two photos of every lesion."""
    rows = []
    for label in CLASSES:
        for _ in range(per_class):
            number = len(rows)
            rows.append(f"HAM_{number // 2:07},ISIC_{number:07},{label},histo,{30 + number}.0,male,back,vidir_modern")
    return rows


def ham_ids(rows: Sequence[str]) -> list[str]:
    return [row.split(",")[1] for row in rows]


def make_ham(root: Path, rows: Sequence[str] | None = None, *, header: str = HAM_HEADER) -> Path:
    """Write HAM10000_metadata.csv and HAM10000_images.zip and return the folder."""
    given = ham_rows() if rows is None else rows
    root.mkdir(parents=True, exist_ok=True)
    (root / "HAM10000_metadata.csv").write_text("\n".join([header, *given]) + "\n")
    write_images(root / "HAM10000_images.zip", ham_ids(ham_rows()))
    return root


def make_tree(root: Path, counts: Mapping[str, int]) -> Path:
    """Write ROOT/<class>/<class><n>.jpg and return the root."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        write_images(root / name, [f"{name}{number}" for number in range(count)])
    return root


def make_isic(root: Path, *, train: int = 14, test: int = 7) -> Path:
    """Write the challenge's two ground truths and zips, and HAM10000's table, and return the folder."""
    root.mkdir(parents=True, exist_ok=True)
    names = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    for part, first, count in (("Training", 0, train), ("Test", 1000, test)):
        ids = [f"ISIC_{first + number:07}" for number in range(count)]
        lines = [",".join(["image", *names])]
        for number, image_id in enumerate(ids):
            lines.append(",".join([image_id, *("1.0" if number % 7 == column else "0.0" for column in range(7))]))
        (root / f"ISIC2018_Task3_{part}_GroundTruth.csv").write_text("\n".join(lines) + "\n")
        write_images(root / f"ISIC2018_Task3_{part}_Input.zip", ids, inside=f"ISIC2018_Task3_{part}_Input/")
    rows = [f"HAM_{number // 2:07},ISIC_{number:07},nv,histo,50.0,male,back,x" for number in range(train)]
    (root / "HAM10000_metadata.csv").write_text("\n".join([HAM_HEADER, *rows]) + "\n")
    return root
