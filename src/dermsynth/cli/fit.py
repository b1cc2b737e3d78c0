"""`find-rate` and `fit`: one classifier on one arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, Force, Out, Seed, Settings, Threads, app, command, parse_settings

if TYPE_CHECKING:
    from dermsynth.classifiers.config import FitConfig
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.trials.arms import TrainingSet

Model = Annotated[
    str,
    typer.Argument(help="The classifier, such as small-cnn, resnet-18, hf:FOLDER, discriminator:RUN or knn:handmade."),
]
WithSplit = Annotated[Path, typer.Argument(metavar="COHORT", help="A cohort with a split.")]
ArmName = Annotated[
    str,
    typer.Option(
        "--arm",
        metavar="NAME",
        help="real, classical, oversampled, weighted, focal, logit-adjusted, hybrid or placebo.",
    ),
]
Pool = Annotated[Path | None, typer.Option("--pool", help="Synthetic images for hybrid and placebo.")]
FillTo = Annotated[
    int | None,
    typer.Option(
        "--fill-to",
        min=1,
        metavar="N",
        help="Arms that enlarge fill every class up to this.",
        show_default="the largest class",
    ),
]
Policy = Annotated[
    str | None, typer.Option("--augment", metavar="POLICY", help="Policy of classical.", show_default="strong")
]


@command(app, "find-rate")
def find_rate(
    model: Model,
    cohort: WithSplit,
    out: Out,
    arm: ArmName = "real",
    pool: Pool = None,
    fill_to: FillTo = None,
    augment: Policy = None,
    settings: Settings = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Suggest a learning rate by a short sweep over all of them."""
    import json

    from dermsynth.classifiers import finder
    from dermsynth.cli.progress import bar
    from dermsynth.core import artefacts
    from dermsynth.reports.rate import rate_figure
    from dermsynth.training.device import set_threads

    artefacts.check_free(out, force=force)
    config, chosen, _ = _chosen(model, cohort, arm, pool, fill_to, augment, settings, seed, {})
    set_threads(threads)
    with bar(f"{model} on {arm}") as progress:
        curve = finder.find_rate(
            chosen.cohort,
            config,
            rows=chosen.rows,
            augmentation=chosen.augmentation,
            balance=chosen.balance,
            progress=progress,
        )
    with artefacts.creating(out, "rate", force=force) as draft:
        columns = zip(curve.rates.tolist(), curve.losses.tolist(), curve.smoothed.tolist(), strict=True)
        lines = [json.dumps({"learning_rate": r, "loss": loss, "smoothed": mean}) for r, loss, mean in columns]
        artefacts.write_atomically(draft.path / "curve.jsonl", "\n".join([*lines, ""]).encode())
        artefacts.write_atomically(draft.path / "curve.svg", rate_figure(curve).encode())
        draft.card.update(config=config.canonical(), arm=arm, suggested=curve.suggested, threads=threads)
    said = f"--set learning_rate={curve.suggested:.1e}" if curve.suggested else "no rate made the loss fall"
    typer.echo(f"{said}; the curve is in {out / 'curve.svg'}")


@command(app, "fit")
def fit(
    model: Model,
    cohort: WithSplit,
    out: Out,
    arm: ArmName = "real",
    pool: Pool = None,
    fill_to: FillTo = None,
    augment: Policy = None,
    kimg: Annotated[float, typer.Option(metavar="N", help="Budget in thousands of images.")] = 40.0,
    settings: Settings = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Train a classifier on one arm and predict val and test.

    The same command continues a stopped fit.
    """
    from dermsynth.classifiers.fit import fit as run
    from dermsynth.cli.progress import bar
    from dermsynth.training.device import set_threads

    config, chosen, real = _chosen(model, cohort, arm, pool, fill_to, augment, settings, seed, {"budget_kimg": kimg})
    set_threads(threads)
    with bar(f"{model} on {arm}") as progress:
        run(
            chosen.cohort,
            real.part("val"),
            real.part("test"),
            config,
            out,
            rows=chosen.rows,
            augmentation=chosen.augmentation,
            balance=chosen.balance,
            facts={"arm": arm, "train_counts": chosen.counts()},
            force=force,
            progress=progress,
        )
    typer.echo(f"{out}: predictions for val and test in {out / 'predictions.parquet'}")


def _chosen(
    model: str,
    cohort: Path,
    arm: str,
    pool: Path | None,
    fill_to: int | None,
    augment: str | None,
    settings: list[str] | None,
    seed: int,
    values: dict[str, float],
) -> tuple[FitConfig, TrainingSet, Cohort]:
    """Return the fit's configuration with `values`, the training set of the arm, and the cohort."""
    from dermsynth.classifiers.config import FitConfig
    from dermsynth.cohorts.augment import ClassicalAugmentation
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.config import nearest, parse
    from dermsynth.core.errors import ConfigError
    from dermsynth.trials.arms import ARMS, NEEDS_POOL, Material, missing

    if arm not in ARMS or arm == "oracle":
        raise ConfigError(f"--arm {arm}: {nearest(arm, [name for name in ARMS if name != 'oracle'])}")
    if arm in NEEDS_POOL and pool is None:
        raise ConfigError(f"--arm {arm}: needs synthetic images; give a pool from 'dermsynth sample' with --pool")
    if arm not in NEEDS_POOL and pool is not None:
        raise ConfigError(f"--pool {pool}: arm '{arm}' adds no pool; leave it out or choose --arm hybrid or placebo")
    instead = {"model": "the argument MODEL", "seed": "--seed", "budget_kimg": "--kimg", "policy": "--augment"}
    given = parse_settings(settings, instead)
    altering = {key: given.pop(key) for key in list(given) if key in ClassicalAugmentation.model_fields}
    altering |= {} if augment is None else {"policy": augment}
    if altering and arm != "classical":
        unused = ", ".join(instead.get(key, f"--set {key}") for key in altering)
        raise ConfigError(f"--arm {arm}: alters no image; leave out {unused}, or choose --arm classical")
    augmentation = parse(ClassicalAugmentation, altering, "settings of the augmentation")
    config = parse(FitConfig, {"model": model, "seed": seed, **values, **given}, "settings of the fit")
    real = Cohort.open(cohort)
    target = fill_to or max(real.part("train").counts().values())
    added = Cohort.open(pool) if pool else None
    return config, ARMS[arm](Material(real, missing(real, target), seed, added, augmentation=augmentation)), real
