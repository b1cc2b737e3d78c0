"""The jobs that make an arm's synthetic images: what the generator learns from, its training, its images."""

from __future__ import annotations

from math import ceil
from typing import Any

from dermsynth.algorithms import algorithm_class
from dermsynth.pools.screens import rules_of
from dermsynth.trials import work
from dermsynth.trials.generators import GeneratorChoice
from dermsynth.trials.jobs import Job
from dermsynth.trials.protocol import Protocol

_JUDGES = 7_000_003
"""Added to the trial's seed for the classifiers that screens ask: none of them is one that is judged."""


class Synthesis:
    """One way of making images, as jobs. Two arms with the same one share all of them."""

    def __init__(self, protocol: Protocol, choice: GeneratorChoice, cohort: Job) -> None:
        self._protocol, self._choice, self._cohort = protocol, choice, cohort

    def run(self, repeat: int) -> Job:
        """Return the training of the one generator that a repeat uses."""
        return self._train(self._replica(repeat))

    def runs(self) -> list[Job]:
        """Return all trainings that are needed before anything is drawn."""
        classes = self._classes() if self._choice.per_class else [None]
        return [self._train(replica, label) for replica in range(self._choice.replicas) for label in classes]

    def pool(self, amount: dict[str, Any], repeat: int, seed: int, title: str) -> Job:
        """Return the job whose folder is the pool of a repeat.

        Args:
            amount: `fill_to` or `add`.
            repeat: Its number, which decides on the generator.
            seed: Of the images.
            title: Of the job.
        """
        choice, replica = self._choice, self._replica(repeat)
        wanted = dict(amount)
        if choice.screens:
            wanted["times"] = choice.drawn
        if choice.refine is not None:
            made = self._refined(wanted, replica, seed, title)
        elif choice.per_class:
            made = self._joined(
                [
                    self._drawn({"add": {n: _times(c, wanted)}}, replica, seed, f"{title}, {n}", n)
                    for n, c in amount["add"].items()
                ],
                title,
            )
        else:
            made = self._drawn(wanted, replica, seed, title)
        if choice.size_px is not None and choice.refine is None:
            size = {"size_px": self._protocol.cohort.size_px}
            made = Job("pool", work.resize_images, size, {"images": made}, f"{title}, enlarged")
        return self._screened(made, amount, title) if choice.screens else made

    @property
    def _sampling(self) -> frozenset[str]:
        """Return the settings that matter only when images are drawn: another value trains nothing again."""
        return algorithm_class(self._choice.algorithm).sampling

    def _replica(self, repeat: int) -> int:
        return repeat % self._choice.replicas

    def _classes(self) -> list[str]:
        """Return the classes that any arm gets images of from this generator."""
        named = [
            self._protocol.amount(arm)["add"]
            for arm in self._protocol.arms
            if self._protocol.generator_of(arm) == self._choice
        ]
        return sorted({label for add in named for label, count in add.items() if count})

    def _material(self) -> Job:
        """Return the images that the generator learns from."""
        choice, seed = self._choice, self._protocol.seed
        found = self._cohort
        if choice.size_px is not None:
            found = Job("cohort", work.resize_images, {"size_px": choice.size_px}, {"images": found}, "smaller images")
        if choice.altered_copies:
            config = {
                "copies": choice.altered_copies,
                "seed": seed,
                "augmentation": self._protocol.augmentation.canonical(),
            }
            found = Job("cohort", work.alter_copies, config, {"cohort": found}, "altered copies")
        if choice.path_rank is not None:
            ranking = self._judge(choice.path_rank.classifier.changed(seed=seed), "ranking classifier")
            config = {"label": choice.target, "keep": choice.path_rank.keep}
            title = f"{choice.target} ranked, {choice.path_rank.keep:g} kept"
            found = Job("cohort", work.rank_paths, config, {"cohort": found, "fit": ranking}, title)
        return found

    def _train(self, replica: int, label: str | None = None) -> Job:
        choice = self._choice
        training = choice.training.changed(seed=self._protocol.seed + replica, classes=(label,) if label else ())
        settings = {key: value for key, value in choice.settings.items() if key not in self._sampling}
        config = {"algorithm": choice.algorithm, "settings": settings, "training": training.canonical()}
        title = f"{choice.algorithm}{f' of {label}' if label else ''}, replica {replica}"
        return Job("run", work.train_generator, config, {"cohort": self._material()}, title)

    def _drawn(self, amount: dict[str, Any], replica: int, seed: int, title: str, label: str | None = None) -> Job:
        run = self._train(replica, label)
        if self._choice.translates:
            ((target, count),) = amount["add"].items()
            config = {"label": target, "count": _times(count, amount), "seed": seed}
            return Job("pool", work.translate_pool, config, {"cohort": self._material(), "run": run}, title)
        config = {**amount, "seed": seed}
        changed = {key: value for key, value in self._choice.settings.items() if key in self._sampling}
        config |= {"settings": changed} if changed else {}
        return Job("pool", work.draw_pool, config, {"cohort": self._cohort, "run": run}, title)

    def _joined(self, pools: list[Job], title: str) -> Job:
        named = {f"pool {number}": pool for number, pool in enumerate(pools)}
        return pools[0] if len(pools) == 1 else Job("pool", work.join_pools, {}, named, f"{title}, together")

    def _refined(self, amount: dict[str, Any], replica: int, seed: int, title: str) -> Job:
        """Return the pool after a CycleGAN for each class, which learns from the very images that it refines."""
        refine = self._choice.refine
        assert refine is not None
        # Repeats that share a generator share its images and what refines them: a CycleGAN takes hours.
        drawn_seed = self._protocol.seed + replica
        counts = {name: _times(count, amount) for name, count in amount["add"].items()}
        if self._choice.per_class:
            drawn = self._joined(
                [self._drawn({"add": {n: c}}, replica, drawn_seed, f"drawn, {n}", n) for n, c in counts.items()],
                "drawn",
            )
        else:
            drawn = self._drawn({"add": counts}, replica, drawn_seed, f"drawn, replica {replica}")
        staged = Job(
            "cohort", work.stage_pool, {}, {"cohort": self._cohort, "pool": drawn}, f"staged, replica {replica}"
        )
        pools = []
        for label, count in counts.items():
            training = refine.training.changed(seed=self._protocol.seed + replica)
            config = {"algorithm": "cyclegan", "settings": refine.of_class(label), "training": training.canonical()}
            run = Job(
                "run", work.train_generator, config, {"cohort": staged}, f"cyclegan of {label}, replica {replica}"
            )
            drawing: dict[str, Any] = {"label": label, "count": count, "seed": seed}
            pools.append(Job("pool", work.translate_pool, drawing, {"cohort": staged, "run": run}, f"{title}, {label}"))
        return self._joined(pools, title)

    def _screened(self, pool: Job, amount: dict[str, Any], title: str) -> Job:
        rules = rules_of(self._choice.screens)
        number = max(rule.classifiers for rule in rules)
        inputs = {"cohort": self._cohort, "pool": pool}
        for judge in range(number):
            classifier = self._protocol.classifier.changed(seed=self._protocol.seed + _JUDGES + judge)
            inputs[f"judge {judge}"] = self._judge(classifier, f"classifier for screens {judge + 1}")
        config = {**amount, "rules": list(self._choice.screens), "encoder": self._choice.training.encoder}
        return Job("pool", work.screen_pool, config, inputs, f"{title}, screened")

    def _judge(self, classifier: Any, title: str) -> Job:
        config = {"arm": "real", "classifier": classifier.canonical(), "augmentation": None}
        return Job("fit", work.fit_arm, config, {"cohort": self._cohort}, title)


def _times(count: int, amount: dict[str, Any]) -> int:
    return ceil(count * float(amount.get("times", 1)))
