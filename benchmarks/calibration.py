"""How often is a verdict wrong, and how often does it see what is there? Simulated trials with a known truth.

    python benchmarks/calibration.py [--sections intervals families power speed] [--trials 1000] [--seeds 3 5]

Every simulated classifier judges a lesion right if a latent score is positive: class difficulty + lesion (same for
both arms) + lesion x arm + churn (lesion x arm x seed) + photo, of variance 1 in all, + a shift of each class and a
shift of all classes by training seed. The true difference is known in closed form. The standard error of a share of
1,000 trials is 0.7 at 5 % and 1.3 at 80 %. Columns:

    arm sd     standard deviation over seeds of one arm's balanced accuracy on a fixed test set, points
    truth      true difference, points

intervals:
    wrong      share of trials whose 95 % interval misses the truth, %; should be 5 or less. Where the truth is 0 this
               is the rate of false findings
    half       median half width of the interval, points
    found      share of trials whose interval lies above 0, %
    nested     `wrong` of a bootstrap nested in seeds without correction for their number
    lesions    `wrong` of the lesion bootstrap alone, seeds held
    seeds      `wrong` of a paired t-test over seeds alone, test set held

families, where there is no difference in truth; all in % of trials:
    helps      outcome 'helps' of treatment against control; should be 2.5 or less
    harms      outcome 'harms'; likewise
    class      any class that helps or harms, decided with Holm's adjustment; should be 5 or less
    alone      any class whose own p-value is below 0.05
    Q          p-value of a difference between classes below 0.05; should be 5 or less

power, at the difference that `trial power` promises to see in 80 % of trials:
    promised   chance of 'helps' by `dermsynth.metrics.power`, %, from the noise of one large simulated trial
    helps      outcome 'helps', %

speed: 10,000 redraws of 10 fits of 1,512 images, and the memory they take.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtrit

from dermsynth.metrics.families import decide
from dermsynth.metrics.heterogeneity import heterogeneity
from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.metrics.power import Design, Noise
from dermsynth.metrics.statistics import contrast

FloatArray = npt.NDArray[np.float64]

TEST_SETS = {
    "ISIC 2018 test": np.array([43, 93, 217, 44, 171, 909, 35]),  # one photo per lesion
    "7 x 20 lesions": np.full(7, 20),  # up to three photos per lesion
}
RECALLS = np.array([0.4, 0.6, 0.6, 0.3, 0.5, 0.9, 0.7])
SEED_SPREADS = (0.0, 0.05, 0.1, 0.2)
_LESION, _LESION_ARM, _CHURN, _PHOTO = 0.4, 0.1, 0.3, 0.2


def simulate(
    generator: np.random.Generator,
    lesions: npt.NDArray[np.int64],
    photos: int,
    seeds: int,
    spread: float,
    effect: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return labels (N,), lesion numbers (N,) and correctness (N, 2S): S fits of the control, then of the treatment."""
    total = int(lesions.sum())
    number = np.repeat(np.arange(total), generator.integers(1, photos + 1, total))
    labels = np.repeat(np.arange(len(lesions)), lesions)[number]

    def normal(variance: float, *shape: int) -> FloatArray:
        return generator.normal(0, variance**0.5, size=shape)

    of_lesion = normal(_LESION, total, 1, 1) + normal(_LESION_ARM, total, 2, 1) + normal(_CHURN, total, 2, seeds)
    of_seed = normal(spread**2 / 2, len(lesions), 2, seeds) + normal(spread**2 / 2, 1, 2, seeds)
    difficulty = ndtri(RECALLS) * np.sqrt(1 + spread**2)
    score = (
        difficulty[labels][:, None, None]
        + np.array([0, effect])[None, :, None]
        + of_lesion[number]
        + of_seed[labels]
        + normal(_PHOTO, len(number), 2, seeds)
    )
    return labels, number, (score > 0).reshape(len(number), 2 * seeds)


def truth(spread: float, effect: float) -> float:
    """Return the difference in expected balanced accuracy."""
    scale = np.sqrt(1 + spread**2)
    return float((ndtr(ndtri(RECALLS) + effect / scale) - ndtr(ndtri(RECALLS))).mean())


