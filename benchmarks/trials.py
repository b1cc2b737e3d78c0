"""What the machinery of trials costs: starting and noting jobs, two workers against one, and a report of 100 fits.

    python benchmarks/trials.py [--jobs 12] [--work 1.0] [--rounds 3]
    python benchmarks/trials.py --fits 100 [--images 1512]

Without `--fits`, jobs that only compute run as those of a trial do, on processes of one thread:

    processor     seconds of processor that jobs take beside their work, of all processes: they are sent, looked at,
                  logged, noted. The start of a process, which loads torch once, is told apart
    share         the same for a trial whose jobs take 30 s, a short fit, on average
    two workers   wall time with one worker over that with two. Rounds alternate; the median of their ratios. On cores
                  that others use as well it says little

With `--fits`, a trial of that many fits on five arms is made up, and timed from its predictions: by the clock, and on
the processor, which other programs change little:

    verdict       `judge_trial`
    report        `write_report`, which reads the verdict
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from common import CLASSES, random_cohort, timed
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.config import parse
from dermsynth.reports.report import write_report
from dermsynth.trials.costs import read_costs
from dermsynth.trials.executors import LOCAL, workers_of
from dermsynth.trials.jobs import Job, run_jobs
from dermsynth.trials.plan import plan
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.run import INDEX, PROTOCOL, judge_trial

SHORT_FIT_S = 30.0
ARMS = ("real", "classical", "oversampled", "weighted", "focal")
_SIDE = 64


def compute(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Multiply matrices so many times: the same work in every job."""
    values = np.random.default_rng(0).standard_normal((_SIDE, _SIDE)) / _SIDE
    found = values
    for _ in range(config["times"]):
        found = np.tanh(found @ values)
    with artefacts.creating(out, "note") as draft:
        (draft.path / "sum").write_text(str(found.sum()))


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12, help="of a trial")
    parser.add_argument("--work", type=float, default=1.0, help="seconds of each, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fits", type=int, help="time the verdict and the report of so many instead")
    parser.add_argument("--images", type=int, default=1512, help="test images of that trial")
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory(prefix="dermsynth-trials-") as scratch:
        if arguments.fits:
            finished(Path(scratch) / "trial", arguments.fits, arguments.images)
        else:
            machinery(Path(scratch), arguments.jobs, arguments.work, arguments.rounds)


def machinery(scratch: Path, number: int, work_s: float, rounds: int) -> None:
    """Print what jobs cost beside their work, and how much sooner two workers are done than one."""
    print(f"{number} jobs of about {work_s:g} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    once = timed(lambda: compute({"times": 2000}, {}, scratch / "once")) / 2000
    times = max(1, round(work_s / once))
    overheads, starts, ratios = [], [], []
    for place in range(rounds):
        _, start = spent(scratch / f"{place}-start", 1, 0, times)
        walls = {}
        for workers in (1, 2):
            walls[workers], beside = spent(scratch / f"{place}-{workers}", workers, number, times)
            if workers == 1:
                overheads.append((beside - start) / number)
        starts.append(start)
        ratios.append(walls[1] / walls[2])
        print(f"  round {place + 1}: {walls[1]:.1f} s with one worker, {walls[2]:.1f} s with two", flush=True)
    overhead = statistics.median(overheads)
    print(f"processor     {1000 * overhead:.0f} ms for each job; {statistics.median(starts):.1f} s to start a process")
    print(f"share         {100 * overhead / SHORT_FIT_S:.2f} % of a trial whose jobs take {SHORT_FIT_S:g} s")
    print(f"two workers   {statistics.median(ratios):.2f} x")


def spent(folder: Path, workers: int, number: int, times: int) -> tuple[float, float]:
    """Return the wall seconds of jobs on workers that run, and what all processes took beside the work."""
    warm, jobs = (
        [
            Job("note", compute, {"times": times, "name": f"{name} {place}"}, {}, f"job {place}")
            for place in range(count)
        ]
        for name, count in (("warm", workers), ("timed", number))
    )
    before = used_s()
    with workers_of(LOCAL, workers, folder) as local:
        run_jobs(warm, folder, local)
        wall = timed(lambda: run_jobs(jobs, folder, local))
    return wall, used_s() - before - sum(cost.processor_s or 0.0 for cost in read_costs(folder).values())


def used_s() -> float:
    """Return the seconds of processor of this process and of those of its children that have ended."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def finished(out: Path, fits: int, images: int) -> None:
    """Print how long the verdict and the report of a trial take whose fits are done."""
    repeats = max(2, fits // len(ARMS))
    protocol = parse(
        Protocol,
        {
            "name": "made up",
            "repeats": repeats,
            "fill_to": 1200,
            "cohort": {"source": {"kind": "phantom", "counts": dict.fromkeys(CLASSES, 500)}},
            "arms": ARMS,
            "treatment": "classical",
        },
        "benchmark",
    )
    make_up(out, protocol, images)
    print(f"{repeats * len(ARMS)} fits, {images} test images; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    parts: dict[str, Callable[[Path], object]] = {"verdict": judge_trial, "report": write_report}
    for name, part in parts.items():
        before = used_s()
        wall = timed(partial(part, out))
        print(f"{name:14}{wall:.1f} s, {used_s() - before:.1f} s of processor", flush=True)


def make_up(out: Path, protocol: Protocol, images: int) -> None:
    """Write a trial whose fits guess, those of some arms a little better."""
    jobs, index = plan(protocol)
    (out / "jobs").mkdir(parents=True)
    every = random_cohort(2 * images, 64)
    parts = ["test"] * images + ["val"] * (images // 4)
    split = pl.Series("split", parts + ["train"] * (2 * images - len(parts)))
    cohort = Cohort.in_memory(every.table.with_columns(split), every.images[:], CLASSES)
    cohort.save(out / index["cohort"])
    counts = cohort.part("train").counts()
    for place, job in enumerate(job for job in jobs if job.kind == "fit"):
        with artefacts.creating(out / "jobs" / job.folder, "fit") as draft:
            skill = 1.0 + 0.1 * ARMS.index(job.config["arm"])
            found = {part: guessed(cohort.part(part), skill, place) for part in ("val", "test")}
            write_predictions(draft.path / FILE, found)
            line = '{"images_seen": 4000, "loss": 1.0, "val_balanced_accuracy": 0.5}\n'
            (draft.path / "history.jsonl").write_text(line)
            classifier = FitConfig(**job.config["classifier"]).canonical()
            draft.card |= {"config": classifier, "arm": job.config["arm"], "train_counts": counts, "wall_s": 30.0}
    (out / PROTOCOL).write_text(protocol.to_yaml())
    artefacts.write_json(out / INDEX, index)
    artefacts.write_json(out / artefacts.CARD, {"kind": "trial", "files": {}})


def guessed(part: Cohort, skill: float, seed: int) -> Predictions:
    """Return predictions that are right more often the larger `skill` is."""
    scores = np.random.default_rng(seed).standard_normal((len(part), len(CLASSES)))
    scores[np.arange(len(part)), part.labels] += skill
    shares = np.exp(scores)
    ids, lesions = (np.array(part.table[name].to_list(), dtype=np.str_) for name in ("image_id", "lesion_id"))
    return Predictions(ids, lesions, part.labels, shares / shares.sum(axis=1, keepdims=True), CLASSES)


if __name__ == "__main__":
    main()
