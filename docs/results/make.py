"""Write the numbers of a finished trial as a page: `python docs/results/make.py TRIAL`.

Makes `NAME.md` and `NAME.verdict.json` beside this file, NAME being the trial's. No image leaves the trial's folder.
What stands below the marker in an existing page was written by hand and is kept.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from dermsynth.reports import numbers

HERE = Path(__file__).parent
MARKER = "<!-- below: written by hand -->"


def main() -> None:
    """Write the page and copy the verdict."""
    trial = Path(sys.argv[1])
    verdict = json.loads((trial / "verdict.json").read_text(encoding="utf-8"))
    index = json.loads((trial / "index.json").read_text(encoding="utf-8"))
    name = verdict["trial"].replace(", ", "-")  # a preset's variant and scale
    page = HERE / f"{name}.md"
    by_hand = page.read_text(encoding="utf-8").partition(MARKER)[2] if page.exists() else "\n"
    parts = [heading(name, verdict), comparisons(verdict), arms(verdict), fidelity(trial), ran(trial, index)]
    page.write_text("\n".join(parts) + "\n" + MARKER + by_hand, encoding="utf-8")
    shutil.copyfile(trial / "verdict.json", HERE / f"{name}.verdict.json")


def heading(name: str, verdict: dict[str, Any]) -> str:
    """Return the title, the sentence and the commands."""
    preset = verdict["trial"].replace(", ", ":")
    return (
        f"# {name}\n\n> {verdict['sentence']}\n\nMade by\n\n"
        f"    dermsynth trial run {preset} --out {name}\n    python docs/results/make.py {name}\n\n"
        f"The whole verdict is in [{name}.verdict.json]({name}.verdict.json).\n"
    )


def comparisons(verdict: dict[str, Any]) -> str:
    """Return every comparison of balanced accuracy."""
    rows = [
        f"| {c['arm']} − {c['against']} | {numbers.points(c['difference'])} | "
        f"{numbers.points_range(c['low'], c['high'])} | {numbers.p_value(c['p_value'])} | {c['outcome']} |"
        for c in verdict["comparisons"]
    ]
    head = (
        "## Differences in balanced accuracy\n\n| arms | difference | 95 % interval | p | outcome |\n"
        + "|---" * 5
        + "|"
    )
    return "\n".join([head, *rows, ""])


def arms(verdict: dict[str, Any]) -> str:
    """Return every arm's scores, means over seeds with 95 % intervals, and recalls."""
    classes = verdict["classes"]
    head = "## Arms\n\n| arm | balanced accuracy, % | accuracy, % | macro-AUC | " + " | ".join(
        f"{label} recall, %" for label in classes
    )
    lines = [head + " |", "|---" * (4 + len(classes)) + "|"]
    for arm, found in verdict["arms"].items():
        scores = [
            f"{100 * found[key]['mean']:.1f} ({100 * found[key]['low']:.1f} to {100 * found[key]['high']:.1f})"
            for key in ("balanced_accuracy", "accuracy")
        ]
        scores.append(f"{found['macro_auc']['mean']:.3f}")
        scores += [f"{100 * found['recall'][label]['mean']:.1f}" for label in classes]
        lines.append(f"| {arm} | " + " | ".join(scores) + " |")
    test = ", ".join(f"{label} {count['images']}" for label, count in verdict["test"]["per_class"].items())
    trained = next(iter(verdict["arms"].values()))["train_counts"]
    real = ", ".join(f"{label} {count}" for label, count in trained.items())
    lines += ["", f"Test images: {test}. Real training images: {real}.", ""]
    return "\n".join(lines)


def fidelity(trial: Path) -> str:
    """Return the distances of the synthetic images with their floors."""
    found = json.loads((trial / "fidelity.json").read_text(encoding="utf-8"))
    rows = {"all classes": {"n": found["n"], **found["frechet"]}, **found["classes"]}
    lines = [
        f"## Synthetic images\n\nFrechet distance in the features of `{found['encoder']}` (no FID); floor: real images "
        "that were not trained on, at the same n.\n\n| class | n | synthetic | floor |\n|---|---|---|---|"
    ]
    lines += [f"| {name} | {r['n']} | {r['synthetic']:.2f} | {r['real_floor']:.2f} |" for name, r in rows.items()]
    near = found["nearer_to_train"]
    lines += [
        "",
        f"{100 * near['share']:.1f} % of {near['images']} synthetic images are nearer to training images than to as "
        f"many held-out ones (50 % without copying; interval {100 * near['low']:.1f} to {100 * near['high']:.1f}).",
        "",
    ]
    return "\n".join(lines)


def ran(trial: Path, index: dict[str, Any]) -> str:
    """Return what ran where, and how long."""
    runs = [card(trial / folder) for folder in index["runs"]]
    fits = [card(trial / folder) for by_seed in index["fits"].values() for folder in by_seed.values()]
    first, versions = runs[0], runs[0]["versions"]
    seconds = ", ".join(f"{run['wall_s']:.0f}" for run in runs)
    mean_fit = sum(fit["wall_s"] for fit in fits) / len(fits)
    return (
        f"## What ran\n\nGenerators: {len(runs)}, each {first['images_seen']:,} images in {seconds} s. Classifiers: "
        f"{len(fits)}, {mean_fit:.0f} s each on average. One thread per job ({first['device']}, {first['precision']}). "
        f"dermsynth {first['dermsynth']}, torch {versions['torch']}.\n"
    )


def card(folder: Path) -> dict[str, Any]:
    """Return a job's card."""
    found: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
