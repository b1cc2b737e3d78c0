"""Small jobs for tests of what runs jobs; a module of its own, so that other processes can import them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermsynth.core.artefacts import creating
from dermsynth.core.errors import InputError
from dermsynth.trials.jobs import Job


def add_up(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Write the sum of the inputs' numbers and one's own; print it."""
    total = config["number"] + sum(int((path / "number").read_text()) for path in inputs.values())
    sys.stdout.write(f"the sum is {total}\n")
    sys.stderr.write("and this is a complaint\n")
    with creating(out, "note") as draft:
        (draft.path / "number").write_text(str(total))


def fail(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Fail as a job does that was given a bad file."""
    with Path(config["tries"]).open("a") as file:
        file.write("x")
    raise InputError("row 7 is bad")


def break_down(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Fail as a job does that has a mistake in it."""
    raise ZeroDivisionError("division by zero")


def die(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Be killed the first so many times."""
    with Path(config["tries"]).open("a") as file:
        file.write("x")
    if Path(config["tries"]).stat().st_size <= config["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    add_up(config, inputs, out)


def wait(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Say which process has begun, then wait until told to go on."""
    (Path(config["signs"]) / f"begun-{os.getpid()}").touch()
    while not (Path(config["signs"]) / "go").exists():
        time.sleep(0.02)
    add_up(config, inputs, out)


def job(work: Any, name: str, number: int = 1, needs: tuple[Job, ...] = (), **config: Any) -> Job:
    """Return a job."""
    inputs = {f"input {place}": needed for place, needed in enumerate(needs)}
    return Job("note", work, {"name": name, "number": number, **config}, inputs, name)


def number(root: Path, made: Job) -> int:
    """Return what `add_up` wrote."""
    return int((root / made.folder / "number").read_text())
