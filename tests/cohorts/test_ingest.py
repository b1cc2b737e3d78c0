"""Ingest: every source becomes a cohort folder, or one line and nothing on disk."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.preprocess import chain_of
from dermsynth.cohorts.sources import SourceConfig, source_config
from dermsynth.cohorts.sources.files import ImageFiles
from dermsynth.cohorts.sources.folder import FolderSource
from dermsynth.cohorts.split import SplitConfig, split
from dermsynth.core.errors import ArtefactError, InputError
from tests.cohorts.sources.layouts import ham_ids, ham_rows, image_bytes, make_ham, make_isic, make_tree


def tree(root: Path, mel: int = 4, nv: int = 6) -> SourceConfig:
    return source_config("folder", {"root": str(make_tree(root, {"mel": mel, "nv": nv}))})


def test_a_folder_becomes_a_cohort(tmp_path: Path) -> None:
    cohort = ingest(tree(tmp_path / "tree"), 8, tmp_path / "out", threads=2)
    assert cohort.counts() == {"mel": 4, "nv": 6}
    assert cohort.images.shape == (10, 8, 8, 3)
    assert set(cohort.table["origin"]) == {"real"}
    data = (tmp_path / "tree" / "mel" / "mel2.jpg").read_bytes()
    assert cohort.table["sha256"][2] == hashlib.sha256(data).hexdigest()


def test_ham10000_and_isic2018_become_cohorts(tmp_path: Path) -> None:
    make_ham(tmp_path / "ham10000")
    make_isic(tmp_path / "isic")
    ham = ingest(source_config("ham10000", {"root": str(tmp_path / "ham10000")}), 8, tmp_path / "ham")
    isic = ingest(source_config("isic2018-task3", {"root": str(tmp_path / "isic")}), 8, tmp_path / "both")
    assert (len(ham), len(isic)) == (14, 21)
    assert ham.classes == isic.classes


def test_the_phantom_becomes_a_cohort_with_masks(tmp_path: Path) -> None:
    source = source_config("phantom", {"counts": {"mel": 5, "nv": 7}})
    cohort = ingest(source, 16, tmp_path / "out")
    assert {name: count for name, count in cohort.counts().items() if count} == {"mel": 5, "nv": 7}
    assert cohort.masks is not None
    assert set(np.unique(cohort.masks[:])) == {0, 1}
    pixels = hashlib.sha256(cohort.images[3].tobytes()).hexdigest()
    assert cohort.table["sha256"][3] == pixels


def test_the_result_does_not_depend_on_threads_or_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tree(tmp_path / "tree")
    first = ingest(source, 8, tmp_path / "one", threads=1)
    monkeypatch.setattr("dermsynth.cohorts.ingest._CHUNK", 3)
    second = ingest(source, 8, tmp_path / "two", threads=3)
    assert first.identity == second.identity
    assert np.array_equal(first.images[:], second.images[:])


def test_the_card_says_what_went_in(tmp_path: Path) -> None:
    card = ingest(tree(tmp_path / "tree"), 8, tmp_path / "out").card
    assert card["config"] == {
        "source": {"kind": "folder", "root": str(tmp_path / "tree")},
        "size_px": 8,
        "preprocessing": [{"step": "resize", "fit": "crop", "interpolation": "bicubic"}],
        "on_bad": "skip",
    }
    assert len(card["fingerprint"]) == 64
    assert card["licence"].startswith("not stated")
    assert card["counts"] == {"mel": 4, "nv": 6}


def test_progress_counts_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermsynth.cohorts.ingest._CHUNK", 4)
    seen: list[tuple[int, int]] = []
    ingest(tree(tmp_path / "tree"), 8, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_a_size_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="size_px is 7; images need at least 8 pixels a side"):
        ingest(tree(tmp_path / "tree"), 7, tmp_path / "out")


def test_an_output_that_exists_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    absent = source_config("folder", {"root": str(tmp_path / "absent")})
    with pytest.raises(ArtefactError, match="out: already exists; choose another --out, or --force to replace it"):
        ingest(absent, 8, tmp_path / "out")
    with pytest.raises(ArtefactError, match=r"out: is no dermsynth artefact .*, so --force will not delete it"):
        ingest(absent, 8, tmp_path / "out", force=True)


def test_force_keeps_the_old_cohort_when_the_new_one_fails(tmp_path: Path) -> None:
    source = tree(tmp_path / "tree")
    old = ingest(source, 8, tmp_path / "out").identity
    (tmp_path / "tree" / "nv" / "nv5.jpg").write_bytes(b"")
    with pytest.raises(InputError):
        ingest(source, 8, tmp_path / "out", force=True, on_bad="stop")
    assert Cohort.open(tmp_path / "out").identity == old


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty (0 bytes)"),
        (b"a text file\n", "is no image file"),
        (image_bytes(width=200, height=200)[:2000], "cannot be decoded (image file is truncated"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_an_unreadable_image_stops_ingest_with_its_name_and_leaves_nothing(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    source = tree(tmp_path / "tree")
    bad = tmp_path / "tree" / "nv" / "nv5.jpg"
    bad.write_bytes(data)
    with pytest.raises(InputError) as error:
        ingest(source, 8, tmp_path / "out", threads=2, on_bad="stop")
    message = str(error.value)
    assert message.startswith(f"{bad}: {problem}")
    assert message.endswith("; replace it, remove it and its row, or leave out bad images with --on-bad skip")
    assert "\n" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_bad_images_are_left_out_and_listed_with_their_reason(tmp_path: Path) -> None:
    source = tree(tmp_path / "tree")
    for name, data in (("nv1", b""), ("nv4", b"text")):
        (tmp_path / "tree" / "nv" / f"{name}.jpg").write_bytes(data)
    seen: list[tuple[int, int]] = []
    cohort = ingest(source, 8, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    whole = ingest(tree(tmp_path / "whole"), 8, tmp_path / "all")
    assert cohort.counts() == {"mel": 4, "nv": 4}
    assert cohort.card["bad"] == [
        {"image_id": "nv1", "reason": f"{tmp_path}/tree/nv/nv1.jpg: is empty (0 bytes)"},
        {"image_id": "nv4", "reason": f"{tmp_path}/tree/nv/nv4.jpg: is no image file"},
    ]
    kept = whole.table["image_id"].is_in(cohort.table["image_id"].implode()).to_numpy()
    assert np.array_equal(cohort.images[:], whole.select(kept).images[:])
    assert seen[-1] == (10, 10)


def test_a_class_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    source = tree(tmp_path / "tree")
    for path in (tmp_path / "tree" / "mel").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no image of class 'mel' can be read; the first: .*mel0.jpg: is empty"):
        ingest(source, 8, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_chunk_of_bad_images_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermsynth.cohorts.ingest._CHUNK", 2)
    source = tree(tmp_path / "tree")
    for number in (0, 1, 4, 5):
        (tmp_path / "tree" / "nv" / f"nv{number}.jpg").write_bytes(b"")
    cohort = ingest(source, 8, tmp_path / "out")
    assert cohort.table["image_id"].to_list() == ["mel0", "mel1", "mel2", "mel3", "nv2", "nv3"]


def test_an_unchanged_input_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tree(tmp_path / "tree")
    first = ingest(source, 8, tmp_path / "out")
    monkeypatch.setattr("dermsynth.cohorts.ingest.read_photos", lambda *_: pytest.fail("read again"))
    again = ingest(source, 8, tmp_path / "out")
    assert again.card["created"] == first.card["created"]


@pytest.mark.parametrize("change", ["image", "size", "steps"])
def test_a_changed_input_or_setting_needs_force(tmp_path: Path, change: str) -> None:
    source = tree(tmp_path / "tree")
    ingest(source, 8, tmp_path / "out")
    if change == "image":
        (tmp_path / "tree" / "nv" / "nv1.jpg").write_bytes(image_bytes(77))
    size_px = 16 if change == "size" else 8
    chain = chain_of(["gamma"] if change == "steps" else [])
    with pytest.raises(ArtefactError, match="already exists; choose another --out, or --force to replace it"):
        ingest(source, size_px, tmp_path / "out", preprocessing=chain)
    assert ingest(source, size_px, tmp_path / "out", preprocessing=chain, force=True).size_px == size_px


def test_preprocessing_reaches_the_pixels_and_the_card(tmp_path: Path) -> None:
    source = source_config("phantom", {"counts": {"mel": 2, "nv": 2}})
    plain = ingest(source, 32, tmp_path / "plain")
    bright = ingest(source, 32, tmp_path / "bright", preprocessing=chain_of(["gamma:gamma=2"]))
    expected = np.round(255 * (plain.images[:] / 255) ** 0.5).astype(np.uint8)
    assert np.array_equal(bright.images[:], expected)
    assert bright.card["config"]["preprocessing"][0] == {"step": "gamma", "gamma": 2.0}


def test_masks_of_files_come_along_where_every_image_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tree(tmp_path / "tree")
    for name, count in (("mel", 4), ("nv", 6)):
        (tmp_path / "masks" / name).mkdir(parents=True)
        for number in range(count):
            mask = Image.new("L", (24, 16))
            mask.paste(255, (8, 0, 16, 16))
            mask.save(tmp_path / "masks" / name / f"{name}{number}.png")
    monkeypatch.setattr(FolderSource, "masks", ImageFiles([tmp_path / "masks"]))
    cohort = ingest(source, 8, tmp_path / "out")
    assert cohort.masks is not None
    assert (cohort.masks[:] == [[0, 0, 1, 1, 1, 1, 0, 0]] * 8).all()
    (tmp_path / "masks" / "nv" / "nv0.png").unlink()
    monkeypatch.setattr(FolderSource, "masks", ImageFiles([tmp_path / "masks"]))
    assert ingest(source, 8, tmp_path / "some", preprocessing=chain_of(["lesion-crop"])).masks is None


LIMITED = """
import resource, signal, sys
from pathlib import Path
from dermsynth.core.errors import DermsynthError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing beyond the limit then fails as on a full disk
def limit(bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, bytes))
folder = Path(sys.argv[1])
try:
    exec(sys.argv[2])
