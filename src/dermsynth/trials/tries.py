"""The tries of a search as plain values, and how they are kept: optuna's storages, shared by several processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dermsynth.core.config import Config
from dermsynth.core.errors import ConfigError
from dermsynth.trials.space import Choice, Range

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

State = Literal["done", "failed", "killed", "running"]
REASON = "reason"
"""The attribute of a failed try that says why."""


class Try(Config):
    """One set of values for one arm.

    Attributes:
        number: From 0, within the arm.
        state: `failed`: these values cannot be used; it counts as a try. `killed`: its process died; the values are
            tried again, and this one does not count.
        score: The endpoint's metric on val, mean over the repeats; None unless done.
        values: By dotted key.
        reason: Why it failed.
        wall_s: Seconds.
    """

    arm: str
    number: int
    state: State
    score: float | None
    values: dict[str, Any]
    reason: str = ""
    wall_s: float | None = None


class Tuning(Config):
    """The state of a search.

    Attributes:
        metric: What the score is.
        own: The protocol's own values, by key.
        wanted: Tries for each arm.
        tries: All of them.
    """

    metric: str
    wanted: int
    arms: tuple[str, ...]
    space: tuple[Range | Choice, ...]
    own: dict[str, Any]
    tries: tuple[Try, ...]

    def of(self, arm: str) -> list[Try]:
        """Return an arm's tries in order."""
        return [one for one in self.tries if one.arm == arm]

    def best(self, arm: str) -> Try | None:
        """Return the try with the highest score, of equal ones the first; None if none is done."""
        done = [one for one in self.of(arm) if one.score is not None]
        return max(done, key=lambda one: one.score or 0.0, default=None)

    def own_score(self, arm: str) -> float | None:
        """Return the score of the protocol's own values; None if they were not tried."""
        return next((one.score for one in self.of(arm) if one.values == self.own and one.score is not None), None)

    @property
    def finished(self) -> bool:
        """Return whether every arm has had its tries."""
        return all(sum(one.state in ("done", "failed") for one in self.of(arm)) >= self.wanted for arm in self.arms)


def as_try(arm: str, found: FrozenTrial) -> Try:
    """Return a try as optuna keeps it; one that failed without a reason was killed."""
    from optuna.trial import TrialState

    reason = str(found.user_attrs.get(REASON, ""))
    if found.state == TrialState.COMPLETE:
        state: State = "done"
    elif found.state == TrialState.FAIL:
        state = "failed" if reason else "killed"
    else:
        state = "running"
    values = {name: json.loads(value) if isinstance(value, str) else value for name, value in found.params.items()}
    return Try(
        arm=arm,
        number=found.number,
        state=state,
        score=found.value if state == "done" else None,
        values=values,
        reason=reason,
        wall_s=None if found.duration is None else round(found.duration.total_seconds(), 1),
    )


def suggested(trial: Trial, knob: Range | Choice) -> Any:
    """Return the value that optuna suggests for a key."""
    if isinstance(knob, Choice):
        return json.loads(trial.suggest_categorical(knob.key, [stored(knob, value) for value in knob.values]))
    if knob.whole:
        return trial.suggest_int(knob.key, int(knob.low), int(knob.high), log=knob.log)
    return trial.suggest_float(knob.key, knob.low, knob.high, log=knob.log)


def stored(knob: Range | Choice, value: Any) -> Any:
    """Return a value as optuna keeps it: of a list of values, as JSON, since it takes no lists or blocks."""
    return json.dumps(value) if isinstance(knob, Choice) else value


def storage_of(text: str | None, default: Path) -> BaseStorage:
    """Return what a database's URL, a `.db` or `.sqlite` file, or a journal file stands for; ConfigError if nothing."""
    from optuna.storages import RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    try:
        if text is not None and "://" in text:
            return RDBStorage(text)
        path = Path(text).absolute() if text else default
        if path.suffix in (".db", ".sqlite", ".sqlite3"):
            return RDBStorage(f"sqlite:///{path}")
        return JournalStorage(JournalFileBackend(str(path)))
    except Exception as error:  # of many kinds, by database
        reason = " ".join(str(error).split())
        raise ConfigError(f"--storage {text or default}: cannot be opened ({reason})") from None
