"""What a finished trial folder holds, read and checked once for the report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermsynth.classifiers.predictions import Predictions, read_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError, InputError
from dermsynth.trials.costs import Cost, read_costs

SCHEMAS = (2, 3)
"""Of verdicts that this report reads; what the older one has not is not shown."""
_NEEDED = ("trial", "sentence", "outcome", "treatment", "control", "endpoint", "seeds", "classes", "test", "arms")

Card = Mapping[str, Any]
History = list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """One trained generator.

    Attributes:
        card: Its card; `history`: means of its losses and scores.
        samples: The grids it drew on the way, oldest first, by images seen.
        looks: What was measured of its images on the way; `findings`: what the monitors noticed.
    """

    card: Card
    history: History
    samples: dict[int, Path]
    looks: History
    findings: History


@dataclass(frozen=True)
class Fit:
    """One classifier: its history and its predictions on the part that the verdict is about."""

    card: Card
    history: History
    predictions: Predictions


@dataclass(frozen=True)
class Job:
    """One artefact folder and what it is for: `role` is for reading, `name` is the folder's."""

    role: str
    name: str
    seed: int | None
    card: Card


@dataclass(frozen=True)
class Evidence:
    """Everything the report shows.

    Attributes:
        verdict: `verdict.json`.
        protocol: The text of `protocol.yaml`.
        cohort: The split cohort; `pools`: seed -> synthetic images of the treatment, or of the first arm that has some.
        runs: The generator's replicas; `fits`: arm -> seed -> fit.
        jobs: Every artefact folder in the order in which data passed through them.
        fidelity, audit: `fidelity.json` and `audit.json`, or None where absent.
        costs: What jobs cost, by the names of their folders, as far as known.
    """

    verdict: Mapping[str, Any]
    protocol: str
    cohort: Cohort
    pools: dict[int, Cohort]
    runs: list[Run]
    fits: dict[str, dict[int, Fit]]
    jobs: list[Job]
    fidelity: Mapping[str, Any] | None
    audit: list[Mapping[str, Any]] | None
    costs: dict[str, Cost]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the fits, in order."""
        return [int(seed) for seed in self.verdict["seeds"]]

    @property
    def primary(self) -> Mapping[str, Any]:
        """The comparison of the treatment with the control."""
        treatment, control = self.verdict["treatment"], self.verdict["control"]
        found = (c for c in self.verdict["comparisons"] if c["arm"] == treatment and c["against"] == control)
        comparison: Mapping[str, Any] = next(found)
        return comparison

    def recipe_of(self, arm: str) -> str:
        """Return the recipe of an arm, which has its name unless the protocol gave it another."""
        return str(self.verdict["arms"][arm].get("recipe") or arm)


def read_trial(trial: Path) -> Evidence:
    """Read a finished trial folder.

    Raises:
        ArtefactError: no such folder, or a file, a job folder or an entry of the verdict is missing or unreadable.
        InputError: predictions that cannot be used, or that know other classes than the verdict.
    """
    trial = Path(trial)
    if not trial.is_dir():
        raise ArtefactError(f"{trial}: no such folder; expected a finished trial")
    verdict = _verdict(trial / "verdict.json")
    index = _json(trial / "index.json")
    for entry in ("cohort", "runs", "pools", "fits"):
        if entry not in index:
            raise ArtefactError(f"{trial / 'index.json'}: has no '{entry}'; run the trial again")
    cohort = Cohort.open(trial / index["cohort"])
    every_pool = index.get("pools_of") or {verdict["treatment"]: index["pools"]}
    seed_of = {name: int(seed) for by_seed in every_pool.values() for seed, name in by_seed.items()}
    opened = {name: Cohort.open(trial / name) for name in seed_of}
    # The treatment's; those of another arm where the treatment has none.
    of_arm = every_pool.get(verdict["treatment"]) or index["pools"]
    pools = {int(seed): opened[name] for seed, name in of_arm.items()}
    runs = [_run(trial / name) for name in index["runs"]]
    fits = {
        arm: {int(seed): _fit(trial / name, verdict) for seed, name in by_seed.items()}
        for arm, by_seed in index["fits"].items()
    }
    for arm in verdict["arms"]:
        for seed in verdict["seeds"]:
            if int(seed) not in fits.get(arm, {}):
                raise ArtefactError(f"{trial / 'index.json'}: has no fit of arm '{arm}', seed {seed}; judge it again")
    drawn = [(name, seed_of[name], pool) for name, pool in opened.items()]
    jobs = list(_jobs(trial, index, cohort, runs, drawn, fits))
    return Evidence(
        verdict=verdict,
        protocol=_text(trial / "protocol.yaml"),
        cohort=cohort,
        pools=pools,
        runs=runs,
        fits=fits,
        jobs=jobs,
        fidelity=_json(trial / "fidelity.json") if (trial / "fidelity.json").exists() else None,
        audit=_json(trial / "audit.json") if (trial / "audit.json").exists() else None,
        costs=_costs((trial / index["cohort"]).parent, jobs),
    )


def _verdict(path: Path) -> dict[str, Any]:
    verdict: dict[str, Any] = _json(path)
    if verdict.get("schema") not in SCHEMAS:
        known = " and ".join(map(str, SCHEMAS))
        raise ArtefactError(f"{path}: has schema {verdict.get('schema')!r}, this report reads {known}; judge it again")
    missing = [entry for entry in (*_NEEDED, "comparisons") if entry not in verdict]
    if missing:
        raise ArtefactError(f"{path}: has no '{missing[0]}'; judge the trial again")
    treatment, control = verdict["treatment"], verdict["control"]
    for arm in (treatment, control):
        if arm not in verdict["arms"]:
            raise ArtefactError(f"{path}: has no arm '{arm}'; arms: {', '.join(verdict['arms'])}")
    if not any(c["arm"] == treatment and c["against"] == control for c in verdict["comparisons"]):
        raise ArtefactError(f"{path}: does not compare '{treatment}' with '{control}'; judge the trial again")
    return verdict


def _run(path: Path) -> Run:
    card = artefacts.read_card(path, "run")
    samples = {int(file.stem): file for file in (path / "samples").glob("*.png") if file.stem.isdigit()}
    history, looks, findings = (_lines(path / f"{name}.jsonl") for name in ("history", "looks", "findings"))
    return Run(card, history, dict(sorted(samples.items())), looks, findings)


def _fit(path: Path, verdict: Mapping[str, Any]) -> Fit:
    card = artefacts.read_card(path, "fit")
    predictions = read_predictions(path, verdict["endpoint"]["split"])
    if predictions.classes != tuple(verdict["classes"]):
        found, expected = ", ".join(predictions.classes), ", ".join(verdict["classes"])
        raise InputError(f"{path}: predicts {found}; the verdict has {expected}")
    return Fit(card, _lines(path / "history.jsonl"), predictions)


def _jobs(
    trial: Path,
    index: Mapping[str, Any],
    cohort: Cohort,
    runs: list[Run],
    pools: Iterable[tuple[str, int, Cohort]],
    fits: Mapping[str, Mapping[int, Fit]],
) -> Iterator[Job]:
    yield Job("cohort", index["cohort"], None, cohort.card)
    for test, by_seed in (index.get("test_images") or {}).items():
        for name in dict.fromkeys(by_seed.values()):
            yield Job(f"images of {test}", name, None, Cohort.open(trial / name).card)
    for of_seed, name in (index.get("oracle") or {}).items():
        yield Job("oracle images", name, int(of_seed), artefacts.read_card(trial / name, "cohort"))
    for name, run in zip(index["runs"], runs, strict=True):
        yield Job("generator", name, _seed_of(run.card), run.card)
    for name, seed, pool in pools:
        yield Job("pool", name, seed, pool.card)
    for arm, by_seed in index["fits"].items():
        for of_seed, name in by_seed.items():
            yield Job(f"fit of {arm}", name, int(of_seed), fits[arm][int(of_seed)].card)
    for classifier, by_arm in (index.get("further") or {}).items():
        for arm, by_seed in by_arm.items():
            for of_seed, name in by_seed.items():
                yield Job(f"fit of {classifier} on {arm}", name, int(of_seed), artefacts.read_card(trial / name, "fit"))
    for test, by_classifier in (index.get("tests") or {}).items():
        for classifier, by_arm in by_classifier.items():
            for arm, by_seed in by_arm.items():
                for of_seed, name in by_seed.items():
                    card = artefacts.read_card(trial / name, "predictions")
                    yield Job(f"{test}, {classifier} on {arm}", name, int(of_seed), card)


def _costs(folder: Path, jobs: list[Job]) -> dict[str, Cost]:
    """Return what the trial's jobs cost; trials may share the folder, so it may know of others."""
    known = read_costs(folder)
    return {name: known[name] for job in jobs if (name := Path(job.name).name) in known}


def _seed_of(card: Card) -> int | None:
    found = ((card.get("config") or {}).get("training") or {}).get("seed")
    return found if isinstance(found, int) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArtefactError(f"{path}: is missing, so the trial is not finished; run it again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path}: cannot be read ({error}); run the trial again") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ArtefactError(f"{path}: is no JSON ({error}); run the trial again") from None


def _lines(path: Path) -> History:
    """Return the objects of a JSON-lines file; a job without one has no curves."""
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in _text(path).splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise ArtefactError(f"{path}: holds a line that is no JSON ({error}); make the job again") from None
