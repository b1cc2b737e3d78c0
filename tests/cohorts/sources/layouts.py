"""Small data sets on disk in the layouts of their publishers, made of drawn images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dermsynth.cohorts.ingest import Photos, read_photos
from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.cohorts.sources.base import Source

HAM_HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"
CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def opened(kind: str, root: Path, **values: object) -> Source:
    """Return the source of a kind whose files are in `root`."""
    return make_source(source_config(kind, {"root": str(root), **values}))


def rows_of(source: Source, *columns: str) -> list[tuple[object, ...]]:
    """Return some columns of the checked rows."""
    return source.check().select(columns).rows()


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


def mask_bytes(*, width: int = 24, height: int = 16) -> bytes:
    """Return a PNG file that is white in its middle third."""
    mask = Image.new("L", (width, height))
    mask.paste(255, (width // 3, 0, 2 * width // 3, height))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def write_images(place: Path, names: Sequence[str], *, inside: str = "") -> None:
    """Write an image for every name, into a zip file (below the folder `inside` of it) or a folder."""
    write_files(place, {f"{inside}{name}.jpg": image_bytes(number) for number, name in enumerate(names)})


def write_masks(place: Path, ids: Sequence[str], *, ending: str = "_segmentation.png") -> None:
    """Write a mask for every image into a zip file or a folder."""
    write_files(place, {f"{image_id}{ending}": mask_bytes() for image_id in ids})


def write_files(place: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files by their paths into a zip file or a folder."""
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        for name, data in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data.encode() if isinstance(data, str) else data)


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


def make_isic2019(root: Path, *, train: int = 10, test: int = 0) -> Path:
    """Write ground truth, metadata and images of ISIC 2019; every ninth test image is of the class UNK."""
    names = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    lesions = ("HAM_0001", "BCN_0002", "MSK4_0003", "")
    for part, count, kinds in (("Training", train, 8), ("Test", test, 9)):
        if count:
            ids = [f"ISIC_{part[:2]}{number:05}" for number in range(count)]
            hot = [
                ",".join("1.0" if number % kinds == column else "0.0" for column in range(9)) for number in range(count)
            ]
            truth = [f"{image_id},{row}" for image_id, row in zip(ids, hot, strict=True)]
            facts = [f"{image_id},55,back,{lesions[number % 4]},male" for number, image_id in enumerate(ids)]
            head = "image,age_approx,anatom_site_general,lesion_id,sex"
            if part == "Test":
                facts = [row.rsplit(",", 2)[0] + ",male" for row in facts]
                head = head.replace("lesion_id,", "")
            write_files(
                root,
                {
                    f"ISIC_2019_{part}_GroundTruth.csv": table_of(",".join(["image", *names]), truth),
                    f"ISIC_2019_{part}_Metadata.csv": table_of(head, facts),
                },
            )
            write_images(root / f"ISIC_2019_{part}_Input.zip", ids, inside=f"ISIC_2019_{part}_Input/")
    return root


def make_isic2020(
    root: Path, duplicates: Sequence[str] = (), *, table: str = "ISIC_2020_Training_GroundTruth.csv"
) -> Path:
    """Write the table of six images of three patients, the list of duplicates (`a,b`) and the images."""
    rows = [f"ISIC_{number},IP_{number // 2},male,45.0,torso,nevus,benign,{number % 2}" for number in range(6)]
    head = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
    write_files(root, {table: table_of(head, rows)})
    if duplicates:
        listed = table_of("image_name_1,image_name_2", duplicates)
        write_files(root, {"ISIC_2020_Training_Duplicates.csv": listed})
    names = [row.split(",")[0] for row in rows]
    write_images(root / "ISIC_2020_Training_JPEG.zip", names, inside="train/")
    return root


