"""Train every algorithm on the real ISIC 2018 images for the same processor time, and measure what it draws.

    python docs/results/generators.py train WORK DATA NAME …   # one after the other; start two of these side by side
    python docs/results/generators.py page WORK WEIGHTS        # generators.md and its pictures beside this file

WORK is a folder for cohorts, runs and pools; DATA holds `isic2018_task3` and `ham10000`; WEIGHTS is a folder with a
pretrained encoder. A budget in images is what an algorithm sees in `MINUTES` of one thread's processor time, found by
trying some steps. All runs have one thread, so that two of them can run on two cores.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermsynth.algorithms import algorithm_class
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.cores import cores
from dermsynth.core.randomness import numpy_generator
from dermsynth.encoders.pretrained import Pretrained
from dermsynth.metrics.frechet import frechet_distance
from dermsynth.metrics.kernel import kernel_distance
from dermsynth.metrics.memorisation import share_nearer_to_train
from dermsynth.training.device import set_threads

HERE = Path(__file__).parent
MARKER = "<!-- below: written by hand -->"
MINUTES = 12.0
SEED = 0
Features = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """An algorithm with settings that suit two cores."""

    algorithm: str
    settings: dict[str, Any]
    size_px: int = 64
    minutes: float = MINUTES

    def command(self, name: str, kimg: int) -> list[str]:
        """Return the command that trains it."""
        pairs = [part for key, value in self.settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        where = [f"isic{self.size_px}", "--out", f"runs/{name}", "--kimg", str(kimg), "--threads", "1"]
        return ["dermsynth", "train", self.algorithm, *where, *pairs]


SHORT = 6.0
RUNS = {
    "gan": Run("gan", {"batch_size": 32}, minutes=SHORT),
    "lapgan": Run("lapgan", {"width": 12, "coarse_width": 600, "learning_rate": 5e-4, "batch_size": 16}, minutes=20.0),
    "dcgan": Run("dcgan", {"width": 32, "batch_size": 16}),
    "dcgan-diffaugment": Run("dcgan", {"width": 32, "batch_size": 16, "augment": "diffaugment"}),
    "wgan-gp": Run("wgan-gp", {"width": 32, "critic_width": 32, "n_critic": 3, "batch_size": 16}, minutes=SHORT),
    "cgan": Run("cgan", {"width": 32, "batch_size": 16}, minutes=SHORT),
    "acgan": Run("acgan", {"width": 8, "dropout": 0.2, "auxiliary_weight": 0.1, "batch_size": 16}, minutes=24.0),
    "progressive": Run(
        "progressive",
        {"width": 16, "most_maps": 64, "latent": 64, "growing": 0.3, "first_px": 8},
        minutes=36.0,
    ),
    "stylegan2": Run("stylegan2", {"width": 16, "most_maps": 64, "latent": 64, "batch_size": 16}, minutes=16.0),
    "r3gan": Run("r3gan", {"width": 16, "widest": 128, "penalty_every": 4, "batch_size": 16}),
    "rectified-flow": Run("rectified-flow", {"width": 32, "batch_size": 16}),
    "cyclegan": Run("cyclegan", {"source": ["nv"], "target": ["mel"], "width": 8}, 128, minutes=20.0),
}


def train(work: Path, data: Path, names: list[str]) -> None:
    """Train runs, one after the other; what is finished is left alone."""
    for name in names:
        run = RUNS[name]
        cohort = work / f"isic{run.size_px}"
        if not cohort.exists():
            root, metadata = data / "isic2018_task3", data / "ham10000"
            ingest = ["dermsynth", "ingest", "isic2018-task3", "--root", str(root), "--set", f"metadata={metadata}"]
            subprocess.run([*ingest, "--size", str(run.size_px), "--out", str(cohort)], check=True)
            split = ["dermsynth", "split", str(cohort), "--scheme", "official", "--val", "0.1"]
            subprocess.run(split, check=True)
        if not (work / "runs" / name).exists():
            command = run.command(name, _kimg(run, cohort))
            sys.stdout.write(" ".join(command) + "\n")
            sys.stdout.flush()
            began = time.process_time(), _children_s()
            subprocess.run(command, check=True, cwd=work)
            spent = _children_s() - began[1]
            (work / f"{name}.json").write_text(json.dumps({"command": command, "processor_s": spent}))


def _children_s() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kimg(run: Run, path: Path) -> int:
    """Return the thousands of images that the run sees in its processor time."""
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.device import make_fabric
    from dermsynth.training.images import gather
    from dermsynth.training.learner import Learner

    set_threads(1)
    chosen = algorithm_class(run.algorithm)
    settings, config = chosen.Config(**run.settings), TrainConfig(budget_kimg=1000)
    images = gather(Cohort.open(path), chosen, settings, config, None)
    learner = Learner(images, chosen, settings, config, make_fabric())
    period = max(phase.every for phase in learner.phases)
    rates = []
    for moment in (0.1, 0.5, 0.9):  # an algorithm that grows is quicker at first
        first = int(moment * learner.steps) // period * period
        learner.step(first)
        steps, began = 0, time.process_time()
        while time.process_time() - began < 10:
            for number in range(first, first + period):
                learner.step(number)
            steps += period
        rates.append((time.process_time() - began) / (steps * settings.batch_size))
    return max(1, math.floor(60 * run.minutes / (1000 * float(np.mean(rates)))))


def page(work: Path, weights: Path) -> None:
    """Measure every finished run and write the table and the pictures."""
    set_threads(cores())
    encoder = Pretrained(weights)
    rows = []
    for name, run in RUNS.items():
        if (work / "runs" / name / "card.json").exists():
            measured = work / f"{name}.measured.json"
            if not measured.exists():
                measured.write_text(json.dumps(_measure(work, name, run, encoder)))
            rows.append((name, json.loads(measured.read_text())))
            if "target" not in run.settings:  # a translation keeps a patient's skin and outline: not for the repository
                _picture(work / "runs" / name, HERE / "images" / f"{name}.jpg", run)
    by_hand = ""
    target = HERE / "generators.md"
    if target.exists():
        by_hand = target.read_text(encoding="utf-8").partition(MARKER)[2]
    target.write_text("\n".join([_heading(), *_table(rows), "", *_commands(work, rows), MARKER]) + by_hand, "utf-8")


def _measure(work: Path, name: str, run: Run, encoder: Pretrained) -> dict[str, Any]:
    from dermsynth.pools.sample import sample
    from dermsynth.pools.translate import translate

    folder, pool = work / "runs" / name, work / "pools" / name
    cohort = Cohort.open(work / f"isic{run.size_px}")
    test = cohort.part("test")
    if "target" in run.settings:
        test = test.select(test.table["label"].is_in(run.settings["target"]).to_numpy())
        if not pool.exists():
            translate(folder, cohort, pool, count=len(test), seed=SEED)
    elif not pool.exists():
        sample(folder, test.counts(), pool, seed=SEED)
    synthetic = encoder.encode(Cohort.open(pool).images[:])
    kept = work / f"features-{run.size_px}-{len(test)}.npz"  # the same for every run of this size
    if not kept.exists():
        train = _alike(cohort.part("train"), test)
        np.savez(kept, train=encoder.encode(train.images[:]), test=encoder.encode(test.images[:]))
    with np.load(kept) as features:
        real, held_out = features["train"], features["test"]
    card = json.loads((folder / "card.json").read_text())
    spent = json.loads((work / f"{name}.json").read_text())
    copies = share_nearer_to_train(synthetic, real, held_out)
    return {
        "n": len(test),
        "parameters": card["parameters"],
        "kimg": card["images_seen"] / 1000,
        "chosen_at": card["chosen_at"] / 1000,
        "processor_s": spent["processor_s"],
        "wall_s": card["wall_s"],
        "machine": f"{card['device']}, {card['precision']}, {card['threads']} thread",
        "command": spent["command"],
        "frechet": frechet_distance(synthetic, held_out),
        "frechet_floor": frechet_distance(real, held_out),
        "kernel": kernel_distance(synthetic, held_out),
        "kernel_floor": kernel_distance(real, held_out),
        "nearer_to_train": copies.share,
        "encoder": encoder.name,
    }


def _alike(train: Cohort, test: Cohort) -> Cohort:
    """Return training images with the class counts of the test images."""
    generator = numpy_generator(SEED, "alike")
    rows = [
        generator.choice(np.flatnonzero(train.labels == label), count, replace=False)
        for label, count in enumerate(test.counts().values())
    ]
    return train.select(np.sort(np.concatenate(rows)))


def _picture(run: Path, out: Path, chosen: Run) -> None:
    """Keep six columns of the run's last grid, a row per class."""
    last = max((run / "samples").glob("*.png"))
    with Image.open(last) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    out.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels[:, : 6 * chosen.size_px]).save(out, quality=85, optimize=True)


