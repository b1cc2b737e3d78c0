"""What printed numbers say about each other: exact where whole images are counted, intervals where digits are cut off.

`audit_paper` reads a `Paper` (its tables, sets and claims, written down as YAML) and returns its findings. No check
knows a paper: what a check needs is in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from dermsynth.audits.paper import claims, counts, identities, repeats, sets, shares
from dermsynth.audits.paper.finding import SEVERITIES, Finding, Severity, by_severity
from dermsynth.audits.paper.model import Paper
from dermsynth.core.config import load_yaml, nearest, parse, read_yaml
from dermsynth.core.errors import ConfigError

__all__ = [
    "SEVERITIES",
    "TEMPLATE",
    "Finding",
    "Paper",
    "Severity",
    "audit_paper",
    "example",
    "example_names",
    "example_text",
    "load_paper",
]

TEMPLATE = "template"
_EXAMPLES = files("dermsynth.audits.paper") / "examples"

CHECKS: tuple[Callable[[Paper, sets.Sets], Iterator[Finding]], ...] = (
    sets.synthetic_tests,
    counts.matrices,
    counts.prevalences,
    counts.fractions_of_n,
    repeats.printed_matrices,
    repeats.repeated_cells,
    repeats.relabelled_cells,
    repeats.copied_cells,
    identities.f1_from_precision_and_recall,
    identities.accuracy_from_recalls,
    identities.averages_over_classes,
    shares.denominators,
    claims.comparisons,
    claims.validation_against_test,
    claims.trends,
    claims.few_images,
)


def audit_paper(paper: Paper) -> list[Finding]:
    """Return what the printed numbers of a paper say about each other, the impossible first."""
    known = sets.Sets(paper)
    return by_severity([*known.findings, *(finding for check in CHECKS for finding in check(paper, known))])


def load_paper(path: Path) -> Paper:
    """Read the numbers of a paper; raises ConfigError in one line that names the key, the value and what to do."""
    return load_yaml(Paper, path)


def example_names() -> tuple[str, ...]:
    """Return the names of the papers that come with dermsynth."""
    return tuple(
        sorted(file.name.removesuffix(".yaml") for file in _EXAMPLES.iterdir() if file.name != "template.yaml")
    )


def example_text(name: str) -> str:
    """Return the YAML of an example, or of `TEMPLATE`; raises ConfigError for an unknown name."""
    if name not in (*example_names(), TEMPLATE):
        raise ConfigError(f"no example '{name}': {nearest(name, example_names())}")
    return (_EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")


def example(name: str) -> Paper:
    """Return an example as a paper."""
    return parse(Paper, read_yaml(example_text(name), name), name)
