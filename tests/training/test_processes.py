"""A batch that is divided among processes or computed in parts trains the same networks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training.together import run

from dermsynth.core.errors import ConfigError
from dermsynth.training import checkpoint

ROOT = Path(__file__).parents[2]


def networks(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "networks.safetensors")[0]


def assert_close(a: Path, b: Path) -> None:
    ours, theirs = networks(a), networks(b)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-5)


def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    # A gradient penalty under DistributedDataParallel would leave each process with gradients of its own.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.training.together", str(tmp_path / "two")]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert_close(tmp_path / "two", run(tmp_path / "one"))


def test_a_batch_in_parts_trains_what_a_whole_batch_trains(tmp_path: Path) -> None:
    assert_close(run(tmp_path / "parts", accumulate=4), run(tmp_path / "whole"))


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"batch_size 8 cannot be divided by 3 .*choose 6 or 9"):
        run(tmp_path / "run", accumulate=3)
