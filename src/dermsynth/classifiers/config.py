"""How a classifier is trained."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.schedule import MOMENTUM_SWING
from dermsynth.core.config import nearest, parse
from dermsynth.training.device import Precision

RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    # Papers 001 (its classifiers) and 003 (its discriminator) say Adam, 003 also SGD, and no schedule. Paper 003
    # compares rates of 0.001 and 0.0002 for Adam; no other is stated, and 0.01 is the customary one of SGD.
    "plain-adam": {"schedule": "constant"},
    "plain-sgd": {"optimiser": "sgd", "schedule": "constant", "learning_rate": 0.01, "momentum": 0.0},
    # Paper 002: fastai, Adam, rate finder, 1cycle, ResNet-50 from ImageNet. The values are those of fastai's
    # `fine_tune` where it has them: rate 0.002, a hundredth of it for the first part, the head alone for an epoch.
    "fastai": {
        "schedule": "one-cycle",
        "learning_rate": 2e-3,
        "rate_span": 100.0,
        "head_first": 0.1,
        "weight_decay": 0.01,
    },
}
"""What each recipe sets; what it does not name has its default. `docs/classifiers.md` explains them."""


class FitConfig(NetworkConfig):
    """How a classifier is trained: the same in every arm, so that arms differ in their images alone.

    The defaults were chosen at 64 px on validation lesions from the ISIC 2018 training set and on the phantom.
    """

    recipe: str = "default"
    """Where the values start from: a name in `RECIPES`; what is set beside it stands over it."""
    budget_kimg: float = Field(40.0, gt=0)
    """Thousands of images seen. Not epochs: an enlarged set would get more steps. Oversampled, 24 and 48 were equal
    on validation."""
    batch_size: int = Field(16, ge=2)
    """Images of a step; batch norm needs two. For the same images seen, 16 gained 2 points over 32."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Adam with decoupled weight decay (AdamW; without decay it is Adam), or SGD with momentum."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of the head, at its highest; `dermsynth find-rate` suggests one."""
    schedule: Literal["cosine", "constant", "one-cycle"] = "cosine"
    """`cosine` falls to zero along a half cosine, which gained 2 to 5 points over `constant`; `one-cycle` climbs before
    it falls, and the momentum runs against it."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD, or Adam's first beta. A cycle moves it by 0.05 to either side."""
    rate_span: float = Field(1.0, ge=1, allow_inf_nan=False)
    """The head's learning rate over the first part's; parts between follow a geometric series. 1: all alike. For
    networks that start from learnt weights."""
    head_first: float = Field(0.0, ge=0, lt=1)
    """Share of the steps, the first ones, in which the head and batch norms learn alone."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled from the gradient with Adam, added to it with SGD; not of biases and the scales of norms. 0.2 was
    neither better nor worse."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of every label that is spread over all classes."""
    ema_halflife_kimg: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Half-life of the moving average of the weights, which is scored and predicts in place of the last step's. None:
    no average."""
    evaluations: int = Field(10, ge=1)
    """How many states, evenly spaced and the last one among them, are scored on validation to choose one."""
    choose_by: Literal["balanced_accuracy", "macro_auc"] = "balanced_accuracy"
    """The score on validation that chooses the state."""
    calibration: Literal["none", "temperature"] = "none"
    """`temperature` divides the logarithms of all probabilities by one number, chosen on validation, before they are
    written. The most probable class stays."""
    tta: Literal[1, 2, 4, 8] = 1
    """Test-time augmentation: views of an image (itself, mirrored, turned by 90 degrees) whose probabilities are
    averaged, whenever the classifier predicts."""
    precision: Precision = "auto"
    """`auto` takes bf16 where the hardware has it."""
    checkpoint_every_s: float = Field(60.0, ge=0)
    """Seconds of work at risk when the process is killed; no number depends on it."""
    seed: int = Field(0, ge=0)
    """Of the initial weights, the order of images and the augmentation."""

    @model_validator(mode="before")
    @classmethod
    def _over_the_recipe(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        recipe = given.get("recipe", cls.model_fields["recipe"].default)
        return {**RECIPES.get(recipe, {}), **given} if isinstance(recipe, str) else given

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, recipe: str) -> str:
        if recipe not in RECIPES:
            raise ValueError(f"unknown recipe; {nearest(recipe, RECIPES)}")
        return recipe

    @model_validator(mode="after")
    def _a_cycle_has_room_for_its_momentum(self) -> Self:
        low, high = MOMENTUM_SWING, 1 - MOMENTUM_SWING
        if self.schedule == "one-cycle" and not low <= self.momentum < high:
            raise ValueError(
                f"momentum is {self.momentum:g}, and one-cycle moves it by {MOMENTUM_SWING:g} to either side; "
                f"choose {low:g} or more, less than {high:g}"
            )
        return self

    def changed(self, **values: Any) -> Self:
        """Return a copy with other values; another recipe brings its own ones."""
        if values.get("recipe", self.recipe) == self.recipe:
            return super().changed(**values)
        of_recipes = {key for settings in RECIPES.values() for key in settings}
        kept = {key: value for key, value in self.model_dump().items() if key not in of_recipes}
        return parse(type(self), {**kept, **values}, type(self).__name__)

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps, whatever the size of the training set."""
        return max(1, round(self.budget_kimg * 1000 / self.batch_size))