def make_isic2016(root: Path, *, masks: bool = False) -> Path:
    """Write the headerless tables of 4 training and 2 test images, the images and perhaps the masks of Part 1."""
    for part, first, labels in (("Training", 0, ("benign", "malignant") * 2), ("Test", 4, ("0.0", "1.0"))):
        ids = [f"ISIC_{first + number:07}" for number in range(len(labels))]
        rows = "".join(f"{image_id},{label}\n" for image_id, label in zip(ids, labels, strict=True))
        write_files(root, {f"ISBI2016_ISIC_Part3_{part}_GroundTruth.csv": rows})
        write_images(root / f"ISBI2016_ISIC_Part3_{part}_Data.zip", ids)
        if masks:
            write_masks(root / f"ISBI2016_ISIC_Part1_{part}_GroundTruth", ids, ending="_Segmentation.png")
    return root


def make_isic2017(root: Path, *, masks: bool = False) -> Path:
    """Write tables and images of three images in each of the three parts, with superpixels among the images."""
    for number, part in enumerate(("Training", "Validation", "Test_v2")):
        ids = [f"ISIC_{number}{index}" for index in range(3)]
        rows = [f"{image_id},{values}" for image_id, values in zip(ids, ("1.0,0.0", "0.0,1.0", "0.0,0.0"), strict=True)]
        truth = table_of("image_id,melanoma,seborrheic_keratosis", rows)
        write_files(root, {f"ISIC-2017_{part}_Part3_GroundTruth.csv": truth})
        images = {f"{image_id}.jpg": image_bytes(number) for image_id in ids}
        write_files(root / f"ISIC-2017_{part}_Data.zip", images | {f"{ids[0]}_superpixels.png": image_bytes()})
        if masks:
            write_masks(root / f"ISIC-2017_{part}_Part1_GroundTruth.zip", ids)
    return root


def make_kaggle(place: Path, *trees: str) -> Path:
    """Write train and test with the same file names, below each of `trees`, into a folder or zip."""
    names = [
        f"{part}/{label}/{number}.jpg"
        for part in ("train", "test")
        for label in ("benign", "malignant")
        for number in (1, 2)
    ]
    images = {name: image_bytes(number) for number, name in enumerate(names)}
    write_files(place, {f"{tree}{name}": data for tree in trees or ("",) for name, data in images.items()})
    return place


def make_ph2(
    place: Path, rows: Sequence[str] = ("|| IMD002 || || 0 ||", "|| IMD003 || || 1 ||", "|| IMD058 || Melanoma || 2 ||")
) -> Path:
    """Write PH2's text table and folders into a folder or zip."""
    head = "|| Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network || Colors ||"
    lines = [head, *(f"{row} 0 | T || 1  3 ||" for row in rows), "", "LEGEND: 0 - Common Nevus; 1 - Atypical Nevus"]
    files: dict[str, bytes | str] = {"PH2Dataset/PH2_dataset.txt": "\n".join(lines)}
    for number, name in enumerate(("IMD002", "IMD003", "IMD058")):
        folder = f"PH2Dataset/PH2 Dataset images/{name}"
        files[f"{folder}/{name}_Dermoscopic_Image/{name}.bmp"] = image_bytes(number, kind="BMP")
        files[f"{folder}/{name}_lesion/{name}_lesion.bmp"] = mask_bytes()
        files[f"{folder}/{name}_roi/{name}_R1_Label3.bmp"] = mask_bytes()
    write_files(place, files)
    return place


def make_dermamnist(path: Path, *, side: int = 28, packed: bool = True, **replaced: np.ndarray) -> Path:
    """Write a file of DermaMNIST with 14 training, 7 validation and 7 test images; `replaced` are arrays by name."""
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, count in (("train", 14), ("val", 7), ("test", 7)):
        arrays[f"{part}_images"] = generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count, dtype=np.uint8) % 7)[:, None]
    (np.savez_compressed if packed else np.savez)(path, **(arrays | replaced))
    return path


def table_of(head: str, rows: Sequence[str]) -> str:
    """Return the text of a CSV file."""
    return "\n".join([head, *rows]) + "\n"
