"""Run a trial: jobs, verdict, report. What is done is never done twice; the same command continues a stopped trial."""

from __future__ import annotations

import json
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

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError, DermsynthError, InterruptedRunError
from dermsynth.trials.fidelity import measure_fidelity
from dermsynth.trials.jobs import Watch, run_jobs
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import Endpoint, Verdict, judge
from dermsynth.trials.work import plan

PROTOCOL, INDEX, VERDICT, FIDELITY = "protocol.yaml", "index.json", "verdict.json", "fidelity.json"


def run_trial(
    protocol: Protocol,
    out: Path,
    *,
    threads: int | None = None,
    executor: Executor | None = None,
    force: bool = False,
    watch: Watch = lambda states: None,
) -> Verdict:
    """Run a trial into the folder `out` and return its verdict.

    Args:
        protocol: What to do.
        out: `protocol.yaml`, `jobs/` (a folder per job), `index.json`, `verdict.json`, `fidelity.json`, `card.json`.
        threads: Worker processes of one thread each; all cores by default. Numbers do not depend on it, because every
            job runs on one thread: two jobs side by side finish sooner than one job on two threads.
        executor: Runs the jobs instead of local processes; its workers must see `out`.
        force: Delete a trial with another protocol in `out`, or run this one again from nothing.
        watch: Called several times a second with every job and its state: waiting, running or done.

    Raises:
        ArtefactError: `out` holds something else, and `force` is false.
        InterruptedRunError: Ctrl-C; the same call continues.
    """
    out = Path(out).absolute()
    _prepare(protocol, out, force=force)
    jobs, index = plan(protocol)
    with artefacts.explained_disk_errors(out):
        artefacts.write_json(out / INDEX, index)
        if executor is not None:
            run_jobs(jobs, out / "jobs", executor, watch=watch)
        else:
            _run_locally(
                lambda pool: run_jobs(jobs, out / "jobs", pool, watch=watch), threads or os.cpu_count() or 1, out
            )
        verdict = _judge(protocol, out, index)
        artefacts.write_json(out / VERDICT, verdict.to_json())
        if index["runs"]:
            artefacts.write_json(out / FIDELITY, measure_fidelity(out, index, protocol.seed))
        facts = {
            "kind": "trial",
            "protocol_sha256": protocol.digest(),
            "versions": artefacts.versions(),
            "files": {},
        }
        artefacts.write_json(out / artefacts.CARD, facts)
    return verdict


def judge_trial(out: Path) -> Verdict:
    """Judge a finished trial again from its prediction files and its frozen protocol, and return the verdict."""
    from dermsynth.core.config import load_yaml

    artefacts.read_card(out, "trial")
    protocol = load_yaml(Protocol, out / PROTOCOL)
    verdict = _judge(protocol, out, json.loads((out / INDEX).read_text(encoding="utf-8")))
    artefacts.write_json(out / VERDICT, verdict.to_json())
    return verdict


def open_cohort(out: Path) -> Cohort:
    """Return the cohort of a trial."""
    return Cohort.open(out / json.loads((out / INDEX).read_text(encoding="utf-8"))["cohort"])


def _prepare(protocol: Protocol, out: Path, *, force: bool) -> None:
    known = out / PROTOCOL
    if out.exists() and any(out.iterdir()):
        if not known.exists():
            raise ArtefactError(f"{out}: already exists and is no trial; choose another --out")
        if force:
            shutil.rmtree(out)
        elif known.read_text(encoding="utf-8") != protocol.to_yaml():
            raise ArtefactError(
                f"{out}: holds a trial with another protocol (see {known}); "
                "choose another --out, or --force to replace it"
            )
    out.mkdir(parents=True, exist_ok=True)
    artefacts.write_atomically(known, protocol.to_yaml().encode())


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
    )


def _run_locally(run: Callable[[Executor], None], workers: int, out: Path) -> None:
    # Spawned, not forked: a forked child of a process that has threads may hang, and inherits torch's thread settings.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        run(pool)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()  # a generator in training saves its state first
        pool.shutdown(wait=True)
        raise InterruptedRunError(
            f"stopped; what is done is kept in {out}: run the same command again to continue"
        ) from None
    except BrokenProcessPool:
        raise DermsynthError(
            f"a worker process died, perhaps for want of memory; what is done is kept in {out}: "
            "run the same command again, with fewer --threads if memory is short"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Set up a worker process: one thread, no reaction to Ctrl-C (the parent decides), no life after the parent."""
    from dermsynth.training.device import set_threads

    set_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
