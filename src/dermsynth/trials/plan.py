"""The jobs of a trial, and the index of their folders: which job needs what, shared work once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.start import weights_sha256
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.labels import load_map
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN
from dermsynth.cohorts.sources import SourceConfig, make_source
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError
from dermsynth.trials import work
from dermsynth.trials.arms import ENLARGES, NEEDS_POOL, amount
from dermsynth.trials.choices import ArmChoice, of_the_generator
from dermsynth.trials.generators import GeneratorChoice
from dermsynth.trials.jobs import Job
from dermsynth.trials.looks import MAIN
from dermsynth.trials.protocol import CohortChoice, Protocol
from dermsynth.trials.synthesis import Synthesis

Fits = dict[str, dict[int, Job]]
"""Jobs by arm and seed."""

_OTHER_SEEDS = 1_000_003
"""Added to a repeat's seed for the synthetic images of its test: none of them is one that an arm learns from."""


def plan(protocol: Protocol) -> tuple[list[Job], dict[str, Any]]:
    """Return the jobs of a trial in the order in which they should start, and the index of their folders.

    The first job is the cohort. The index has, as folders: `cohort`; `runs`, all generators; `pools` of the treatment
    by seed, and `pools_of` every arm; `oracle` by seed; `fits` by arm and seed; `further`, the same for each further
    classifier; `tests`, for each further test the predictions by classifier, arm and seed, and its images in
    `test_images`.

    Raises:
        ConfigError, InputError: a source, a label map or pretrained weights that cannot be used.
    """
    return _Planning(protocol).result()


