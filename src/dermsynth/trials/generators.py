"""How the synthetic images of an arm are made: which algorithms learn from what, and which of their images stay."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from dermsynth.algorithms import algorithm_class
from dermsynth.classifiers.config import FitConfig
from dermsynth.core.config import Config, parse
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.pools.screens import rules_of
from dermsynth.training.config import TrainConfig


class PathRank(Config):
    """Path-Rank-Filter (paper 002): learn the target class from those of its images that a classifier is surest of."""

    keep: float = Field(gt=0, le=1, description="share of the target class's training images; the paper's alpha")
    classifier: FitConfig = Field(FitConfig(), description="of the fit that ranks them")


class Refinement(Config):
    """A CycleGAN for each class that learns to turn drawn images into real ones (paper 002, experiment 1)."""

    settings: dict[str, Any] = Field(default_factory=dict, description="CycleGAN's own keys, without the domains")
    training: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        for name in ("source", "target"):
            if name in self.settings:
                raise ValueError(f"settings.{name}: each class is refined into itself; leave it out")
        try:
            self.of_class("a")
        except ConfigError as error:
            raise ValueError(str(error)) from None
        _check_training(self.training)
        return self

    def of_class(self, label: str) -> dict[str, Any]:
        """Return CycleGAN's settings for a class; raises ConfigError for one that it does not have."""
        from dermsynth.pools.stage import PREFIX

        settings = {**self.settings, "source": [f"{PREFIX}{label}"], "target": [label]}
        parse(algorithm_class("cyclegan").Config, settings, "settings of cyclegan")
        return settings


class GeneratorChoice(Config):
    """Which algorithm, with which settings, for how long, and how many independent replicas of it."""

    algorithm: str = Field("dcgan", description="its name")
    settings: dict[str, Any] = Field(default_factory=dict, description="the algorithm's own keys")
    training: TrainConfig = TrainConfig()
    replicas: int = Field(1, ge=1, description="generators trained from different seeds; repeats share them in turn")
    size_px: int | None = Field(
        None, ge=8, description="side at which it learns, if smaller than the cohort's; its images are enlarged"
    )
    per_class: bool = Field(False, description="one generator for each class that gets images, learning it alone")
    altered_copies: int = Field(
        0, ge=0, description="copies of every training image, altered as `classical` does, that it also learns from"
    )
    path_rank: PathRank | None = Field(None, description="for an algorithm that translates")
    refine: Refinement | None = Field(None, description="for an algorithm that draws from noise")
    screens: tuple[str, ...] = Field((), description="rules that its images must pass, as `dermsynth screen --rule`")
    drawn: float = Field(2.0, ge=1, description="with screens: so many times the images that are needed, at first")

    @property
    def translates(self) -> bool:
        """Return whether it turns images of some classes into images of others."""
        return algorithm_class(self.algorithm).translates

    @property
    def target(self) -> str:
        """Return the class of a translation's images."""
        return str(self._domain("target")[0])

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the classes that a translation starts from."""
        return self._domain("source")

    def _domain(self, side: str) -> tuple[str, ...]:
        return tuple(algorithm_class(self.algorithm).Config(**self.settings).canonical()[side])

    @model_validator(mode="after")
    def _settings_fit_the_algorithm(self) -> Self:
        try:
            chosen = algorithm_class(self.algorithm)
            config = parse(chosen.Config, self.settings, f"settings of {self.algorithm}").canonical()
            rules_of(self.screens)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if chosen.translates:
            self._can_translate(config)
        elif self.path_rank is not None:
            raise ValueError(f"path_rank: {self.algorithm} draws from noise and has no target class; leave it out")
        _check_training(self.training)
        return self

    def _can_translate(self, config: dict[str, Any]) -> None:
        if len(config["target"]) != 1:
            raise ValueError(f"settings.target is {config['target']}; a trial needs one class that its images count as")
        for name in ("per_class", "refine", "altered_copies", "size_px"):
            if getattr(self, name):
                raise ValueError(f"{name}: {self.algorithm} translates real images; leave it out")

    def check_size(self, cohort_px: int) -> None:
        """Raise InputError unless the networks can make images of a cohort with this side."""
        if self.size_px is not None and self.size_px >= cohort_px:
            raise InputError(
                f"generator.size_px is {self.size_px}, the cohort's {cohort_px}; choose a smaller one or leave it out"
            )
        # The classes are known when the cohort is; a trial has at least two, and the size matters here.
        classes = ("a",) if self.per_class else ("a", "b")
        chosen = algorithm_class(self.algorithm)
        if not chosen.translates:
            chosen.check(chosen.Config(**self.settings), self.size_px or cohort_px, classes)
        if self.refine is not None:
            cyclegan = algorithm_class("cyclegan")
            names = ("a", "synthetic a")
            cyclegan.check(cyclegan.Config(**self.refine.of_class("a")), cohort_px, names)


def _check_training(training: TrainConfig) -> None:
    if training.classes:
        raise ValueError("training.classes: a trial chooses the classes itself; leave it out")
    if training.seed:
        raise ValueError(f"training.seed is {training.seed}; set the trial's seed, from which all others follow")
