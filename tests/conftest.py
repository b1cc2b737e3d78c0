"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("DERMSYNTH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs real images: {folder} is absent (set DERMSYNTH_DATA)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread_from_the_start() -> None:
    """Let fixtures of whole files, which are made before those of a test, have one thread too."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread(_one_thread_from_the_start: None) -> None:
    """Several test processes share the cores; more threads than cores would only wait for each other.

    For every test anew: a command that a test runs sets the threads of this process.
    """
    import torch

    torch.set_num_threads(1)