except DermsynthError as error:
    print(f"{type(error).__name__}: {error}")
else:
    print("no error")
"""

INGEST = """
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import source_config
source = source_config("folder", {"root": str(folder / "tree")})
"""
SPLIT = """
from dermsynth.cohorts.split import SplitConfig, split
"""
CHECKPOINT = """
import torch
from dermsynth.training import checkpoint
"""


def on_a_full_disk(folder: Path, code: str) -> str:
    """Run code in a process that may write files of few bytes only, and return the one line it printed."""
    command = [sys.executable, "-c", LIMITED, str(folder), code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = result.stdout.splitlines()
    return line


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


FULL = (
    "the disk is full (File too large); nothing half-written was kept: free some space and run the same command again"
)


@pytest.mark.parametrize("limit", [0, 1500, 3000], ids=["header", "pixels", "table"])
def test_a_disk_that_fills_during_ingest_leaves_no_cohort(tmp_path: Path, limit: int) -> None:
    tree(tmp_path / "tree")
    code = f"limit({limit}); ingest(source, 8, folder / 'out')"
    line = on_a_full_disk(tmp_path, INGEST + code)
    assert line.startswith(f"ArtefactError: {tmp_path}")
    assert line.endswith(FULL)
    assert names(tmp_path) == {"tree"}


def test_a_disk_that_fills_while_replacing_keeps_the_old_cohort(tmp_path: Path) -> None:
    old = ingest(tree(tmp_path / "tree"), 8, tmp_path / "out").identity
    line = on_a_full_disk(tmp_path, INGEST + "limit(1500); ingest(source, 16, folder / 'out', force=True)")
    assert line.endswith(FULL)
    assert Cohort.open(tmp_path / "out").identity == old
    assert names(tmp_path) == {"tree", "out"}


def test_a_disk_that_fills_during_a_split_keeps_what_was_there(tmp_path: Path) -> None:
    ingest(tree(tmp_path / "tree"), 8, tmp_path / "out")
    before = names(tmp_path / "out")
    line = on_a_full_disk(tmp_path, SPLIT + "limit(600); split(folder / 'out', SplitConfig())")
    assert line.startswith(f"ArtefactError: {tmp_path / 'out' / 'split.'}")
    assert line.endswith(FULL)
    assert names(tmp_path / "out") == before
    kept = split(tmp_path / "out", SplitConfig()).identity
    line = on_a_full_disk(tmp_path, SPLIT + "limit(600); split(folder / 'out', SplitConfig(), seed=1, force=True)")
    assert line.endswith(FULL)
    assert Cohort.open(tmp_path / "out").identity == kept


def test_a_disk_that_fills_while_a_checkpoint_is_written_keeps_the_last_good_one(tmp_path: Path) -> None:
    code = """
