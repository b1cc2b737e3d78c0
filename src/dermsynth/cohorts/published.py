"""Where the published files of a data set are: what can be fetched without an account, and what has to be by hand."""

from __future__ import annotations

from pathlib import Path

from dermsynth.cohorts.download import Progress, Remote, download
from dermsynth.cohorts.sources import SourceConfig
from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.dermamnist import PUBLISHED, DermaMnistConfig
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError

_ISIC = "https://isic-challenge-data.s3.amazonaws.com"
_CHALLENGES = {
    "isic2016-task3": (
        "2016/ISBI2016_ISIC_Part3_Training_GroundTruth.csv",
        "2016/ISBI2016_ISIC_Part3_Test_GroundTruth.csv",
        "2016/ISBI2016_ISIC_Part1_Training_GroundTruth.zip",
        "2016/ISBI2016_ISIC_Part1_Test_GroundTruth.zip",
        "2016/ISBI2016_ISIC_Part3_Training_Data.zip",
        "2016/ISBI2016_ISIC_Part3_Test_Data.zip",
    ),
    "isic2017-task3": tuple(
        f"2017/ISIC-2017_{part}_{what}"
        for what in ("Part3_GroundTruth.csv", "Part1_GroundTruth.zip", "Data.zip")
        for part in ("Training", "Validation", "Test_v2")
    ),
    "isic2018-task3": (
        "2018/ISIC2018_Task3_Training_LesionGroupings.csv",
        "2018/ISIC2018_Task3_Training_GroundTruth.zip",
        "2018/ISIC2018_Task3_Test_GroundTruth.zip",
        "2018/ISIC2018_Task3_Training_Input.zip",
        "2018/ISIC2018_Task3_Test_Input.zip",
    ),
    "isic2019": tuple(
        f"2019/ISIC_2019_{part}_{what}"
        for what in ("GroundTruth.csv", "Metadata.csv", "Input.zip")
        for part in ("Training", "Test")
    ),
    "isic2020": (
        "2020/ISIC_2020_Training_GroundTruth_v2.csv",
        "2020/ISIC_2020_Training_Duplicates.csv",
        "2020/ISIC_2020_Training_JPEG.zip",
    ),
}
"""The ISIC challenges publish no checksums."""

_MEDMNIST = "https://zenodo.org/records/10519652/files"
_MEDMNIST_MD5 = dict(
    zip(
        PUBLISHED,
        (
            "0744692d530f8e62ec473284d019b0c7",
            "b70a2f5635c6199aeaa28c31d7202e1f",
            "2defd784463fa5243564e855ed717de1",
            "8974907d8e169bef5f5b96bc506ae45d",
        ),
        strict=True,
    )
)
"""From medmnist 3.0.2."""

_BY_HAND = {
    "ham10000": (
        "accept the terms at https://doi.org/10.7910/DVN/DBW86T, fetch HAM10000_metadata, HAM10000_images_part_1.zip, "
        "HAM10000_images_part_2.zip and, for masks, HAM10000_segmentations_lesion_tschandl.zip"
    ),
    "kaggle-benign-malignant": (
        "with a Kaggle account, fetch the zip from https://www.kaggle.com/datasets/fanconic/"
        "skin-cancer-malignant-vs-benign and unpack it or give it as the root"
    ),
    "ph2": "fill in the form at https://www.fc.up.pt/addi/ph2%20database.html, fetch PH2Dataset.rar and unpack it",
    "isic-archive": (
        "choose images at https://gallery.isic-archive.com or run 'isic image download' of isic-cli; "
        "metadata.csv has to lie with the images"
    ),
}


def fetch(source: SourceConfig, progress: Progress = lambda name, done, total: None) -> None:
    """Fetch into its folder what a source lacks; see `published_files` and `download.download`."""
    folder, files = published_files(source)
    download(files, folder, progress)


def published_files(source: SourceConfig) -> tuple[Path, tuple[Remote, ...]]:
    """Return the folder in which a source looks for its files, and where they can be fetched from.

    Raises:
        InputError: an account or a form is needed (the message says what to fetch and where to put it), or there is
            nothing to fetch.
    """
    root = getattr(source, "root", None)
    if root is None or source.kind in ("folder", "csv"):
        raise InputError(f"source {source.kind}: nothing is published to download; leave --download out")
    folder = expand(root)
    if source.kind in _BY_HAND:
        raise InputError(
            f"source {source.kind} cannot be downloaded for you: {_BY_HAND[source.kind]}; put it into {folder} and run "
            "the command without --download"
        )
    if isinstance(source, DermaMnistConfig):
        if source.file not in _MEDMNIST_MD5:
            raise InputError(f"{source.file}: is not published by MedMNIST; {nearest(source.file, _MEDMNIST_MD5)}")
        return folder, (Remote(f"{_MEDMNIST}/{source.file}", _MEDMNIST_MD5[source.file]),)
    return folder, tuple(Remote(f"{_ISIC}/{path}") for path in _CHALLENGES[source.kind])
