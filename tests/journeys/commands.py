"""Running `dermsynth` as a user does: its exit code and what it prints."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

from dermsynth.cli import main

TRIAL = """
name: smoke
repeats: 2
cohort:
  source: {kind: phantom, counts: {bkl: 30, mel: 40, nv: 60}}
  size_px: 32
  split: {val: 0.25, test: 0.35}
generator:
  settings: {width: 2, batch_size: 8}
  training: {budget_kimg: 0.4, snapshots: 2}
fill_to: 30
arms: [real, classical, oversampled, hybrid, placebo, oracle]
classifier: {width: 2, budget_kimg: 0.3, evaluations: 2}
endpoint: {smallest_difference: 0.05, resamples: 200}
"""


@dataclass(frozen=True)
class Printed:
    """What a command printed."""

    stdout: str
    stderr: str


def dermsynth(*arguments: str | Path, cwd: Path, code: int | tuple[int, ...] = 0) -> Printed:
    """Run a command in this process (torch is imported once), check its exit code and return what it printed."""
    out, error = io.StringIO(), io.StringIO()
    threads = torch.get_num_threads()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        mock.patch.object(sys, "argv", ["dermsynth", *map(str, arguments)]),
    ):
        try:
            main()
            found = 0
        except SystemExit as end:
            found = end.code or 0
        finally:
            torch.set_num_threads(threads)
    assert found in (code if isinstance(code, tuple) else (code,)), (
        f"exit code {found}\n{out.getvalue()}\n{error.getvalue()}"
    )
    return Printed(out.getvalue(), error.getvalue())


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start a command as a process of its own and return it."""
    return subprocess.Popen(
        [sys.executable, "-c", "from dermsynth.cli import main; main()", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        # Whatever a shell starts in the background ignores Ctrl-C, and so does what that starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def one_line(error: str) -> str:
    """Return an error message after checking that it is one line."""
    lines = [line for line in error.splitlines() if line.strip()]
    assert len(lines) == 1, error
    return lines[0]
