"""Fabricated trial folders that the tests of this folder share; what a test changes, it fabricates itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated import GRID, add_costs, fabricate


@pytest.fixture(scope="session")
def finished_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete small trial folder; only to be read."""
    return fabricate(tmp_path_factory.mktemp("trials") / "complete")


@pytest.fixture(scope="session")
def rich_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial with a grid of arms, looks elsewhere and costs; only to be read."""
    folder = tmp_path_factory.mktemp("trials") / "rich"
    arms = ("real", "oversampled", "hybrid", "placebo", *GRID)
    fabricate(folder, seeds=(0, 1), arms=arms, test_images=200, size_px=16, looked_elsewhere=True)
    add_costs(folder)
    return folder
