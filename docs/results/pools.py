"""Make the pools of paper 002's two experiments from the real ISIC 2018 images, at the scale of two cores.

    python docs/results/pools.py make WORK            # after generators.py has trained acgan in WORK
    python docs/results/pools.py page WORK WEIGHTS    # pools.md and its pictures; sheets with patients stay in WORK

WORK has the cohorts `isic64` and `isic128` and the run `runs/acgan` of `generators.py`; WEIGHTS is a folder with a
pretrained encoder. What is finished is left alone, so `make` may be started again.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.cores import cores
from dermsynth.core.randomness import numpy_generator
from dermsynth.encoders.pretrained import Pretrained
from dermsynth.metrics.frechet import frechet_distance
from dermsynth.pools.screen import Screened, screen
from dermsynth.pools.screens import rules_of
from dermsynth.reports.sheets import Row, drawn
from dermsynth.reports.translations import rows
from dermsynth.training.device import set_threads

HERE = Path(__file__).parent
MARKER = "<!-- below: written by hand -->"
ALPHAS = {"1/8": "0.125", "1/4": "0.25", "1/2": "0.5", "1": "1"}
KIMG_TRANSLATE, KIMG_REFINE = 4, 2
COUNT = 400
REFINED = ("mel", "nv")
RULES = (
    "duplicate",
    "near-copy:share=0.01",
    "realism:share=0.05",
    "artefact:trace=checkerboard",
    "artefact:trace=hair,share=0.05",
    "artefact:trace=ink",
)


def folder(alpha: str) -> str:
    """Return the name of an alpha's folders."""
    return "mel-" + alpha.replace("/", "-")


def commands() -> list[tuple[str, str]]:
    """Return what is run, as (folder it makes, command)."""
    found = [
        (f"fits/{name}", f"fit small-cnn isic64 --arm oversampled --seed {seed} --threads 1")
        for name, seed in (("rank", 0), ("judge", 1))
    ]
    one = "--threads 1"
    for alpha, keep in ALPHAS.items():
        name = folder(alpha)
        pair = "--set source=[nv] --set target=[mel] --set width=8"
        found += [
            (f"ranked/{name}", f"pool path-rank fits/rank isic64 --class mel --keep {keep}"),
            (f"runs/nv-{name}", f"train cyclegan ranked/{name} --kimg {KIMG_TRANSLATE} {pair} {one}"),
            (f"pools/nv-{name}", f"translate runs/nv-{name} ranked/{name} --count {COUNT}"),
        ]
    counts = ",".join(f"{label}={COUNT}" for label in REFINED)
    found += [
        ("pools/acgan-2", f"sample runs/acgan --per-class {counts}"),
        ("staged", "pool stage pools/acgan-2 isic128"),
    ]
    for label in REFINED:
        pair = f"--set 'source=[synthetic {label}]' --set target=[{label}] --set width=8"
        found += [
            (f"runs/refine-{label}", f"train cyclegan staged --kimg {KIMG_REFINE} {pair} {one}"),
            (f"pools/refined-{label}", f"translate runs/refine-{label} staged"),
        ]
    return found


def make(work: Path) -> None:
    """Run what has not been run yet."""
    for out, command in commands():
        if not (work / out).exists():
            whole = f"dermsynth {command} --out {out}"
            sys.stdout.write(whole + "\n")
            sys.stdout.flush()
            subprocess.run(whole, shell=True, check=True, cwd=work)


def page(work: Path, weights: Path) -> None:
    """Measure the pools and write the page; sheets that show patients stay in WORK."""
    set_threads(cores())
    cohort, large = Cohort.open(work / "isic64"), Cohort.open(work / "staged")
    translated = {alpha: Cohort.open(work / "pools" / f"nv-{folder(alpha)}") for alpha in ALPHAS}
    refined = {label: Cohort.open(work / "pools" / f"refined-{label}") for label in REFINED}
    (work / "translations.png").write_bytes(drawn(rows(cohort, list(translated.values()), 8)))
    for label, pool in refined.items():
        (work / f"refined-{label}.png").write_bytes(drawn(rows(large, [pool], 8)))
        sheet = Image.open(io.BytesIO(drawn(_refinement(large, pool, label)))).convert("RGB")
        sheet.save(HERE / "images" / f"refined-{label}.jpg", quality=85, optimize=True)
    encoder, judge = Pretrained(weights), TrainedClassifier.open(work / "fits/judge")
    lines = ["# Pools on real images", "", _intro(), "", "## Naevi into melanomas (experiment 2)", ""]
    lines += _translated(work, cohort, translated, encoder, judge)
    lines += ["", "## Refined (experiment 1)", ""]
    lines += _refined(work, large, refined, encoder)
    lines += ["", "## What the screens reject", ""]
    lines += _screened({f"naevi to melanomas, alpha {alpha}": pool for alpha, pool in translated.items()}, cohort)
    lines += ["", "```", *(f"dermsynth {command} --out {out}" for out, command in commands()), "```", "", MARKER]
    target = HERE / "pools.md"
    by_hand = target.read_text(encoding="utf-8").partition(MARKER)[2] if target.exists() else "\n"
    target.write_text("\n".join(lines) + by_hand, encoding="utf-8")