path = folder / "checkpoint.safetensors"
checkpoint.save(path, {"weight": torch.ones(1000)}, {"images_seen": "1"})
limit(4096)
try:
    checkpoint.save(path, {"weight": torch.zeros(1000)}, {"images_seen": "2"})
finally:
    assert (checkpoint.load(path)[0]["weight"] == 1).all()
"""
    line = on_a_full_disk(tmp_path, CHECKPOINT + code)
    assert line.startswith(f"ArtefactError: {tmp_path / 'checkpoint.safetensors'}: {FULL}")
    assert names(tmp_path) == {"checkpoint.safetensors"}


def test_the_real_challenge_becomes_a_cohort(real_data: Path, tmp_path: Path) -> None:
    source = source_config("isic2018-task3", {"root": str(real_data / "isic2018_task3")})
    seen: list[int] = []

    class EnoughError(Exception):
        pass

    def stop_early(done: int, total: int) -> None:
        seen.append(total)
        raise EnoughError

    with pytest.raises(EnoughError):
        ingest(source, 32, tmp_path / "out", progress=stop_early)
    assert seen == [7_496]
    assert names(tmp_path) == set()


def test_every_row_of_the_table_says_which_image_it_is(tmp_path: Path) -> None:
    make_ham(tmp_path / "ham10000")
    cohort = ingest(source_config("ham10000", {"root": str(tmp_path / "ham10000")}), 8, tmp_path / "out")
    assert cohort.table["image_id"].to_list() == ham_ids(ham_rows())
    assert "at" not in cohort.table.columns


def test_every_row_has_the_hash_of_its_own_file(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", {"mel": 20, "nv": 20})
    table = ingest(source_config("folder", {"root": str(root)}), 8, tmp_path / "out", threads=3).table
    for image_id, label, found in table.select("image_id", "label", "sha256").iter_rows():
        assert found == hashlib.sha256((root / label / f"{image_id}.jpg").read_bytes()).hexdigest()


def test_rows_are_checked_before_the_first_image_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_ham(tmp_path / "ham")
    with (root / "HAM10000_metadata.csv").open("a") as table:
        table.write("HAM_9,ISIC_9,nv,histo,50,male,back,x\n")
    monkeypatch.setattr("dermsynth.cohorts.sources.files.decode", lambda *_: pytest.fail("an image was decoded"))
    with pytest.raises(InputError, match=r"line 16: image 'ISIC_9' is missing"):
        ingest(source_config("ham10000", {"root": str(root)}), 8, tmp_path / "out")
