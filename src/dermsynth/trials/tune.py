"""Search the values of a protocol's keys that do best on val, with the same number of tries for every arm.

A try fits an arm once per repeat and scores it by the endpoint's metric on val. The test part is not there: every job
reads a copy of the cohort without it (`dermsynth.trials.hidden`). Tries are suggested by Optuna's TPE sampler (Bergstra
et al. 2011), seeded for each try by its number, so a search that was stopped goes on as if it had not been. The first
try has the protocol's own values. Several processes may search in one folder at once: they share tries and jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsynth.classifiers.aligned import read_aligned
from dermsynth.core import artefacts
from dermsynth.core.config import Config, digest_of, nearest
from dermsynth.core.cores import cores
from dermsynth.core.errors import ArtefactError, ConfigError, DermsynthError, InterruptedRunError, LeakageError
from dermsynth.core.locks import alone_in
from dermsynth.core.randomness import key
from dermsynth.metrics import scores
from dermsynth.trials.executors import LOCAL, workers_of
from dermsynth.trials.hidden import without_test
from dermsynth.trials.jobs import Workers, run_jobs
from dermsynth.trials.plan import plan
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.space import Choice, Range, Space, laid_over
from dermsynth.trials.task import this_process
from dermsynth.trials.tries import REASON, Try, Tuning, as_try, storage_of, stored, suggested

if TYPE_CHECKING:
    from optuna import Study, Trial

DECLARED, JOBS, JOURNAL = "tuning.json", "jobs", "study.journal"
_WORKERS, _WORKER = "workers", "worker"
_SCORES = {"balanced_accuracy": scores.balanced_accuracy}


Tell = Callable[[Try], None]


def tune(
    protocol: Protocol,
    space: Space,
    out: Path | str,
    *,
    trials: int,
    arms: Sequence[str] = (),
    storage: str | None = None,
    threads: int | None = None,
    executor: Executor | str = LOCAL,
    tell: Tell = lambda found: None,
) -> Tuning:
    """Try values for every arm until each has had `trials` tries, and return all of them.

    The same call continues a stopped search, also from several processes at once.

    Args:
        protocol: What is tuned.
        space: What may change (`dermsynth.trials.space.parse_space`).
        out: The folder that is worked in: `tuning.json` (what was asked), `jobs/`, and the study unless `storage` says
            where.
        trials: Tries for each arm.
        arms: Which; all that anything in `space` acts on by default.
        storage: Where the tries are kept: a database's URL, a `.db` or `.sqlite` file, or a journal file; in `out` by
            default.
        threads: Worker processes for the fits of one try; all cores by default.
        executor: As for `run_trial`.
        tell: Called with every try that ends.

    Raises:
        ConfigError: an unknown arm, one that nothing in `space` acts on, no optuna, or no try that succeeded.
        ArtefactError: `out` holds another search.
        InterruptedRunError: Ctrl-C; the same call continues.
    """
    _need_optuna()
    out = Path(out).absolute()
    # What is only looked at after the fits would cost time and cannot change a score on val.
    alone = protocol.changed(tests={}, classifiers={}, subgroups=())
    search = _Search(alone, list(space), out, trials, _chosen(alone, space, arms))
    with artefacts.explained_disk_errors(out):
        _declare(search)
        search.open(storage)
        with (
            _worker(out) as worker,
            workers_of(executor, threads or cores(), out / JOBS) as workers,
        ):
            try:
                while (claimed := search.claim(worker)) is not None:
                    tell(search.run(*claimed, workers))
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    f"stopped; what is done is kept in {out}: run the same command again to continue"
                ) from None
        found = search.state()
    if found.finished and not any(one.state == "done" for one in found.tries):
        raise ConfigError(f"no try succeeded; the first one: {found.tries[0].reason}")
    return found


def _need_optuna() -> None:
    try:
        import optuna
    except ImportError:
        raise ConfigError("tuning needs optuna, which is not installed: pip install 'dermsynth[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _chosen(protocol: Protocol, space: Space, arms: Sequence[str]) -> tuple[str, ...]:
    """Return the arms that are tuned: those asked for, or all that have a job which depends on a key."""
    names = [arm.name for arm in protocol.arms]
    for arm in arms:
        if arm not in names:
            raise ConfigError(f"--arm {arm}: no such arm; {nearest(arm, names)}")
    base = plan(protocol)[1]["fits"]
    touched = {
        arm
        for knob in space
        for value in knob.ends
        for arm, fits in plan(laid_over(protocol, {knob.key: value}, "--over"))[1]["fits"].items()
        if fits != base[arm]
    }
    for arm in arms:
        if arm not in touched:
            keys = ", ".join(knob.key for knob in space)
            raise ConfigError(f"--arm {arm}: no fit of it depends on {keys}; leave the arm out, or tune another key")
    return tuple(dict.fromkeys(arms)) or tuple(name for name in names if name in touched)


def _declare(search: _Search) -> None:
    """Write what is asked into the folder; ArtefactError if it holds something else."""
    out, path = search.out, search.out / DECLARED
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out, wait=True):  # of two that start at once, one declares
        if path.is_file():
            if path.read_bytes() != artefacts.json_bytes(search.declared):
                what = "another protocol, space or arms"
                raise ArtefactError(f"{out}: holds a search with {what}; choose another --out")
        elif any(out.iterdir()):
            raise ArtefactError(f"{out}: already exists and is no search; choose another --out")
        else:
            artefacts.write_json(path, search.declared)
        (out / _WORKERS).mkdir(exist_ok=True)


@contextmanager
def _worker(out: Path) -> Iterator[str]:
    """Yield this process's name among those that search; while it lives, nobody takes its try for dead."""
    name = f"{this_process()}-{time.time_ns()}"
    file = out / _WORKERS / name
    file.touch()
    try:
        with alone_in(file):
            yield name
    finally:
        file.unlink(missing_ok=True)


