"""The laws of the house that a reader relies on: who imports whom, and that the command line starts fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "dermsynth"
ORDER = [
    "core",
    "metrics",
    "cohorts",
    "encoders",
    "algorithms",
    "training",
    "classifiers",
    "pools",
    "audits",
    "trials",
    "reports",
    "cli",
]
HEAVY = {"torch", "lightning_fabric", "sklearn", "scipy", "matplotlib", "cv2", "PIL", "polars", "numpy"}


def imports_of(file: Path) -> set[str]:
    """Return the dotted names of everything a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_folder_has_its_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_from_those_before_it(folder: str) -> None:
    allowed = set(ORDER[: ORDER.index(folder) + 1])
    for file in (SOURCE / folder).rglob("*.py"):
        for name in imports_of(file):
            parts = name.split(".")
            if parts[0] == "dermsynth" and len(parts) > 1 and parts[1] in ORDER:
                assert parts[1] in allowed, f"{file.relative_to(SOURCE)} imports {name}"


def test_networks_and_metrics_know_no_higher_thing() -> None:
    for file in (SOURCE / "metrics").rglob("*.py"):
        assert not any(name.split(".")[0] == "torch" for name in imports_of(file)), f"{file} reads arrays, not models"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["fit", "--help"], ["trial", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['dermsynth', *{arguments!r}]\n"
        "from dermsynth.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.rstrip().endswith("HEAVY []"), result.stdout[-200:]


def test_test_files_of_folders_that_are_no_packages_have_names_of_their_own() -> None:
    files = [path for path in Path(__file__).parent.rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    names = [path.name for path in files]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