class _Planning:
    """What has been planned so far."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.cohort = self._cohort()
        self.syntheses = {
            arm.name: Synthesis(protocol, protocol.generator_of(arm), self.cohort)
            for arm in protocol.arms
            if protocol.needs_generator(arm)
        }
        self.oracles: dict[str, dict[int, Job]] = {}
        self.pools: dict[str, dict[int, Job]] = {}
        for arm in protocol.arms:
            if arm.arm == "oracle":
                self.oracles[arm.name] = {seed: self._oracle(arm, r) for r, seed in enumerate(protocol.seeds)}
            if arm.arm in NEEDS_POOL:
                self.pools[arm.name] = {seed: self._pool(arm, r, seed) for r, seed in enumerate(protocol.seeds)}
        self.fits = {
            name: {
                arm.name: self._fits_of(name, protocol.classifiers_of(arm)[name], arm)
                for arm in protocol.arms
                if name in protocol.classifiers_of(arm)
            }
            for name in (MAIN, *protocol.classifiers)
        }
        self.test_images: dict[str, dict[int, Job]] = {}
        self.tests = {name: self._test(name) for name in protocol.tests}

    def result(self) -> tuple[list[Job], dict[str, Any]]:
        """Return the jobs and the index."""
        runs = _once(run for one in self.syntheses.values() for run in one.runs())
        pools = _once(job for by_seed in self.pools.values() for job in by_seed.values())
        images = _once(job for by_seed in self.test_images.values() for job in by_seed.values())
        oracles = _once(job for by_seed in self.oracles.values() for job in by_seed.values())
        seeds = self.protocol.seeds
        fits = [by_seed[seed] for by_arm in self.fits.values() for seed in seeds for by_seed in by_arm.values()]
        wait_for_pool = [job for job in fits if "pool" in job.inputs or "run" in job.inputs]
        at_once = [job for job in fits if job not in wait_for_pool]
        predictions = [
            job
            for by_classifier in self.tests.values()
            for by_arm in by_classifier.values()
            for by_seed in by_arm.values()
            for job in by_seed.values()
        ]
        # Generators take longest and hold others up, so they start first; fits that need none fill the other workers.
        # Images from elsewhere come before everything: what is wrong with them is known before hours are spent.
        external = [job for job in images if job.kind == "cohort"]
        drawn = [job for job in images if job.kind != "cohort"]
        ordered = [self.cohort, *external, *runs, *pools, *wait_for_pool, *oracles, *at_once, *drawn, *predictions]
        return _once(ordered), self._index(runs)

    def _index(self, runs: list[Job]) -> dict[str, Any]:
        main = next((name for name in self.protocol.candidates if name in self.pools), next(iter(self.pools), None))
        oracle = next(iter(self.oracles.values()), {})
        return {
            "cohort": _path(self.cohort),
            "runs": [_path(run) for run in runs],
            "pools": _paths(self.pools[main]) if main else {},
            "pools_of": {name: _paths(by_seed) for name, by_seed in self.pools.items()},
            "oracle": _paths(oracle),
            "fits": _by_arm(self.fits[MAIN]),
            "further": {name: _by_arm(by_arm) for name, by_arm in self.fits.items() if name != MAIN},
            "test_images": {name: _paths(by_seed) for name, by_seed in self.test_images.items()},
            "tests": {
                name: {classifier: _by_arm(by_arm) for classifier, by_arm in found.items()}
                for name, found in self.tests.items()
            },
        }

    def _cohort(self) -> Job:
        settings, seed = self.protocol.cohort, self.protocol.seed
        config = {**self._images(settings.source, settings.labels), "split": settings.split.canonical(), "seed": seed}
        return Job("cohort", work.make_cohort, config, title="cohort")

    def _images(self, source: SourceConfig, labels: str | None) -> dict[str, Any]:
        """Return what images from a source depend on."""
        chosen = source
        if isinstance(chosen, PhantomConfig) and not chosen.seed:
            chosen = chosen.changed(seed=self.protocol.seed)
        return {
            "source": chosen.canonical(),
            "fingerprint": make_source(chosen).fingerprint(),
            "size_px": self.protocol.cohort.size_px,
            **_changes_of(self.protocol.cohort, labels),
        }

    def _oracle(self, arm: ArmChoice, repeat: int) -> Job:
        settings = self.protocol.cohort
        source = self.cohort.config["source"]
        config = {**_amount(self.protocol, arm), "repeat": repeat, "source": source}
        config |= {"size_px": settings.size_px, **_changes_of(settings, settings.labels)}
        seed = self.protocol.seeds[repeat]
        return Job("oracle", work.draw_oracle, config, {"cohort": self.cohort}, f"{arm.name}, new images, seed {seed}")

    def _pool(self, arm: ArmChoice, repeat: int, seed: int) -> Job:
        return self.syntheses[arm.name].pool(
            _amount(self.protocol, arm), repeat, seed, f"{arm.name}, pool, seed {seed}"
        )

    def _fits_of(self, name: str, classifier: FitConfig, arm: ArmChoice) -> dict[int, Job]:
        where = arm.name if name == MAIN else f"{name} on {arm.name}"
        return {
            seed: self._fit(classifier, arm, repeat, f"{where}, seed {seed}")
            for repeat, seed in enumerate(self.protocol.seeds)
        }

    def _fit(self, classifier: FitConfig, arm: ArmChoice, repeat: int, title: str) -> Job:
        seed = self.protocol.seeds[repeat]
        inputs = {"cohort": self.cohort}
        if arm.name in self.pools:
            inputs["pool"] = self.pools[arm.name][seed]
        if arm.name in self.oracles:
            inputs["oracle"] = self.oracles[arm.name][seed]
        chosen = classifier.changed(seed=seed)
        if of_the_generator(chosen):
            inputs["run"] = self.syntheses[arm.name].run(repeat)
        return fit_job(self.protocol, arm, chosen, inputs, title)

    def _test(self, name: str) -> dict[str, Fits]:
        """Return the predictions of a further test, by classifier, arm and seed."""
        choice, seeds = self.protocol.tests[name], self.protocol.seeds
        candidates = self.protocol.candidates
        if choice.source is not None:
            config = self._images(choice.source, choice.labels)
            images = Job("cohort", work.make_external, config, {"cohort": self.cohort}, f"{name}, images")
            of_arm = {arm: dict.fromkeys(seeds, images) for arm in self._looked_at()}
        else:
            of_arm = {
                arm: {
                    seed: self.syntheses[arm].pool(
                        {"add": choice.synthetic}, repeat, seed + _OTHER_SEEDS, f"{name}, {arm}, seed {seed}"
                    )
                    for repeat, seed in enumerate(seeds)
                }
                for arm in candidates
                if arm in self.pools
            }
        self.test_images[name] = next(iter(of_arm.values()))
        return {
            classifier: {
                arm: {
                    seed: Job(
                        "predictions",
                        work.predict_images,
                        {},
                        {"fit": fits[arm][seed], "images": by_seed[seed]},
                        f"{name}, {arm if classifier == MAIN else f'{classifier} on {arm}'}, seed {seed}",
                    )
                    for seed in seeds
                }
                for arm, by_seed in of_arm.items()
                if arm in fits
            }
            for classifier, fits in self.fits.items()
        }

    def _looked_at(self) -> list[str]:
        """Return the arms whose fits are asked about images from elsewhere: those that a look compares, and real."""
        names = [*self.protocol.candidates, self.protocol.control]
        return names + [arm.name for arm in self.protocol.arms if arm.arm == "real" and arm.name not in names]


def fit_job(protocol: Protocol, arm: ArmChoice, classifier: FitConfig, inputs: Mapping[str, Job], title: str) -> Job:
    """Return the job that fits a classifier (with its seed) on an arm."""
    config: dict[str, Any] = {
        "arm": arm.arm,
        **(_amount(protocol, arm) if arm.arm in ENLARGES else {}),
        "classifier": classifier.canonical(),
        "augmentation": protocol.augmentation.canonical() if arm.arm == "classical" else None,
    }
    # The weights behind a path may change and keep its name; jobs without any keep theirs.
    weights = None if of_the_generator(classifier) else weights_sha256(classifier)
    config |= {"weights": weights} if weights else {}
    return Job("fit", work.fit_arm, config, inputs, title)


def check_against(protocol: Protocol, cohort: Cohort) -> None:
    """Raise an error for what only the finished cohort tells, before anything is trained on it.

    Raises:
        ConfigError: an amount that adds nothing or cannot be made, an unknown class, or a subgroup's unknown column.
    """
    train = cohort.part("train").counts()
    for arm in protocol.arms:
        if arm.arm not in ENLARGES:
            continue
        amount_of = protocol.amount(arm)
        wanted = amount(cohort, amount_of["fill_to"], amount_of["add"])
        if not sum(wanted.values()):
            raise ConfigError(
                f"fill_to is {amount_of['fill_to']}, but the smallest class has {min(train.values())} training images "
                f"already, so arm '{arm.name}' would not be enlarged; choose a larger number"
            )
        generator = protocol.generator_of(arm)
        if arm.arm in NEEDS_POOL and generator.translates:
            _check_sources(generator, arm.name, sum(wanted.values()), train)
    for test, choice in protocol.tests.items():
        for name in choice.synthetic:
            if name not in cohort.classes:
                raise ConfigError(f"tests.{test}.synthetic: unknown class '{name}'; {nearest(name, cohort.classes)}")
    for column in protocol.subgroups:
        if column not in cohort.table.columns:
            raise ConfigError(
                f"subgroups: the cohort has no column '{column}'; {nearest(column, cohort.table.columns)}"
            )


def _check_sources(generator: GeneratorChoice, arm: str, wanted: int, train: Mapping[str, int]) -> None:
    sources = generator.sources
    found = sum(train.get(name, 0) for name in sources)
    needed = ceil(wanted * (generator.drawn if generator.screens else 1))
    if needed > found:
        raise ConfigError(
            f"arm '{arm}' takes {needed} translated images, and the train part has {found} of {', '.join(sources)} to "
            "translate; choose a smaller number"
        )


def _amount(protocol: Protocol, arm: ArmChoice) -> dict[str, Any]:
    """Return `fill_to` or `add` of an arm, whichever it has."""
    amount = protocol.amount(arm)
    return {"add": amount["add"]} if amount["add"] else {"fill_to": amount["fill_to"]}


def _changes_of(choice: CohortChoice, labels: str | None) -> dict[str, Any]:
    """Return what is done to labels and pixels, where it is not the usual: jobs without it keep their names."""
    changes: dict[str, Any] = {}
    if labels is not None:
        # The file may change and keep its name: the hash of the job follows what it says.
        changes |= {"labels": labels, "label_map": load_map(labels).canonical()}
    if choice.preprocessing != DEFAULT_CHAIN:
        changes["preprocessing"] = [step.canonical() for step in choice.preprocessing]
    return changes


def _once(jobs: Any) -> list[Job]:
    return list({job.folder: job for job in reversed(list(jobs))}.values())[::-1]


def _path(job: Job) -> str:
    return f"jobs/{job.folder}"


def _paths(by_seed: Mapping[int, Job]) -> dict[str, str]:
    return {str(seed): _path(job) for seed, job in by_seed.items()}


def _by_arm(fits: Mapping[str, Mapping[int, Job]]) -> dict[str, dict[str, str]]:
    return {arm: _paths(by_seed) for arm, by_seed in fits.items()}