def _heading() -> str:
    return (
        "# Generators on real images\n\n"
        "Every algorithm, trained on the 5,387 ISIC 2018 training images for some minutes of one thread, against the\n"
        "official test images. Made by `docs/results/generators.py`.\n"
    )


def _table(rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    heads = (
        "run",
        "generator",
        "critic",
        "kimg",
        "processor",
        "images/s",
        "Fréchet",
        "over the floor",
        "kernel × 1000",
    )
    lines = [f"| {' | '.join((*heads, 'nearer to train'))} |", "|---" * 10 + "|"]
    for name, found in rows:
        sizes = dict(found["parameters"])
        generator = sizes.pop("generator")
        lines.append(
            f"| {name} | {generator / 1e6:.2f} M | {sum(sizes.values()) / 1e6:.2f} M | {found['kimg']:.0f} "
            f"| {found['processor_s'] / 60:.1f} min | {1000 * found['kimg'] / found['processor_s']:.0f} "
            f"| {found['frechet']:.1f} | {found['frechet'] - found['frechet_floor']:.1f} "
            f"| {1000 * found['kernel']:.1f} | {100 * found['nearer_to_train']:.0f} % |"
        )
    for size, n in sorted({(RUNS[name].size_px, found["n"]) for name, found in rows}):
        found = next(f for name, f in rows if (RUNS[name].size_px, f["n"]) == (size, n))
        lines.append(
            f"| *real training images, {size} px, n = {n:,}* | | | | | | {found['frechet_floor']:.1f} | 0 "
            f"| {1000 * found['kernel_floor']:.1f} | |"
        )
    return lines


def _commands(work: Path, rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return ["```", *(" ".join(found["command"]) for _, found in rows), "```", ""]


if __name__ == "__main__":
    verb, work, other, *names = sys.argv[1:]
    Path(work, "runs").mkdir(parents=True, exist_ok=True)
    if verb == "train":
        train(Path(work).resolve(), Path(other).resolve(), names)
    else:
        page(Path(work).resolve(), Path(other))
