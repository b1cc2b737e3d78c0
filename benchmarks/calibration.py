"""How often is the verdict's interval wrong? Simulated trials with a known truth; prints one line per situation.

    python benchmarks/calibration.py [--trials 1000] [--seeds 3 5]

Every simulated classifier judges a lesion right if a latent score is positive: class difficulty + lesion (same for
both arms) + lesion x arm + churn (lesion x arm x seed) + photo, of variance 1 in all, + a shift of each class and a
shift of all classes by training seed. The true difference is known in closed form. Columns:

    arm sd     standard deviation over seeds of one arm's balanced accuracy on a fixed test set, points
    truth      true difference, points
    wrong      share of trials whose 95 % interval misses the truth, %; should be 5 or less. Its standard error is 0.7
               for 1,000 trials. Where the truth is 0 this is the rate of false findings
    half       median half width of the interval, points
    found      share of trials whose interval lies above 0, %
    nested     `wrong` of a bootstrap nested in seeds without correction for their number
    lesions    `wrong` of the lesion bootstrap alone, seeds held
    seeds      `wrong` of a paired t-test over seeds alone, test set held
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.metrics.statistics import compare

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
    photos = 1 if name.startswith("ISIC") else 3
    wrong: dict[str, list[bool]] = {"ours": [], "nested": [], "lesions": [], "seeds": []}
    halves, found, spreads = [], [], []
    for trial in range(trials):
        labels, number, correct = simulate(generator, lesions, photos, seeds, spread, effect)
        grouped = Lesions.of(labels, number, len(lesions))
        statistic = bootstrap_recalls(correct, grouped, resamples=resamples, seed=trial).balanced_accuracy()
        control, treatment = list(range(seeds)), list(range(seeds, 2 * seeds))
        result = compare(statistic, treatment, control, margin=0.02)
        error = abs(result.difference - true)
        contrast = np.r_[-np.ones(seeds), np.ones(seeds)] / seeds
        lesion_part = float(contrast @ statistic.covariance.sum(axis=0) @ contrast)
        by_seed = np.array(result.by_seed)
        seed_part = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
        wrong["ours"].append(not result.low <= true <= result.high)
        wrong["nested"].append(error > 1.96 * np.sqrt(lesion_part + seed_part * (seeds - 1) / seeds))
        wrong["lesions"].append(error > 1.96 * np.sqrt(lesion_part))
        wrong["seeds"].append(seeds > 1 and error > stdtrit(seeds - 1, 0.975) * np.sqrt(seed_part))
        halves.append((result.high - result.low) / 2)
        found.append(result.low > 0)
        spreads.append(float(statistic.values[control].var(ddof=1)) if seeds > 1 else np.nan)
    share = {key: f"{100 * np.mean(values):7.1f}" for key, values in wrong.items()}
    arm_sd = f"{100 * np.sqrt(np.mean(spreads)):6.1f}" if seeds > 1 else "     –"
    return (
        f"{name:15} {seeds:5} {arm_sd} {100 * true:6.1f} {share['ours']} {100 * np.median(halves):6.1f} "
        f"{100 * np.mean(found):6.1f} {share['nested']} {share['lesions']} {share['seeds'] if seeds > 1 else '      –'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibration of the verdict's intervals by simulation.")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 5, 10], help="numbers of seeds to simulate")
    arguments = parser.parse_args()
    print(
        f"{'test set':15} {'seeds':>5} {'arm sd':>6} {'truth':>6} {'wrong':>7} {'half':>6} {'found':>6} "
        f"{'nested':>7} {'lesions':>7} {'seeds':>7}"
    )
    for name in TEST_SETS:
        for seeds in arguments.seeds:
            for spread in SEED_SPREADS:
                for effect in (0.0, 0.25) if seeds in (3, 5) else (0.0,):
                    print(line(name, seeds, spread, effect, arguments.trials, arguments.resamples), flush=True)


if __name__ == "__main__":
    main()
