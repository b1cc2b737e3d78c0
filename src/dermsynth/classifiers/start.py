"""Whether a classifier that starts from learnt weights can be judged on a cohort, before hours are spent."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from dermsynth.classifiers import find
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import check_unseen
from dermsynth.core.errors import InputError
from dermsynth.encoders.folder import PretrainedFolder, folder_of
from dermsynth.training.finished import FinishedRun


def weights_sha256(config: NetworkConfig) -> str | None:
    """Return the hash of the weights that a network is named by, None for one that is named by none.

    Raises:
        InputError: no such folder, or a name on the hub that cannot be fetched.
        ArtefactError: no finished run.
    """
    found = find(config.model)
    if found.backbone.source == "run":
        return FinishedRun.open(found.argument).sha256
    return PretrainedFolder(folder_of(found.argument)).sha256 if found.backbone.source == "folder" else None


def check_start(config: NetworkConfig, val: Cohort, test: Cohort, *, alters: bool) -> None:
    """Raise an error unless the network fits what is asked of it.

    Args:
        config: The network.
        val: Images that choose the state.
        test: Images that are predicted.
        alters: Whether training images are altered or their losses weighted.

    Raises:
        InputError: a network that is not trained in steps, and `alters`; or a run of other classes, whose own layer is
            asked for.
        LeakageError: the run whose discriminator it starts from saw an image, a lesion or a patient of val or test.
        ArtefactError: no finished run.
    """
    found = find(config.model)
    if alters and not found.learns_in_steps:
        raise InputError(
            f"model '{config.model}' takes features of images as they are, all with the same weight; "
            "choose an arm that neither alters nor weights them, such as real or oversampled"
        )
    if found.backbone.source != "run":
        return
    run = FinishedRun.open(found.argument)
    if found.head == "own" and run.classes != val.classes:
        raise InputError(
            f"{run.path}: its discriminator knows {', '.join(run.classes)}, the cohort has {', '.join(val.classes)}; "
            "train on this cohort"
        )
    if not config.fresh:
        for name, part in (("val", val), ("test", test)):
            in_part = replace(part, table=part.table.with_columns(split=pl.lit(name)))
            check_unseen(in_part, run.seen(), str(run.path))
