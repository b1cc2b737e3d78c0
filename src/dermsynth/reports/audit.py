"""The audit of a cohort as a page: findings with the images that show them, class by source, class by artefact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dermsynth.audits.cohort import Audit
from dermsynth.cohorts.cohort import Cohort
from dermsynth.reports import pictures

GROUPS, IMAGES = 6, 4
"""Groups of images shown of a finding, and images of a group."""


def shown(findings: Iterable[Mapping[str, Any]], cohort: Cohort, against: Cohort | None = None) -> list[dict[str, Any]]:
    """Return findings (`Finding.to_json`) with `shown`, groups of (name, picture), and how many more are `hidden`."""
    rows = []
    for found in findings:
        groups = found.get("images", [])  # an audit.json of an earlier version names none
        last = against if found.get("across") and against is not None else cohort
        drawn = [
            [(name, _picture(held, name)) for name, held in zip(group, [cohort] + [last] * (IMAGES - 1), strict=False)]
            for group in groups[:GROUPS]
        ]
        rows.append({**found, "shown": drawn, "hidden": len(groups) - len(drawn)})
    return rows


def _picture(cohort: Cohort, name: str) -> pictures.Picture:
    rows = (cohort.table["image_id"] == name).arg_true().to_numpy()
    return pictures.encoded(pictures.reduced(cohort.images[rows])[0])


def render_audit(audit: Audit, cohort: Cohort, against: Cohort | None = None) -> str:
    """Return the page as text; it needs no other file and no network. It may show patients."""
    from dermsynth.reports.report import environment

    artefacts = [
        (label, images, [(count, count / images if images else 0.0) for count in counts])
        for label, images, *counts in audit.artefacts.iter_rows()
    ]
    template = environment().get_template("audit.html.j2")
    return template.render(
        name=str(cohort.path or "cohort"),
        against=None if against is None else str(against.path or "cohort"),
        images=len(cohort),
        lesions=cohort.table["lesion_id"].n_unique(),
        findings=shown((finding.to_json() for finding in audit.findings), cohort, against),
        sources=audit.sources,
        artefact_names=audit.artefacts.columns[2:],
        artefacts=artefacts,
        patients=bool((np.asarray(cohort.table["source"]) != "phantom").any()),
        licence=cohort.card.get("licence"),
    )