def line(name: str, seeds: int, spread: float, effect: float, trials: int, resamples: int) -> str:
    """Simulate one situation and return its line of the table."""
    generator = np.random.default_rng([seeds, int(1000 * spread), int(1000 * effect), len(name)])
    lesions, true = TEST_SETS[name], truth(spread, effect)
    wrong: dict[str, list[bool]] = {"ours": [], "nested": [], "lesions": [], "seeds": []}
    halves, found, spreads = [], [], []
    for trial in range(trials):
        labels, number, correct = simulate(generator, lesions, photos_of(name), seeds, spread, effect)
        grouped = Lesions.of(labels, number, len(lesions))
        statistic = bootstrap_recalls(correct, grouped, resamples=resamples, seed=trial).balanced_accuracy()
        control, treatment = list(range(seeds)), list(range(seeds, 2 * seeds))
        result = contrast(statistic, [treatment, control], [1.0, -1.0])
        low, high = result.interval(0.95)
        error = abs(result.value - true)
        weights = np.r_[-np.ones(seeds), np.ones(seeds)] / seeds
        lesion_part = float(weights @ statistic.covariance.sum(axis=0) @ weights)
        by_seed = np.array(result.by_seed)
        seed_part = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
        wrong["ours"].append(not low <= true <= high)
        wrong["nested"].append(error > 1.96 * np.sqrt(lesion_part + seed_part * (seeds - 1) / seeds))
        wrong["lesions"].append(error > 1.96 * np.sqrt(lesion_part))
        wrong["seeds"].append(seeds > 1 and error > stdtrit(seeds - 1, 0.975) * np.sqrt(seed_part))
        halves.append((high - low) / 2)
        found.append(low > 0)
        spreads.append(float(statistic.values[control].var(ddof=1)) if seeds > 1 else np.nan)
    share = {key: f"{100 * np.mean(values):7.1f}" for key, values in wrong.items()}
    arm_sd = f"{100 * np.sqrt(np.mean(spreads)):6.1f}" if seeds > 1 else "     –"
    return (
        f"{name:15} {seeds:5} {arm_sd} {100 * true:6.1f} {share['ours']} {100 * np.median(halves):6.1f} "
        f"{100 * np.mean(found):6.1f} {share['nested']} {share['lesions']} {share['seeds'] if seeds > 1 else '      –'}"
    )


def arms(seeds: int) -> tuple[list[int], list[int]]:
    """Return the fits of the treatment and of the control."""
    return list(range(seeds, 2 * seeds)), list(range(seeds))


def photos_of(name: str) -> int:
    """Return the most photos of a lesion."""
    return 1 if name.startswith("ISIC") else 3


def families_line(name: str, seeds: int, spread: float, trials: int, resamples: int) -> str:
    """Simulate trials without a difference, decide them as a verdict does, and return a line of the table."""
    generator = np.random.default_rng([seeds, int(1000 * spread), len(name)])
    lesions, classes = TEST_SETS[name], len(TEST_SETS[name])
    said: dict[str, list[bool]] = {"helps": [], "harms": [], "class": [], "alone": [], "Q": []}
    spreads = []
    for trial in range(trials):
        labels, number, correct = simulate(generator, lesions, photos_of(name), seeds, spread, 0.0)
        recalls = bootstrap_recalls(correct, Lesions.of(labels, number, classes), resamples=resamples, seed=trial)
        pair = arms(seeds)
        whole = recalls.balanced_accuracy()
        of_class = [contrast(recalls.of_class(c), pair, [1.0, -1.0]) for c in range(classes)]
        outcome = decide([contrast(whole, pair, [1.0, -1.0])], margin=0.02)[0].outcome
        said["helps"].append(outcome == "helps")
        said["harms"].append(outcome == "harms")
        said["class"].append(any(one.outcome in ("helps", "harms") for one in decide(of_class, margin=0.02)))
        said["alone"].append(any(one.p_value < 0.05 for one in of_class))
        said["Q"].append(heterogeneity(of_class).p_value < 0.05)
        spreads.append(float(whole.values[pair[1]].var(ddof=1)))
    shares = " ".join(f"{100 * np.mean(values):7.1f}" for values in said.values())
    return f"{name:15} {seeds:5} {100 * np.sqrt(np.mean(spreads)):6.1f} {shares}"