def _intro() -> str:
    return (
        "Paper 002's two experiments with the ISIC 2018 training images, at the scale of two processor cores: 64 and\n"
        "128 px instead of 128 and 256, networks of an eighth of the width, minutes instead of days. Made by\n"
        "`docs/results/pools.py`; translations keep a patient's skin and outline, so their sheets are not shown here."
    )


def _minutes(work: Path, run: str) -> str:
    card = json.loads((work / "runs" / run / "card.json").read_text())
    return f"{card['images_seen'] / 1000:g} | {card['wall_s'] / 60:.0f}"


def _translated(
    work: Path, cohort: Cohort, pools: dict[str, Cohort], encoder: Pretrained, judge: TrainedClassifier
) -> list[str]:
    """Return the table of the four alphas: how far from held-out melanomas, and what another classifier sees."""
    test = cohort.part("test")
    melanomas = test.select(pl.col("label") == "mel")
    held_out, count = encoder.encode(melanomas.images[:]), len(melanomas)
    train = cohort.part("train")
    naevi = train.select(pl.col("image_id").is_in(pools["1"].table["translated_from"].implode()))
    real = train.select(pl.col("label") == "mel")
    index = cohort.classes.index("mel")

    def row(name: str, images: Cohort, more: str) -> str:
        chosen = images.select(numpy_generator(0, "equal n").permutation(len(images))[:count].astype(np.int64))
        distance = frechet_distance(encoder.encode(chosen.images[:]), held_out)
        said = judge.probabilities(images).argmax(axis=1) == index
        return f"| {name} | {more} | {distance:.1f} | {100 * said.mean():.0f} % |"

    heads = [
        "images",
        "melanomas learnt from",
        "least surety",
        "kimg",
        "minutes",
        f"Fréchet, n = {count}",
        "seen as mel",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines.append(row("naevi, as they are", naevi, "| | |"))
    for alpha, pool in pools.items():
        ranks = json.loads((work / "ranked" / folder(alpha) / "card.json").read_text())["path_rank"]
        told = f"{ranks['kept']} of {ranks['of']} | {ranks['least_probability']:.3f}"
        lines.append(row(f"alpha {alpha}", pool, f"{told} | {_minutes(work, f'nv-{folder(alpha)}')}"))
    lines.append(row("*training melanomas*", real, "| | |"))
    return lines


def _refined(work: Path, staged: Cohort, pools: dict[str, Cohort], encoder: Pretrained) -> list[str]:
    heads = ["class", "kimg", "minutes", "ACGAN, enlarged", "refined", "*training images*"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for label, pool in pools.items():
        test = staged.part("test")
        held_out = encoder.encode(test.select(pl.col("label") == label).images[:])
        count = min(len(held_out), len(pool))
        held_out = held_out[:count]
        train = staged.part("train")
        sets = [train.select(pl.col("label") == f"synthetic {label}"), pool, train.select(pl.col("label") == label)]
        found = []
        for images in sets:
            chosen = images.select(numpy_generator(0, "equal n").permutation(len(images))[:count].astype(np.int64))
            found.append(f"{frechet_distance(encoder.encode(chosen.images[:]), held_out):.1f}")
        lines.append(f"| {label}, n = {count} | {_minutes(work, f'refine-{label}')} | {' | '.join(found)} |")
    pictures = [f"![ACGAN's {label} above, refined below](images/refined-{label}.jpg)" for label in pools]
    return [*lines, "", *pictures]


def _screened(pools: dict[str, Cohort], cohort: Cohort) -> list[str]:
    """Return a table of how many images every rule rejects, one after the other."""
    heads = ["pool", "images", *(f"`{rule}`" for rule in RULES), "kept"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, pool in pools.items():
        found: Screened = screen(pool, cohort, rules_of(RULES))
        rejected = [str(int(step.judgement.rejected.sum())) for step in found.steps]
        lines.append(f"| {name} | {len(pool)} | {' | '.join(rejected)} | {len(found.kept)} |")
    return lines


def _refinement(staged: Cohort, pool: Cohort, label: str) -> list[Row]:
    """Return synthetic images alone: the ACGAN's and what became of them."""
    names = pool.table["translated_from"].head(8)
    where = staged.table.with_row_index("row")
    images: list[NDArray[Any]] = [staged.images[[where.filter(pl.col("image_id") == name)["row"][0]]] for name in names]
    captions = [""] * len(names)
    drawn_by = Row(label, "ACGAN, enlarged", np.concatenate(images), captions)
    return [drawn_by, Row("", "refined", pool.images[: len(names)], captions)]


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "make":
        make(Path(where).resolve())
    else:
        page(Path(where).resolve(), Path(rest[0]))
