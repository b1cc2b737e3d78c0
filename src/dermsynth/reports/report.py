"""The report of a trial: one HTML file that needs nothing else, and no network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dermsynth.core.artefacts import explained_disk_errors, write_atomically
from dermsynth.reports import (
    answers,
    audit,
    comparisons,
    costs,
    elsewhere,
    likeness,
    material,
    numbers,
    performance,
    provenance,
    results,
    texts,
)
from dermsynth.reports.evidence import Evidence, read_trial

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT = "report.html"


def write_report(trial: Path) -> Path:
    """Write `report.html` into a finished trial folder and return its path; the same folder gives the same bytes.

    The folder holds `verdict.json`, `index.json`, `protocol.yaml` and the jobs' folders; `fidelity.json` and
    `audit.json` are shown where they exist.

    Raises:
        ArtefactError: a file or a job folder is missing, incomplete or unreadable, or the disk is full.
        InputError: predictions that cannot be used.
    """
    out = Path(trial) / REPORT
    page = render(read_trial(Path(trial)))
    with explained_disk_errors(out):
        write_atomically(out, page.encode())
    return out


def render(evidence: Evidence) -> str:
    """Return the page as text."""
    return environment().get_template("report.html.j2").render(_view(evidence))


def environment() -> Environment:
    """Return what fills in the templates of every page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("dermsynth.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        figure=_inline,
        count=numbers.count,
        percent=numbers.percent,
        share_range=lambda found: numbers.share_range(found["low"], found["high"]),
        several=numbers.several,
    )
    return made


def _inline(svg: str) -> Any:
    """Return a figure for use within HTML, where SVG needs no namespaces: the page then holds no web address at all."""
    from markupsafe import Markup

    return Markup(re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg, count=2))


def _view(evidence: Evidence) -> dict[str, Any]:
    verdict = evidence.verdict
    return {
        "verdict": verdict,
        "metric": results.metric_name(evidence),
        "confidence": f"{100 * verdict['endpoint']['confidence']:g}{numbers.GAP}%",
        "gap": numbers.GAP,
        "part": verdict["endpoint"]["split"],
        "hero": results.hero(evidence),
        "forests": comparisons.forests(evidence),
        "heat": comparisons.heat(evidence),
        "explanations": comparisons.explanations(evidence),
        "robustness": answers.answers(evidence),
        "looks": elsewhere.looks(evidence),
        "doses": elsewhere.doses(evidence),
        "settings_grids": elsewhere.grids(evidence),
        "arms": results.arms(evidence),
        "chosen": results.chosen(evidence),
        "arms_data": results.arms_data(evidence),
        "performance": performance.performance(evidence),
        "confusions": results.confusions(evidence),
        "confusions_data": results.confusions_data(evidence),
        "distributions": material.distributions(evidence),
        "distributions_data": material.distributions_data(evidence),
        "additions": material.additions(evidence),
        "grids": likeness.grids(evidence),
        "generator": material.generator(evidence),
        "snapshots": material.snapshots(evidence),
        "generator_curves": material.generator_curves(evidence),
        "generator_looks": material.generator_looks(evidence),
        "fit_curves": material.fit_curves(evidence),
        "fidelity": evidence.fidelity,
        "audit": None if evidence.audit is None else audit.shown(evidence.audit, evidence.cohort),
        "costs": costs.costs(evidence),
        "protocol": evidence.protocol,
        "question": str((yaml.safe_load(evidence.protocol) or {}).get("question", "")),
        "jobs": provenance.jobs(evidence),
        "total_wall": provenance.total_wall(evidence),
        "versions": provenance.versions(evidence),
        "licences": provenance.licences(evidence),
        "arm_texts": {name: texts.ARMS.get(evidence.recipe_of(name)) for name in verdict["arms"]},
        "outcome_texts": texts.OUTCOMES,
        "class_texts": {name: texts.CLASSES[name] for name in verdict["classes"] if name in texts.CLASSES},
    }
