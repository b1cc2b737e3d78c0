"""From a trial's folder to its verdict: what was declared, the predictions of its fits, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dermsynth.classifiers.predictions import read_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError
from dermsynth.metrics import scores
from dermsynth.trials.arms import NEEDS_POOL
from dermsynth.trials.looks import MAIN, Fits, Pair, as_published, elsewhere
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import ArmFacts, Chosen, Context, Endpoint, Verdict, judge


def judge_folder(
    protocol: Protocol, out: Path, index: Mapping[str, Any], *, edited: Mapping[str, tuple[Any, Any]] | None = None
) -> Verdict:
    """Return the verdict of a trial whose jobs are done.

    Args:
        protocol: Its protocol.
        out: Its folder.
        index: Its `index.json`.
        edited: What its protocol said when it ran, and says now, by key.

    Raises:
        ArtefactError: a trial of an older version, which knows no further classifiers or tests.
    """
    if "tests" not in index:
        raise ArtefactError(f"{out}: was made by an older version of dermsynth; run the trial again with --force")
    fits = _fits(out, index["fits"])
    chosen = choose(fits, protocol.candidates) if len(protocol.candidates) > 1 else None
    treatment = max(chosen.among, key=chosen.among.__getitem__) if chosen else protocol.candidates[0]
    cohort = Cohort.open(out / index["cohort"])
    arms = {}
    for arm in protocol.arms:
        card = artefacts.read_card(next(iter(fits[arm.name].values())), "fit")
        arms[arm.name] = ArmFacts(arm.arm, arm.varied, card["train_counts"])
    endpoint = Endpoint(**protocol.endpoint.model_dump(), seed=protocol.seed)
    synthetic = [name for name in (treatment, protocol.control) if protocol.arm(name).arm in NEEDS_POOL]
    replicas = protocol.generator_of(protocol.arm(synthetic[0])).replicas if synthetic else 0
    names = cohort.table["image_id"].to_list()
    context = Context(
        arms=arms,
        leaky=cohort.leaky,
        chosen=chosen,
        edited=dict(edited or {}),
        columns={
            column: dict(zip(names, cohort.table[column].to_list(), strict=True)) for column in protocol.subgroups
        },
        pairs=_pairs(protocol, out, index, treatment, endpoint),
    )
    return judge(
        fits,
        endpoint,
        control=protocol.control,
        treatment=treatment,
        name=protocol.name,
        generators=replicas,
        context=context,
    )


def choose(fits: Fits, candidates: tuple[str, ...]) -> Chosen:
    """Return the mean balanced accuracy on val of every candidate, by which the treatment is chosen."""

    def score(folder: Path) -> float:
        found = read_predictions(folder, "val")
        return float(scores.balanced_accuracy(found.labels, found.predicted, len(found.classes)))

    return Chosen(among={arm: float(np.mean([score(path) for path in fits[arm].values()])) for arm in candidates})


def _pairs(protocol: Protocol, out: Path, index: Mapping[str, Any], treatment: str, endpoint: Endpoint) -> list[Pair]:
    """Return the main comparison with every further classifier, and on every further test."""
    arms, found = (treatment, protocol.control), []
    redraws = {"resamples": endpoint.resamples, "seed": endpoint.seed}
    of_classifier = {MAIN: index["fits"], **index["further"]}
    both = [name for name in protocol.classifiers if set(arms) <= set(of_classifier[name])]
    for name in both:
        two = _two(out, of_classifier[name], arms)
        pair = elsewhere("classifier", name, two, endpoint.split, **redraws)
        found.append(replace(pair, classifier=name))
    for test, by_classifier in index["tests"].items():
        for classifier in (MAIN, *both):
            by_arm = by_classifier[classifier]
            name = test if classifier == MAIN else f"{test}, {classifier}"
            if protocol.tests[test].source is not None:
                pair = elsewhere("test", name, _two(out, by_arm, arms), "test", **redraws)
                found.append(replace(pair, classifier=classifier))
            elif treatment in by_arm:
                two = _two(out, of_classifier[classifier], arms)
                drawn = _fits(out, {treatment: by_arm[treatment]})[treatment]
                found.append(replace(as_published(name, two, drawn, endpoint.split), classifier=classifier))
    return found


def _two(out: Path, by_arm: Mapping[str, Mapping[str, str]], arms: tuple[str, str]) -> Fits:
    return _fits(out, {arm: by_arm[arm] for arm in arms})


def _fits(out: Path, by_arm: Mapping[str, Mapping[str, str]]) -> dict[str, dict[int, Path]]:
    return {arm: {int(seed): out / folder for seed, folder in by_seed.items()} for arm, by_seed in by_arm.items()}
