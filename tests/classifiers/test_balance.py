"""The losses against their closed forms, and what they do to gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from dermsynth.classifiers.balance import class_weights, cross_entropy, focal, loss_of, weighted_cross_entropy
from dermsynth.core.errors import InputError

COUNTS = {"df": 10, "mel": 30, "nv": 160}
LABELS = torch.tensor([0, 1, 2, 2, 1, 2])


def scores() -> torch.Tensor:
    return torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def gradient(loss: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    given = scores()
    loss(given).backward()
    assert given.grad is not None
    return given.grad


def test_class_weights_are_scikit_learns() -> None:
    counts = np.array(list(COUNTS.values()))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(np.arange(3), counts))
    np.testing.assert_allclose(class_weights(counts), expected)


def test_a_weight_scales_the_gradient_of_its_images_and_of_no_other() -> None:
    weights = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)
    plain = gradient(lambda found: cross_entropy(found, LABELS))
    weighed = gradient(lambda found: weighted_cross_entropy(found, LABELS, weights))
    torch.testing.assert_close(weighed, weights[LABELS][:, None] * plain, rtol=1e-12, atol=0)


def test_equal_classes_are_weighed_as_if_there_were_no_weights() -> None:
    loss = loss_of("weighted", {"mel": 7, "nv": 7, "df": 7}, 0.1)
    torch.testing.assert_close(loss(scores().float(), LABELS), cross_entropy(scores().float(), LABELS, 0.1))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_focal_loss_with_gamma_0_is_the_cross_entropy(label_smoothing: float) -> None:
    plain = gradient(lambda found: cross_entropy(found, LABELS, label_smoothing))
    found = gradient(lambda given: focal(given, LABELS, 0.0, label_smoothing))
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(focal(scores(), LABELS, 0.0), cross_entropy(scores(), LABELS))


def test_the_focal_loss_is_its_formula() -> None:
    p = scores().softmax(dim=1)[torch.arange(6), LABELS]
    torch.testing.assert_close(focal(scores(), LABELS, 2.0), (-((1 - p) ** 2) * p.log()).mean())


def test_the_focal_loss_of_an_image_that_is_surely_right_is_finite_and_so_is_its_gradient() -> None:
    sure = torch.tensor([[200.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = focal(sure, torch.tensor([0, 0]), 2.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()
    assert sure.grad[0].abs().max() < 1e-6


def test_logit_adjustment_is_the_pairwise_margin_of_its_paper() -> None:
    # Menon et al. 2021 (arXiv:2007.07314), equation 10: log[1 + sum over y' of (pi_y' / pi_y)^tau exp(f_y' - f_y)].
    given, share = scores().detach().numpy(), np.array(list(COUNTS.values())) / 200
    expected = np.mean(
        [
            np.log1p(sum(share[o] / share[y] * np.exp(row[o] - row[y]) for o in range(3) if o != y))
            for row, y in zip(given, LABELS.numpy(), strict=True)
        ]
    )
    assert loss_of("logit-adjusted", COUNTS, 0.0)(scores(), LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_a_classifier_that_sees_nothing_is_taught_to_prefer_no_class() -> None:
    # Without features the best scores of a cross entropy are the log shares; adjusted, they are all alike.
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(list(COUNTS.values())))
    found = {}
    for balance in ("none", "logit-adjusted", "weighted"):
        bias = torch.zeros(3, requires_grad=True)
        optimiser = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")
        loss = loss_of(balance, COUNTS, 0.0)  # type: ignore[arg-type]

        def closure(bias=bias, optimiser=optimiser, loss=loss) -> float:  # type: ignore[no-untyped-def]
            optimiser.zero_grad()
            value = loss(bias.expand(len(labels), 3), labels)
            value.backward()
            return float(value.detach())

        optimiser.step(closure)
        found[balance] = bias.detach().softmax(dim=0).tolist()
    assert found["none"] == pytest.approx([0.05, 0.15, 0.8], abs=1e-3)
    assert found["logit-adjusted"] == pytest.approx([1 / 3] * 3, abs=1e-3)
    assert found["weighted"] == pytest.approx([1 / 3] * 3, abs=1e-3)


@pytest.mark.parametrize("balance", ["none", "weighted", "focal", "logit-adjusted"])
def test_labels_may_be_shares_of_classes(balance: str) -> None:
    loss = loss_of(balance, COUNTS, 0.1)  # type: ignore[arg-type]
    given = scores().float()
    torch.testing.assert_close(loss(given, F.one_hot(LABELS, 3).float()), loss(given, LABELS))
    mixed = 0.3 * F.one_hot(LABELS, 3) + 0.7 * F.one_hot(LABELS.flip(0), 3)
    expected = 0.3 * loss(given, LABELS) + 0.7 * loss(given, LABELS.flip(0))
    torch.testing.assert_close(loss(given, mixed), expected)


@pytest.mark.parametrize("balance", ["weighted", "logit-adjusted"])
def test_an_empty_class_has_no_weight(balance: str) -> None:
    with pytest.raises(InputError, match=f"class 'df' has no image in train, so a {balance} loss has no weight for it"):
        loss_of(balance, {**COUNTS, "df": 0}, 0.0)  # type: ignore[arg-type]
    loss_of("focal", {**COUNTS, "df": 0}, 0.0)
