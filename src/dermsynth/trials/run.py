"""Run a trial: its jobs, then the verdict. What is done is never done twice; the same call continues a stopped one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from dermsynth import __version__
from dermsynth.audits.cohort import audit_cohort
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.cores import cores
from dermsynth.core.errors import ArtefactError, InterruptedRunError, LeakageError
from dermsynth.core.locks import alone_in
from dermsynth.trials.compare import differing, flat
from dermsynth.trials.estimates import Known, check_disk
from dermsynth.trials.executors import LOCAL, workers_of
from dermsynth.trials.fidelity import measure_fidelity
from dermsynth.trials.jobs import Job, State, Watch, run_jobs, with_inputs
from dermsynth.trials.judging import judge_folder
from dermsynth.trials.plan import check_against, plan
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.status import STATUS, Recorder
from dermsynth.trials.verdict import Verdict

PROTOCOL, INDEX, VERDICT, FIDELITY = "protocol.yaml", "index.json", "verdict.json", "fidelity.json"
AUDIT, REPORT, JOBS = "audit.json", "report.html", "jobs"
_CONCLUSIONS = (artefacts.CARD, REPORT, AUDIT, FIDELITY, VERDICT)
_FILES = (*_CONCLUSIONS, INDEX, PROTOCOL, STATUS)


def run_trial(
    protocol: Protocol,
    out: Path | str,
    *,
    threads: int | None = None,
    executor: Executor | str = LOCAL,
    jobs: Path | str | None = None,
    force: bool = False,
    watch: Watch = lambda states: None,
) -> Verdict:
    """Run a trial into the folder `out` and return its verdict.

    Args:
        protocol: What to do.
        out: `protocol.yaml`, `jobs/` (a folder per job, their logs and costs), `index.json`, `status.json`,
            `audit.json`, `verdict.json`, `fidelity.json` and `card.json`.
        threads: Worker processes of one thread each; all cores by default. Numbers do not depend on it, because every
            job runs on one thread: two jobs side by side finish sooner than one job on two threads.
        executor: `local`, `dask://HOST:PORT`, `slurm[:…]` (see `dermsynth.trials.executors`), or an executor; its
            workers must see `out` and `jobs` under the same paths.
        jobs: The folder of the jobs, in place of `out/jobs`. Trials that share it share what is the same in them.
        force: Run from nothing, deleting the trial in `out` (its files, not others beside them). A folder of jobs
            outside of it is left as it is.
        watch: Called several times a second with every job and its state.

    Raises:
        ArtefactError: `out` holds something else, and `force` is false.
        LeakageError: the audit of the cohort finds an error.
        ConfigError: what is declared cannot be done with this cohort, or the executor does not answer.
        DermsynthError: a job failed; the others are done. The same call tries it again.
        InterruptedRunError: Ctrl-C; the same call continues.
    """
    out = Path(out).absolute()
    planned, index = plan(protocol)  # opens the source, so a wrong path ends here, with nothing touched
    _check_folder(protocol, out, force=force)
    folder = Path(jobs).absolute() if jobs is not None else out / JOBS if force else jobs_folder(out)
    index = _relocated(index, os.path.relpath(folder, out))
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
            count = threads or cores()
            name = executor if isinstance(executor, str) else type(executor).__name__
            recorder = Recorder(out, with_inputs(planned), folder, name, count if executor == LOCAL else None)

            def show(states: Mapping[Job, State]) -> None:
                recorder(states)
                watch({**recorder.states, **states})

            with _recorded(recorder, out):
                with workers_of(executor, count, folder) as workers:
                    # The cohort first: whether it can be used is known before hours are spent.
                    run_jobs(planned[:1], folder, workers, watch=show)
                    cohort = open_cohort(out)
                    _check_cohort(protocol, cohort, out)
                    left = [job for job in with_inputs(planned) if not (folder / job.folder).exists()]
                    check_disk(left, Known.of(cohort), folder)
                    run_jobs(planned, folder, workers, watch=show)
                verdict = judge_folder(protocol, out, index)
                artefacts.write_json(out / VERDICT, verdict.to_json())
                if index["runs"]:
                    artefacts.write_json(out / FIDELITY, measure_fidelity(out, index, protocol.seed))
                _write_card(out, protocol)
    return verdict


def judge_trial(out: Path | str) -> Verdict:
    """Judge a finished trial again from its prediction files and `protocol.yaml`, and return the verdict.

    Where that file is no longer what ran, the verdict says what was changed.
    """
    from dermsynth.core.config import load_yaml

    out = Path(out)
    ran = artefacts.read_card(out, "trial")["protocol"]
    protocol = load_yaml(Protocol, out / PROTOCOL)
    sides = {"was": flat(ran), "is": flat(protocol.canonical())}
    edited = {key: (row["was"], row["is"]) for key, row in differing(sides).items()}
    index = json.loads((out / INDEX).read_text(encoding="utf-8"))
    verdict = judge_folder(protocol, out, index, edited=edited)
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


def jobs_folder(out: Path) -> Path:
    """Return where the jobs of the trial in `out` are, or will be if none is there."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        known = json.loads((out / INDEX).read_text(encoding="utf-8"))["cohort"]
        return Path(os.path.normpath(out.absolute() / known)).parent
    return out.absolute() / JOBS


def _relocated(index: Any, folder: str) -> Any:
    """Return an index with `folder`, as it is reached from the trial's, in place of `jobs`."""
    if isinstance(index, dict):
        return {key: _relocated(value, folder) for key, value in index.items()}
    if isinstance(index, list):
        return [_relocated(value, folder) for value in index]
    return f"{folder}/{index.removeprefix(f'{JOBS}/')}" if isinstance(index, str) else index


def _clear(out: Path) -> None:
    """Delete what a trial writes into its folder, and nothing else."""
    shutil.rmtree(out / JOBS, ignore_errors=True)
    for name in _FILES:
        (out / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _recorded(recorder: Recorder, out: Path) -> Iterator[None]:
    """Note in the status file how the block ended; turn Ctrl-C into an error that says how to continue."""
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError):
        recorder.end("stopped")
        raise InterruptedRunError(
            f"stopped; what is done is kept in {out}: run the same command again to continue"
        ) from None
    except Exception as error:
        recorder.end("failed", " ".join(str(error).split()))
        raise
    recorder.end("finished")


def _check_cohort(protocol: Protocol, cohort: Cohort, out: Path) -> None:
    """Write `audit.json`; raise LeakageError for an error in it, ConfigError for what the cohort cannot give."""
    findings = audit_cohort(cohort)
    artefacts.write_json(out / AUDIT, [finding.to_json() for finding in findings])
    for finding in findings:
        # A leaky split is declared in the protocol, and marked in verdict and report.
        if finding.severity == "error" and not (cohort.leaky and finding.finding.endswith("in two parts")):
            raise LeakageError(f"{cohort.path}: {finding.finding} ({finding.count}): {finding.detail}")
    check_against(protocol, cohort)


def _write_card(out: Path, protocol: Protocol) -> None:
    """Complete the trial; its card vouches for what the verdict follows from, the fits have cards of their own."""
    files = {
        name: {"bytes": (out / name).stat().st_size, "sha256": artefacts.sha256_of(out / name)} for name in (INDEX,)
    }
    card = {"kind": "trial", "dermsynth": __version__, "protocol": protocol.canonical()}
    artefacts.write_json(out / artefacts.CARD, {**card, "versions": artefacts.versions(), "files": files})