class _Search:
    """The studies of all arms, and what a try does."""

    def __init__(
        self, protocol: Protocol, space: list[Range | Choice], out: Path, wanted: int, arms: tuple[str, ...]
    ) -> None:
        self.protocol, self.space, self.out, self.wanted, self.arms = protocol, space, out, wanted, arms
        self.declared = {
            "protocol": protocol.canonical(),
            "space": [knob.canonical() for knob in space],
            "arms": list(arms),
        }
        self.own = {knob.key: _value_at(protocol, knob.key) for knob in space}
        self._studies: dict[str, Study] = {}

    def open(self, storage: str | None) -> None:
        """Open or make a study for each arm, the first try of which has the protocol's own values."""
        import optuna

        with alone_in(self.out / DECLARED, wait=True):  # of two that start at once, one makes the database
            opened = storage_of(storage, self.out / JOURNAL)
            for arm in self.arms:
                name = f"{self.protocol.name}, {arm}, {digest_of(self.declared)[:12]}"
                study = optuna.create_study(storage=opened, study_name=name, direction="maximize", load_if_exists=True)
                if not study.get_trials(deepcopy=False) and all(knob.holds(self.own[knob.key]) for knob in self.space):
                    study.enqueue_trial({knob.key: stored(knob, self.own[knob.key]) for knob in self.space})
                self._studies[arm] = study

    def claim(self, worker: str) -> tuple[str, Trial, dict[str, Any]] | None:
        """Return the next try, of the arm that has had the fewest; None if all have had theirs."""
        import optuna

        with alone_in(self.out / DECLARED, wait=True):
            counts = {}
            for arm, study in self._studies.items():
                self._give_up_the_dead(study)
                tries = [as_try(arm, one) for one in study.get_trials(deepcopy=False) if one.params]
                counts[arm] = sum(one.state != "killed" for one in tries)
            arm = min(counts, key=lambda name: counts[name])
            if counts[arm] >= self.wanted:
                return None
            seed = key(self.protocol.seed, f"tune {arm}", counts[arm]) % 2**32
            self._studies[arm].sampler = optuna.samplers.TPESampler(seed=seed)
            trial = self._studies[arm].ask()
            trial.set_user_attr(_WORKER, worker)
            return arm, trial, {knob.key: suggested(trial, knob) for knob in self.space}

    def run(self, arm: str, trial: Trial, values: Mapping[str, Any], workers: Workers) -> Try:
        """Fit the arm with these values, and note its score or why there is none."""
        from optuna.trial import TrialState

        study = self._studies[arm]
        try:
            score = self.score(arm, laid_over(self.protocol, values, f"{arm}, try {trial.number}"), workers)
        except (InterruptedRunError, ArtefactError, LeakageError):
            raise
        except DermsynthError as error:
            # Of values that cannot be used together, or with which training diverges, the search should learn.
            trial.set_user_attr(REASON, str(error))
            told = study.tell(trial, state=TrialState.FAIL)
        else:
            told = study.tell(trial, score)
        return as_try(arm, told)

    def score(self, arm: str, protocol: Protocol, workers: Workers) -> float:
        """Fit an arm without the test part, and return the endpoint's metric on val, the mean over repeats."""
        jobs, index = plan(protocol)
        by_folder = {f"{JOBS}/{job.folder}": job for job in jobs}
        fits = without_test(by_folder[folder] for folder in index["fits"][arm].values())
        run_jobs(fits, self.out / JOBS, workers)
        metric = _SCORES[protocol.endpoint.metric]
        found = read_aligned((self.out / JOBS / fit.folder for fit in fits), "val")
        return float(np.mean([metric(one.labels, one.predicted, len(one.classes)) for one in found]))

    def state(self) -> Tuning:
        """Return all tries so far."""
        tries = [
            as_try(arm, one)
            for arm, study in self._studies.items()
            for one in study.get_trials(deepcopy=False)
            if one.params
        ]
        return Tuning(
            metric=self.protocol.endpoint.metric,
            wanted=self.wanted,
            arms=self.arms,
            space=tuple(self.space),
            own=self.own,
            tries=tuple(tries),
        )

    def _give_up_the_dead(self, study: Study) -> None:
        """Mark the tries whose process is gone, and let their values be tried again."""
        from optuna.trial import TrialState

        for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if not self._is_alive(str(one.user_attrs.get(_WORKER, ""))):
                study.tell(one.number, state=TrialState.FAIL)
                if len(one.params) == len(self.space):
                    study.enqueue_trial(one.params)

    def _is_alive(self, worker: str) -> bool:
        file = self.out / _WORKERS / worker
        if not worker or not file.is_file():
            return False
        try:
            with alone_in(file):
                return False
        except ArtefactError:
            return True


def _value_at(protocol: Protocol, path: str) -> Any:
    """Return the protocol's own value under a dotted key."""
    from dermsynth.algorithms import algorithm_class

    value: Any = protocol
    for name in path.split("."):
        if isinstance(value, dict) and name not in value:
            # Settings of a generator that are not set have the algorithm's defaults.
            value = algorithm_class(protocol.generator.algorithm).Config(**protocol.generator.settings)
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value.canonical() if isinstance(value, Config) else value
