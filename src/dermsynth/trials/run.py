"""Run a trial: its jobs, then the verdict. What is done is never done twice; the same call continues a stopped one."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from dermsynth import __version__
from dermsynth.audits.cohort import audit_cohort
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.cores import cores
from dermsynth.core.errors import ArtefactError, ConfigError, DermsynthError, InterruptedRunError, LeakageError
from dermsynth.core.locks import alone_in
from dermsynth.trials.arms import missing
from dermsynth.trials.fidelity import measure_fidelity
from dermsynth.trials.jobs import Watch, run_jobs
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import Endpoint, Verdict, judge
from dermsynth.trials.work import plan

PROTOCOL, INDEX, VERDICT, FIDELITY = "protocol.yaml", "index.json", "verdict.json", "fidelity.json"
AUDIT, REPORT, JOBS = "audit.json", "report.html", "jobs"
_CONCLUSIONS = (artefacts.CARD, REPORT, AUDIT, FIDELITY, VERDICT)
_FILES = (*_CONCLUSIONS, INDEX, PROTOCOL)


def run_trial(
    protocol: Protocol,
    out: Path | str,
    *,
    threads: int | None = None,
    executor: Executor | None = None,
    force: bool = False,
    watch: Watch = lambda states: None,
) -> Verdict:
    """Run a trial into the folder `out` and return its verdict.

    Args:
        protocol: What to do.
        out: `protocol.yaml`, `jobs/` (a folder per job), `index.json`, `audit.json`, `verdict.json`, `fidelity.json`
            and `card.json`.
        threads: Worker processes of one thread each; all cores by default. Numbers do not depend on it, because every
            job runs on one thread: two jobs side by side finish sooner than one job on two threads.
        executor: Runs the jobs instead of local processes; its workers must see `out`.
        force: Run from nothing, deleting the trial in `out` (its files, not others beside them).
        watch: Called several times a second with every job and its state: waiting, running or done.

    Raises:
        ArtefactError: `out` holds something else, and `force` is false.
        LeakageError: the audit of the cohort finds an error.
        ConfigError: no class is smaller than `fill_to`.
        InterruptedRunError: Ctrl-C while jobs run in local processes; the same call continues.
    """
    out = Path(out).absolute()
    jobs, index = plan(protocol)  # opens the source, so a wrong path ends here, with nothing touched
    _check_folder(protocol, out, force=force)
    with artefacts.explained_disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        with alone_in(out):
            if force:
                _clear(out)
            declared = {out / PROTOCOL: protocol.to_yaml().encode(), out / INDEX: artefacts.json_bytes(index)}
            if any(not path.is_file() or path.read_bytes() != data for path, data in declared.items()):
                # Other jobs than before (their inputs or dermsynth changed): what followed from them goes first.
                for name in _CONCLUSIONS:
                    (out / name).unlink(missing_ok=True)
                artefacts.write_together(declared)

            def run(pool: Executor) -> None:
                # The cohort first: whether it can be used is known before hours are spent.
                waiting = dict.fromkeys(jobs, "waiting")
                run_jobs(jobs[:1], out / JOBS, pool, watch=lambda states: watch({**waiting, **states}))
                _check_cohort(protocol, open_cohort(out), out)
                run_jobs(jobs, out / JOBS, pool, watch=watch)

            if executor is not None:
                run(executor)
            else:
                _run_locally(run, threads or cores(), out)
            verdict = _judge(protocol, out, index)
            artefacts.write_json(out / VERDICT, verdict.to_json())
            if index["runs"]:
                artefacts.write_json(out / FIDELITY, measure_fidelity(out, index, protocol.seed))
            _write_card(out, protocol)
    return verdict


def judge_trial(out: Path | str) -> Verdict:
    """Judge a finished trial again from its prediction files and its frozen protocol, and return the verdict."""
    from dermsynth.core.config import load_yaml

    out = Path(out)
    artefacts.read_card(out, "trial")
    protocol = load_yaml(Protocol, out / PROTOCOL)
    verdict = _judge(protocol, out, json.loads((out / INDEX).read_text(encoding="utf-8")))
    artefacts.write_json(out / VERDICT, verdict.to_json())
    return verdict


def open_cohort(out: Path) -> Cohort:
    """Return the cohort of a trial."""
    return Cohort.open(out / json.loads((out / INDEX).read_text(encoding="utf-8"))["cohort"])


def _check_folder(protocol: Protocol, out: Path, *, force: bool) -> None:
    """Raise ArtefactError unless `out` is free, or holds this trial, or `force` may replace the trial in it."""
    if not out.exists() or (out.is_dir() and not any(path.name[0] != "." for path in out.iterdir())):
        return
    known = out / PROTOCOL
    # A process killed in _clear may leave some of a trial's files; with other files beside it, a YAML file is no trial.
    foreign = [path.name for path in out.iterdir() if path.name not in {JOBS, *_FILES} and path.name[0] != "."]
    if not known.is_file() or (foreign and not (out / INDEX).is_file()):
        raise ArtefactError(f"{out}: already exists and is no trial; choose another --out")
    if not force and known.read_text(encoding="utf-8") != protocol.to_yaml():
        raise ArtefactError(
            f"{out}: holds a trial with another protocol (see {known}); choose another --out, or --force to replace it"
        )


def _clear(out: Path) -> None:
    """Delete what a trial writes into its folder, and nothing else."""
    shutil.rmtree(out / JOBS, ignore_errors=True)
    for name in _FILES:
        (out / name).unlink(missing_ok=True)


def _check_cohort(protocol: Protocol, cohort: Cohort, out: Path) -> None:
    """Write `audit.json`; raise LeakageError for an error in it, ConfigError if no class is smaller than `fill_to`."""
    findings = audit_cohort(cohort)
    artefacts.write_json(out / AUDIT, [finding.to_json() for finding in findings])
    for finding in findings:
        # A leaky split is declared in the protocol, and marked in verdict and report.
        if finding.severity == "error" and not (cohort.leaky and finding.finding.endswith("in two parts")):
            raise LeakageError(f"{cohort.path}: {finding.finding} ({finding.count}): {finding.detail}")
    if not sum(missing(cohort, protocol.fill_to).values()):
        smallest = min(cohort.part("train").counts().values())
        raise ConfigError(
            f"fill_to is {protocol.fill_to}, but the smallest class has {smallest} training images already, so no arm "
            "would be enlarged; choose a larger number"
        )


def _write_card(out: Path, protocol: Protocol) -> None:
    """Complete the trial; its card vouches for what the verdict follows from, the fits have cards of their own."""
    files = {
        name: {"bytes": (out / name).stat().st_size, "sha256": artefacts.sha256_of(out / name)}
        for name in (PROTOCOL, INDEX)
    }
    card = {"kind": "trial", "dermsynth": __version__, "protocol_sha256": protocol.digest()}
    artefacts.write_json(out / artefacts.CARD, {**card, "versions": artefacts.versions(), "files": files})


def _judge(protocol: Protocol, out: Path, index: Mapping[str, Any]) -> Verdict:
    fits = {
        arm: {int(seed): out / folder for seed, folder in by_seed.items()} for arm, by_seed in index["fits"].items()
    }
    first = {arm: next(iter(by_seed.values())) for arm, by_seed in fits.items()}
    return judge(
        fits,
        Endpoint(**protocol.endpoint.model_dump(), seed=protocol.seed),
        control=protocol.control,
        treatment=protocol.treatment,
        name=protocol.name,
        generators=len(index["runs"]),
        train_counts={arm: artefacts.read_card(folder, "fit")["train_counts"] for arm, folder in first.items()},
        leaky=Cohort.open(out / index["cohort"]).leaky,
    )


def _run_locally(run: Callable[[Executor], None], count: int, out: Path) -> None:
    # Spawned, not forked: a forked child of a process that has threads may hang, and inherits torch's thread settings.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)
    others = set(multiprocessing.active_children())
    try:
        run(pool)
    except BaseException as error:
        # Nobody waits for what still runs: a generator in training saves its state, other jobs leave nothing.
        workers = [child for child in multiprocessing.active_children() if child not in others]
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedRunError(
                f"stopped; what is done is kept in {out}: run the same command again to continue"
            ) from None
        if isinstance(error, BrokenProcessPool):
            raise DermsynthError(
                f"a worker process died, perhaps for want of memory; what is done is kept in {out}: "
                "run the same command again, with fewer --threads if memory is short "
                "(a script must call this below if __name__ == '__main__')"
            ) from None
        raise
    pool.shutdown()


def _start_worker() -> None:
    """Set up a worker process: one thread, no reaction to Ctrl-C (the parent decides), no life after the parent."""
    from dermsynth.training.device import set_threads

    set_threads(1)
    logging.getLogger("dermsynth").addHandler(logging.NullHandler())  # the report tells what the monitors noticed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
