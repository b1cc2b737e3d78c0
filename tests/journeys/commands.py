"""Running `dermsynth` as a user does: another process, its exit code and what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-c", "from dermsynth.cli import main; main()"]

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


def dermsynth(*arguments: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, check its exit code and return what it printed."""
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=environment(), check=False
    )
    assert result.returncode == code, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start a command and return its process."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def environment() -> dict[str, str]:
    """Return the environment with one thread per process, since tests run side by side."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def one_line(error: str) -> str:
    """Return an error message after checking that it is one line."""
    lines = [line for line in error.splitlines() if line.strip()]
    assert len(lines) == 1, error
    return lines[0]
