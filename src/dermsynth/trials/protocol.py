"""The declaration of a trial, read from one YAML file before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from dermsynth.algorithms import algorithm_class
from dermsynth.classifiers import find
from dermsynth.classifiers.config import FitConfig
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.labels import load_map
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN, Chain
from dermsynth.cohorts.sources import SourceConfig
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.cohorts.split import SplitConfig
from dermsynth.core.config import Config, load_yaml, nearest, parse
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.training.config import TrainConfig
from dermsynth.trials.arms import ALTERS, ARMS, NEEDS_POOL
from dermsynth.trials.verdict import Declared


class CohortChoice(Config):
    """Which images, at which size, split how."""

    source: SourceConfig
    labels: str | None = Field(None, description="a label map, by name or as a YAML file, in place of its classes")
    size_px: int = Field(64, ge=8)
    preprocessing: Chain = DEFAULT_CHAIN
    split: SplitConfig = SplitConfig()

    @field_validator("labels")
    @classmethod
    def _known_map(cls, labels: str | None) -> str | None:
        try:
            if labels is not None:
                load_map(labels)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return labels


class GeneratorChoice(Config):
    """Which algorithm, with which settings, for how long, and how many independent replicas of it."""

    algorithm: str = "dcgan"
    settings: dict[str, Any] = Field(default_factory=dict, description="the algorithm's own keys")
    training: TrainConfig = TrainConfig()
    replicas: int = Field(1, ge=1, description="generators trained from different seeds; repeats share them in turn")

    @model_validator(mode="after")
    def _settings_fit_the_algorithm(self) -> Self:
        try:
            chosen = algorithm_class(self.algorithm)
            parse(chosen.Config, self.settings, f"settings of {self.algorithm}")
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if chosen.translates:
            raise ValueError(f"{self.algorithm} translates images; a trial's pools are drawn: choose another algorithm")
        if self.training.classes:
            raise ValueError("training.classes: a trial's generator learns all classes of its cohort; leave it out")
        return self


class Protocol(Config):
    """A whole trial: cohort, generator, arms, classifier, repeats and endpoint."""

    name: str = Field(min_length=1)
    question: str = ""
    seed: int = Field(0, ge=0, description="every draw of the trial follows from it")
    repeats: int = Field(3, ge=1, description="fits of every arm, with seeds seed, seed + 1, …")
    cohort: CohortChoice
    generator: GeneratorChoice = GeneratorChoice()
    fill_to: int = Field(ge=1, description="arms that enlarge bring every smaller class up to this many images")
    arms: tuple[str, ...] = ("real", "classical", "oversampled", "hybrid", "placebo")
    treatment: str = "hybrid"
    control: str = "oversampled"
    classifier: FitConfig = FitConfig()
    augmentation: ClassicalAugmentation = ClassicalAugmentation()
    endpoint: Declared = Declared()

    @field_validator("arms")
    @classmethod
    def _known_arms(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        for arm in arms:
            if arm not in ARMS:
                raise ValueError(f"unknown arm '{arm}'; {nearest(arm, ARMS)}")
        if len(set(arms)) < len(arms):
            raise ValueError("an arm stands twice in the list")
        return arms

    @model_validator(mode="after")
    def _arms_can_be_built(self) -> Self:
        for role in ("treatment", "control"):
            if getattr(self, role) not in self.arms:
                raise ValueError(f"{role} is '{getattr(self, role)}', which is not among the arms {list(self.arms)}")
        if self.treatment == self.control:
            raise ValueError(f"treatment and control are both '{self.control}'; compare two different arms")
        if "oracle" in self.arms and not isinstance(self.cohort.source, PhantomConfig):
            raise ValueError(
                f"arm 'oracle' needs new images from the true distribution, which only the phantom has; "
                f"remove it for source '{self.cohort.source.kind}'"
            )
        if "oracle" in self.arms and self.cohort.labels is not None:
            raise ValueError("arm 'oracle' draws the phantom's own classes; remove it or cohort.labels")
        altering = [arm for arm in self.arms if arm in ALTERS]
        if altering and not find(self.classifier.model).learns_in_steps:
            raise ValueError(
                f"arm '{altering[0]}' alters or weights images, and classifier.model '{self.classifier.model}' takes "
                "them as they are; remove the arm or choose another model"
            )
        if self.generator.replicas not in (1, self.repeats):
            # Repeats that share a generator are no independent repeats of it: the interval could not tell.
            raise ValueError(
                f"generator.replicas is {self.generator.replicas}; choose {self.repeats}, one for each repeat, or 1, "
                "which leaves the generator's own variation out of the interval"
            )
        return self

    @model_validator(mode="after")
    def _generator_can_make_the_size(self) -> Self:
        if not set(self.arms) & set(NEEDS_POOL):
            return self
        try:
            chosen = algorithm_class(self.generator.algorithm)
            settings = chosen.Config(**self.generator.settings)
            # The classes are known when the cohort is; a trial has at least two, and the size matters here.
            chosen.check(settings, self.cohort.size_px, ("a", "b"))
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _one_seed(self) -> Self:
        places: dict[str, FitConfig | TrainConfig | PhantomConfig] = {
            "classifier": self.classifier,
            "generator.training": self.generator.training,
        }
        if isinstance(self.cohort.source, PhantomConfig):
            places["cohort.source"] = self.cohort.source
        for place, config in places.items():
            if config.seed:
                raise ValueError(f"{place}.seed is {config.seed}; set the trial's seed, from which all others follow")
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of the repeats."""
        return tuple(range(self.seed, self.seed + self.repeats))

    def to_yaml(self) -> str:
        """Return the whole protocol, defaults included, as YAML."""
        return yaml.safe_dump(self.canonical(), sort_keys=False, allow_unicode=True)


def load_protocol(path_or_preset: Path | str) -> Protocol:
    """Return the protocol in a YAML file, or a preset by its name.

    Raises:
        ConfigError: no such file or preset, an unknown key (with the nearest known one), or a value out of range.
    """
    path = Path(path_or_preset)
    return load_yaml(Protocol, path if path.suffix in (".yaml", ".yml") else preset(str(path_or_preset)))


PRESETS = Path(__file__).parent / "presets"


def preset(name: str) -> Path:
    """Return the path of a protocol that comes with dermsynth; raises ConfigError that suggests the nearest."""
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name not in names:
        raise ConfigError(f"no preset '{name}'; {nearest(name, names)}")
    return PRESETS / f"{name}.yaml"
