"""The declaration of a trial, read from one YAML file before anything is trained."""

from __future__ import annotations

from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from dermsynth.classifiers import find
from dermsynth.classifiers.config import FitConfig
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.labels import load_map
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN, Chain
from dermsynth.cohorts.sources import SourceConfig
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.cohorts.split import SplitConfig
from dermsynth.core.config import Config
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.trials.arms import ALTERS, ENLARGES, NEEDS_POOL
from dermsynth.trials.choices import ArmChoice, BestOnVal, TestChoice, arm_blocks, of_the_generator
from dermsynth.trials.generators import GeneratorChoice
from dermsynth.trials.looks import MAIN
from dermsynth.trials.verdict import Declared


class CohortChoice(Config):
    """Which images, at which size, split how."""

    source: SourceConfig = Field(description="which data set, and where its files are")
    labels: str | None = Field(None, description="a label map, by name or as a YAML file, in place of its classes")
    size_px: int = Field(64, ge=8, description="side of the square images")
    preprocessing: Chain = Field(DEFAULT_CHAIN, description="what is done to every image, in this order")
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


class Protocol(Config):
    """A whole trial: cohort, generators, arms, classifiers, repeats, endpoint, and what else is looked at."""

    name: str = Field(min_length=1, description="stands in the report and in verdict.json")
    question: str = Field("", description="what the trial asks, in your words, for the report")
    seed: int = Field(0, ge=0, description="every draw of the trial follows from it")
    repeats: int = Field(3, ge=1, description="fits of every arm, with seeds seed, seed + 1, …")
    cohort: CohortChoice
    generator: GeneratorChoice = GeneratorChoice()
    fill_to: int | None = Field(
        None, ge=1, description="arms that enlarge bring every smaller class up to this many images"
    )
    add: dict[str, int] = Field(default_factory=dict, description="instead: images that they add to each class")
    arms: tuple[ArmChoice, ...] = tuple(
        ArmChoice(arm=name) for name in ("real", "classical", "oversampled", "hybrid", "placebo")
    )
    treatment: str | BestOnVal = Field("hybrid", description="the arm that the verdict is about")
    control: str = Field("oversampled", description="the arm that every other one is compared with")
    classifier: FitConfig = FitConfig()
    classifiers: dict[str, FitConfig] = Field(
        default_factory=dict, description="further ones by name, each fitted on every arm"
    )
    augmentation: ClassicalAugmentation = ClassicalAugmentation()
    tests: dict[str, TestChoice] = Field(default_factory=dict, description="what else the fits are tested on, by name")
    subgroups: tuple[str, ...] = Field((), description="columns of the cohort by which the test images are split up")
    endpoint: Declared = Declared()

    @model_validator(mode="before")
    @classmethod
    def _expand_arms(cls, given: Any) -> Any:
        if isinstance(given, dict) and "arms" in given:
            return {**given, "arms": arm_blocks(given["arms"], given.get("generator"), given.get("classifier"))}
        return given

    @model_validator(mode="after")
    def _arms_can_be_built(self) -> Self:
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two arms are called '{name}'; give one of them another 'name'")
        for role, chosen in (("treatment", self.candidates), ("control", (self.control,))):
            for name in chosen:
                if name not in names:
                    raise ValueError(f"{role} is '{name}', which is not among the arms {names}")
        if self.control in self.candidates:
            raise ValueError(f"treatment and control are both '{self.control}'; compare two different arms")
        recipes = {arm.arm for arm in self.arms}
        if "oracle" in recipes and not isinstance(self.cohort.source, PhantomConfig):
            raise ValueError(
                f"arm 'oracle' needs new images from the true distribution, which only the phantom has; "
                f"remove it for source '{self.cohort.source.kind}'"
            )
        if "oracle" in recipes and self.cohort.labels is not None:
            raise ValueError("arm 'oracle' draws the phantom's own classes; remove it or cohort.labels")
        for arm in self.arms:
            for classifier in self.classifiers_of(arm).values():
                if arm.arm in ALTERS and not find(classifier.model).learns_in_steps:
                    raise ValueError(
                        f"arm '{arm.name}' alters or weights images, and the model '{classifier.model}' takes them as "
                        "they are; remove the arm or choose another model"
                    )
        return self

    @model_validator(mode="after")
    def _amounts_are_told(self) -> Self:
        for arm in self.arms:
            if arm.generator and not self.needs_generator(arm):
                raise ValueError(f"arm '{arm.name}': {arm.arm} has no synthetic images; leave out 'generator'")
            several = any(map(of_the_generator, self.classifiers_of(arm).values())) and self.generator_of(arm).per_class
            if several:
                raise ValueError(f"arm '{arm.name}': its classifier needs one generator, and per_class trains several")
            if arm.arm not in ENLARGES:
                continue
            amount = self.amount(arm)
            if bool(amount["add"]) == (amount["fill_to"] is not None):
                what = "give 'fill_to' or 'add', not both" if amount["add"] else "'fill_to' is missing (or 'add')"
                raise ValueError(f"{what}: arm '{arm.name}' adds images")
            counts = amount["add"].values()
            if any(count < 0 for count in counts) or (counts and not sum(counts)):
                raise ValueError(f"arm '{arm.name}': add is {amount['add']}; give each class a number of images")
            if arm.arm not in NEEDS_POOL:
                continue
            generator = self.generator_of(arm)
            if (generator.per_class or generator.refine) and not amount["add"]:
                what = "per_class" if generator.per_class else "refine"
                raise ValueError(f"arm '{arm.name}': generator.{what} needs 'add', which names the classes")
            if generator.translates:
                target = generator.target
                if set(amount["add"]) != {target}:
                    raise ValueError(
                        f"arm '{arm.name}': its generator makes images of '{target}' alone; give 'add: {{{target}: N}}'"
                    )
        return self

    @model_validator(mode="after")
    def _generators_can_make_the_size(self) -> Self:
        for name, chosen in self.generators.items():
            if chosen.replicas not in (1, self.repeats):
                # Repeats that share a generator are no independent repeats of it: the interval could not tell.
                raise ValueError(
                    f"generator.replicas is {chosen.replicas}; choose {self.repeats}, one for each repeat, or 1, "
                    "which leaves the generator's own variation out of the interval"
                )
            try:
                chosen.check_size(self.cohort.size_px)
            except InputError as error:
                where = "" if name == self.name else f"arm '{name}': "
                raise ValueError(f"{where}{error}") from None
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        for name in self.classifiers:
            if name == MAIN:
                raise ValueError(f"classifiers.{MAIN}: that is the name of 'classifier'; choose another")
        if len(self.candidates) > 1 and self.endpoint.split == "val":
            raise ValueError(
                "treatment.best_on_val: the endpoint is judged on val as well, and the best of several on val looks "
                "good there by chance; set endpoint.split to test, or name one treatment"
            )
        for name, test in self.tests.items():
            for chosen in self.candidates if test.synthetic else ():
                generator = self.generator_of(self.arm(chosen))
                if self.arm(chosen).arm in NEEDS_POOL and (generator.translates or generator.refine):
                    # Another seed would give images that the arm has learnt from.
                    raise ValueError(
                        f"tests.{name}.synthetic: the generator of '{chosen}' has no new images, since it turns images "
                        "that are there into others; leave the test out"
                    )
            if test.synthetic and not any(self.arm(chosen).arm in NEEDS_POOL for chosen in self.candidates):
                raise ValueError(f"tests.{name}.synthetic: the treatment has no generator; give 'source' instead")
        return self

    @model_validator(mode="after")
    def _one_seed(self) -> Self:
        places: dict[str, FitConfig | PhantomConfig] = {"classifier": self.classifier}
        places |= {f"arm '{arm.name}': classifier": arm.classifier for arm in self.arms if arm.classifier}
        places |= {f"classifiers.{name}": chosen for name, chosen in self.classifiers.items()}
        if isinstance(self.cohort.source, PhantomConfig):
            places["cohort.source"] = self.cohort.source
        for place, config in places.items():
            if config.seed:
                raise ValueError(f"{place}.seed is {config.seed}; set the trial's seed, from which all others follow")
        return self

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return the arms among which the treatment is; one, unless val chooses."""
        return (self.treatment,) if isinstance(self.treatment, str) else self.treatment.best_on_val

    def classifiers_of(self, arm: ArmChoice) -> dict[str, FitConfig]:
        """Return the classifiers that are fitted on an arm by name; the first one is that of the verdict.

        An arm with a classifier of its own is about that one: no other is fitted on it.
        """
        return {MAIN: arm.classifier} if arm.classifier else {MAIN: self.classifier, **self.classifiers}

    def arm(self, name: str) -> ArmChoice:
        """Return an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    def amount(self, arm: ArmChoice) -> dict[str, Any]:
        """Return what an arm adds: `fill_to` and `add`, one of them set."""
        chosen = arm if arm.fill_to or arm.add else self
        return {"fill_to": chosen.fill_to, "add": dict(chosen.add)}

    def generator_of(self, arm: ArmChoice) -> GeneratorChoice:
        """Return how an arm's synthetic images are made."""
        return arm.generator or self.generator

    def needs_generator(self, arm: ArmChoice) -> bool:
        """Return whether an arm takes images or a discriminator from a generator."""
        return arm.arm in NEEDS_POOL or any(map(of_the_generator, self.classifiers_of(arm).values()))

    @property
    def generators(self) -> dict[str, GeneratorChoice]:
        """Return the generators that are trained, each once, by the first arm that takes images from it."""
        found: dict[str, GeneratorChoice] = {}
        for arm in self.arms:
            if self.needs_generator(arm) and self.generator_of(arm) not in found.values():
                found[arm.name if arm.generator else self.name] = self.generator_of(arm)
        return found

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of the repeats."""
        return tuple(range(self.seed, self.seed + self.repeats))

    def to_yaml(self) -> str:
        """Return the whole protocol, defaults included, as YAML."""
        return yaml.safe_dump(self.canonical(), sort_keys=False, allow_unicode=True)
