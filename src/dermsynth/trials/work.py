"""The jobs of a trial: what each kind does with its configuration and its input folders."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dermsynth.classifiers.start import weights_sha256
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.labels import load_map
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN, Chain, Step
from dermsynth.cohorts.sources import make_source
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.trials.arms import ARMS, NEEDS_POOL, Material, missing
from dermsynth.trials.jobs import Job
from dermsynth.trials.protocol import CohortChoice, Protocol

_ORACLE_LESIONS = 10_000_000
"""Oracle draws number their lesions from here on, so that none is in the cohort."""


def plan(protocol: Protocol) -> tuple[list[Job], dict[str, Any]]:
    """Return the jobs of a trial in the order in which they should start, and the index of their folders."""
    settings = protocol.cohort
    chosen = settings.source
    if isinstance(chosen, PhantomConfig):
        chosen = chosen.changed(seed=protocol.seed)
    source = chosen.canonical()
    cohort = Job(
        "cohort",
        make_cohort,
        {
            "source": source,
            "fingerprint": make_source(chosen).fingerprint(),
            "size_px": settings.size_px,
            "split": settings.split.canonical(),
            "seed": protocol.seed,
            **_changes_of(settings),
        },
        title="cohort",
    )
    runs = [_run_job(protocol, cohort, replica) for replica in range(protocol.generator.replicas)]
    needs_pool = any(arm in NEEDS_POOL for arm in protocol.arms)
    pools: dict[int, Job] = {}
    oracles: dict[int, Job] = {}
    fits: dict[str, dict[int, Job]] = {arm: {} for arm in protocol.arms}
    for repeat, seed in enumerate(protocol.seeds):
        if needs_pool:
            pool_config = {"fill_to": protocol.fill_to, "seed": seed}
            run = runs[repeat % len(runs)]
            pools[seed] = Job("pool", draw_pool, pool_config, {"cohort": cohort, "run": run}, f"pool, seed {seed}")
        if "oracle" in protocol.arms:
            oracle_config = {"fill_to": protocol.fill_to, "repeat": repeat, "source": source}
            oracle_config |= {"size_px": settings.size_px, **_changes_of(settings)}
            oracles[seed] = Job("oracle", draw_oracle, oracle_config, {"cohort": cohort}, f"oracle, seed {seed}")
        for arm in protocol.arms:
            fits[arm][seed] = _fit_job(protocol, arm, seed, cohort, pools.get(seed), oracles.get(seed))
    wait_for_pool = [fits[arm][seed] for seed in protocol.seeds for arm in protocol.arms if arm in NEEDS_POOL]
    at_once = [fits[arm][seed] for seed in protocol.seeds for arm in protocol.arms if arm not in NEEDS_POOL]
    # Generators take longest and hold others up, so they start first; fits that need none fill the other workers.
    jobs = [cohort, *(runs if needs_pool else []), *pools.values(), *wait_for_pool, *oracles.values(), *at_once]
    index = {
        "cohort": _path(cohort),
        "runs": [_path(run) for run in runs] if needs_pool else [],
        "pools": {str(seed): _path(job) for seed, job in pools.items()},
        "oracle": {str(seed): _path(job) for seed, job in oracles.items()},
        "fits": {arm: {str(seed): _path(job) for seed, job in by_seed.items()} for arm, by_seed in fits.items()},
    }
    return jobs, index


def _changes_of(choice: CohortChoice) -> dict[str, Any]:
    """Return what is done to labels and pixels, where it is not the usual: jobs without it keep their names."""
    changes: dict[str, Any] = {}
    if choice.labels is not None:
        # The file may change and keep its name: the hash of the job follows what it says.
        changes |= {"labels": choice.labels, "label_map": load_map(choice.labels).canonical()}
    if choice.preprocessing != DEFAULT_CHAIN:
        changes["preprocessing"] = [step.canonical() for step in choice.preprocessing]
    return changes


def _run_job(protocol: Protocol, cohort: Job, replica: int) -> Job:
    chosen = protocol.generator
    training = chosen.training.changed(seed=protocol.seed + replica)
    config = {"algorithm": chosen.algorithm, "settings": dict(chosen.settings), "training": training.canonical()}
    return Job("run", train_generator, config, {"cohort": cohort}, f"{chosen.algorithm}, replica {replica}")


def _fit_job(protocol: Protocol, arm: str, seed: int, cohort: Job, pool: Job | None, oracle: Job | None) -> Job:
    inputs = {"cohort": cohort}
    if arm in NEEDS_POOL and pool is not None:
        inputs["pool"] = pool
    if arm == "oracle" and oracle is not None:
        inputs["oracle"] = oracle
    config = {
        "arm": arm,
        "fill_to": protocol.fill_to,
        "classifier": protocol.classifier.changed(seed=seed).canonical(),
        "augmentation": protocol.augmentation.canonical() if arm == "classical" else None,
    }
    # The weights behind a path may change and keep its name; jobs without any keep theirs.
    weights = weights_sha256(protocol.classifier)
    config |= {"weights": weights} if weights else {}
    return Job("fit", fit_arm, config, inputs, f"{arm}, seed {seed}")


def _path(job: Job) -> str:
    return f"jobs/{job.folder}"


def make_cohort(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Ingest and split; the folder gets its name only when both are done."""
    from dermsynth.cohorts.ingest import ingest
    from dermsynth.cohorts.sources import SourceConfig
    from dermsynth.cohorts.split import SplitConfig, split

    source: Any = TypeAdapter(SourceConfig).validate_python(config["source"])
    staging = out.with_name(f"{out.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    ingest(source, config["size_px"], staging, preprocessing=_chain(config), labels=config.get("labels"))
    split(staging, SplitConfig(**config["split"]), seed=config["seed"])
    staging.rename(out)


def train_generator(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Train one replica of the generator."""
    from dermsynth.algorithms import algorithm_class
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.loop import train

    chosen = algorithm_class(config["algorithm"])
    cohort = Cohort.open(inputs["cohort"])
    train(cohort, chosen, chosen.Config(**config["settings"]), TrainConfig(**config["training"]), out)


def draw_pool(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Draw what the classes lack from a generator."""
    from dermsynth.pools.sample import sample

    counts = missing(Cohort.open(inputs["cohort"]), config["fill_to"])
    sample(inputs["run"], counts, out, seed=config["seed"])


def draw_oracle(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Draw what the classes lack from the phantom: new lesions of the true distribution."""
    from dermsynth.cohorts.ingest import ingest

    # A class that lacks nothing gets one image, which no arm takes: all cohorts of a trial have the same classes.
    counts = {name: max(1, count) for name, count in missing(Cohort.open(inputs["cohort"]), config["fill_to"]).items()}
    first = _ORACLE_LESIONS * (config["repeat"] + 1)
    source = PhantomConfig(**{**config["source"], "counts": counts, "first_lesion": first})
    ingest(source, config["size_px"], out, preprocessing=_chain(config))


def _chain(config: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the preprocessing in the configuration of a job."""
    return TypeAdapter(Chain).validate_python(config["preprocessing"]) if "preprocessing" in config else DEFAULT_CHAIN


def fit_arm(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Train one classifier on one arm with one seed."""
    from dermsynth.classifiers.config import FitConfig
    from dermsynth.classifiers.fit import fit
    from dermsynth.cohorts.augment import ClassicalAugmentation

    cohort = Cohort.open(inputs["cohort"])
    pool, oracle = (Cohort.open(inputs[name]) if name in inputs else None for name in ("pool", "oracle"))
    classifier = FitConfig(**config["classifier"])
    augmentation = ClassicalAugmentation(**(config["augmentation"] or {}))
    material = Material(cohort, config["fill_to"], classifier.seed, pool, oracle, augmentation)
    chosen = ARMS[config["arm"]](material)
    fit(
        chosen.cohort,
        cohort.part("val"),
        cohort.part("test"),
        classifier,
        out,
        rows=chosen.rows,
        augmentation=chosen.augmentation,
        balance=chosen.balance,
        facts={"arm": config["arm"], "train_counts": chosen.counts()},
    )