def power_line(name: str, seeds: int, spread: float, trials: int, resamples: int) -> str:
    """Hold the promised power against simulated trials and return a line of the table."""
    generator = np.random.default_rng([seeds, int(1000 * spread), len(name), 1])
    lesions, classes, margin = TEST_SETS[name], len(TEST_SETS[name]), 0.02

    def design(effect: float) -> Design:
        same = np.random.default_rng(0)  # so that the difference sought is not blurred by other draws
        labels, number, correct = simulate(same, 2 * lesions, photos_of(name), 300, spread, effect)
        noise = Noise.measured(correct, Lesions.of(labels, number, classes), *arms(300))
        return Design.of_endpoint(noise, lesions, seeds, margin=margin, confidence=0.95)

    def effect_of(difference: float) -> float:
        return float(brentq(lambda effect: truth(spread, effect) - difference, 0.0, 3.0))

    # The noise depends a little on the effect, so the difference is sought twice.
    effect = effect_of(design(effect_of(design(0.25).smallest_difference(0.8))).smallest_difference(0.8))
    promised = design(effect).chance_of_helps(truth(spread, effect))
    helped, spreads = [], []
    for trial in range(trials):
        labels, number, correct = simulate(generator, lesions, photos_of(name), seeds, spread, effect)
        recalls = bootstrap_recalls(correct, Lesions.of(labels, number, classes), resamples=resamples, seed=trial)
        whole, pair = recalls.balanced_accuracy(), arms(seeds)
        outcome = decide([contrast(whole, pair, [1.0, -1.0])], margin=margin)[0].outcome
        helped.append(outcome == "helps")
        spreads.append(float(whole.values[pair[1]].var(ddof=1)))
    return (
        f"{name:15} {seeds:5} {100 * np.sqrt(np.mean(spreads)):6.1f} {100 * truth(spread, effect):6.1f} "
        f"{100 * promised:8.1f} {100 * np.mean(helped):7.1f}"
    )


def speed() -> str:
    """Time the redraws of a whole trial, and measure the memory they take."""
    labels, number, correct = simulate(np.random.default_rng(0), TEST_SETS["ISIC 2018 test"], 1, 5, 0.1, 0.0)
    lesions = Lesions.of(labels, number, 7)
    begin = time.perf_counter()
    bootstrap_recalls(correct, lesions, resamples=10_000)
    wall_s = time.perf_counter() - begin
    tracemalloc.start()
    bootstrap_recalls(correct, lesions, resamples=10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return f"10,000 redraws x {correct.shape[1]} fits x {len(labels):,} images: {wall_s:.1f} s, {peak / 2**20:.0f} MiB"


HEADINGS = {
    "intervals": f"{'truth':>6} {'wrong':>7} {'half':>6} {'found':>6} {'nested':>7} {'lesions':>7} {'seeds':>7}",
    "families": f"{'helps':>7} {'harms':>7} {'class':>7} {'alone':>7} {'Q':>7}",
    "power": f"{'truth':>6} {'promised':>8} {'helps':>7}",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibration of the verdict by simulation.")
    parser.add_argument("--sections", nargs="+", choices=[*HEADINGS, "speed"], default=[*HEADINGS, "speed"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 5, 10], help="numbers of seeds to simulate")
    arguments = parser.parse_args()
    counts = (arguments.trials, arguments.resamples)
    for section in arguments.sections:
        if section == "speed":
            print(f"\n{speed()}", flush=True)
            continue
        print(f"\n{section}\n{'test set':15} {'seeds':>5} {'arm sd':>6} {HEADINGS[section]}", flush=True)
        for name in TEST_SETS:
            for seeds in arguments.seeds:
                if seeds == 1 and section != "intervals":
                    continue
                for spread in SEED_SPREADS:
                    if section == "intervals":
                        for effect in (0.0, 0.25) if seeds in (3, 5) else (0.0,):
                            print(line(name, seeds, spread, effect, *counts), flush=True)
                    else:
                        one = families_line if section == "families" else power_line
                        print(one(name, seeds, spread, *counts), flush=True)


if __name__ == "__main__":
    main()
