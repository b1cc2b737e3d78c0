"""dermsynth: do synthetic dermoscopy images help my classifier?

The names below are the public ones; each is imported from its place when it is first asked for, so that
`import dermsynth` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dermsynth.algorithms import algorithm_class
    from dermsynth.audits.cohort import audit_cohort
    from dermsynth.audits.paper import audit_paper, load_paper
    from dermsynth.classifiers.apply import predict
    from dermsynth.classifiers.config import FitConfig
    from dermsynth.classifiers.export_onnx import export_onnx
    from dermsynth.classifiers.finder import find_rate
    from dermsynth.classifiers.fit import fit
    from dermsynth.classifiers.scoring import score
    from dermsynth.cohorts.augment import ClassicalAugmentation
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.cohorts.export import export
    from dermsynth.cohorts.ingest import ingest
    from dermsynth.cohorts.join import join
    from dermsynth.cohorts.published import fetch
    from dermsynth.cohorts.sources import source_config
    from dermsynth.cohorts.split import SplitConfig, split
    from dermsynth.pools.measure import measure
    from dermsynth.pools.sample import sample
    from dermsynth.pools.screen import screen
    from dermsynth.pools.screens import rules_of
    from dermsynth.pools.translate import translate
    from dermsynth.reports.explained import explain
    from dermsynth.reports.report import write_report
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.loop import train
    from dermsynth.trials.arms import ARMS, Material
    from dermsynth.trials.compare import compare
    from dermsynth.trials.loading import load_protocol
    from dermsynth.trials.protocol import Protocol
    from dermsynth.trials.run import judge_trial, run_trial
    from dermsynth.trials.space import parse_space
    from dermsynth.trials.tune import tune
    from dermsynth.trials.verdict import Endpoint, judge

_PUBLIC = {
    "ARMS": "trials.arms",
    "ClassicalAugmentation": "cohorts.augment",
    "Cohort": "cohorts.cohort",
    "Endpoint": "trials.verdict",
    "FitConfig": "classifiers.config",
    "Material": "trials.arms",
    "Protocol": "trials.protocol",
    "SplitConfig": "cohorts.split",
    "TrainConfig": "training.config",
    "algorithm_class": "algorithms",
    "audit_cohort": "audits.cohort",
    "audit_paper": "audits.paper",
    "compare": "trials.compare",
    "explain": "reports.explained",
    "export": "cohorts.export",
    "export_onnx": "classifiers.export_onnx",
    "fetch": "cohorts.published",
    "find_rate": "classifiers.finder",
    "fit": "classifiers.fit",
    "ingest": "cohorts.ingest",
    "join": "cohorts.join",
    "judge": "trials.verdict",
    "judge_trial": "trials.run",
    "load_paper": "audits.paper",
    "load_protocol": "trials.loading",
    "measure": "pools.measure",
    "parse_space": "trials.space",
    "predict": "classifiers.apply",
    "rules_of": "pools.screens",
    "run_trial": "trials.run",
    "sample": "pools.sample",
    "score": "classifiers.scoring",
    "screen": "pools.screen",
    "source_config": "cohorts.sources",
    "split": "cohorts.split",
    "train": "training.loop",
    "translate": "pools.translate",
    "tune": "trials.tune",
    "write_report": "reports.report",
}

__all__ = [
    "ARMS",
    "ClassicalAugmentation",
    "Cohort",
    "Endpoint",
    "FitConfig",
    "Material",
    "Protocol",
    "SplitConfig",
    "TrainConfig",
    "__version__",
    "algorithm_class",
    "audit_cohort",
    "audit_paper",
    "compare",
    "explain",
    "export",
    "export_onnx",
    "fetch",
    "find_rate",
    "fit",
    "ingest",
    "join",
    "judge",
    "judge_trial",
    "load_paper",
    "load_protocol",
    "measure",
    "parse_space",
    "predict",
    "rules_of",
    "run_trial",
    "sample",
    "score",
    "screen",
    "source_config",
    "split",
    "train",
    "translate",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dermsynth' has no attribute {name!r}")
    return getattr(import_module(f"dermsynth.{_PUBLIC[name]}"), name)
