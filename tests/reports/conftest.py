"""A fabricated trial folder that the tests of this folder share; what a test changes, it fabricates itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated import fabricate


@pytest.fixture(scope="session")
def finished_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete small trial folder; only to be read."""
    return fabricate(tmp_path_factory.mktemp("trials") / "complete")
