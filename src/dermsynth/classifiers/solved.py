"""A classifier on frozen features: it is solved for, not trained in steps, and validation chooses among candidates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dermsynth.classifiers import build, find
from dermsynth.classifiers.choose import Line, scores
from dermsynth.classifiers.networks.frozen import Neighbours, Standardised
from dermsynth.classifiers.networks.network import Network
from dermsynth.cohorts.augment.geometry import views
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.randomness import global_torch_seed
from dermsynth.training.device import make_fabric, place, to_network

if TYPE_CHECKING:
    from dermsynth.classifiers.config import FitConfig

REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates of a probe: scikit-learn's C, the weight of the images' losses against the squared weights."""
NEIGHBOURS = (1, 5, 11, 21, 51)
"""Candidates of `knn`: how many neighbours vote."""
_ABSENT = -1e4
"""The score of a class that no training image has: its probability is 0."""


class Solved:
    """A linear layer, neighbours, or a discriminator's own layer, on features of a network that stays as it is.

    It stands where `Run` does for networks that are trained in steps. Every candidate is scored on validation, and the
    first of the best is chosen.

    Attributes:
        network: The network; `predictor` is the same.
        history: A line for every candidate.
        chosen_line: That of the chosen one.
        images_seen: Training images that it learnt from, repeats counted.
    """

    def __init__(self, train: Cohort, val: Cohort, config: FitConfig, rows: NDArray[np.int64]) -> None:
        self.train, self.val, self.config, self.rows = train, val, config, rows
        self.classes = train.classes
        counts = np.bincount(train.labels[rows], minlength=len(self.classes))
        self.train_counts = {name: int(count) for name, count in zip(self.classes, counts, strict=True)}
        self.fabric = make_fabric(config.precision)
        with global_torch_seed(config.seed, "init"):
            self.network: Network = build(config, len(self.classes), train.size_px)
        place(self.network, self.fabric)
        self.predictor = self.network
        self._kind = find(config.model).head
        self.images_seen = 0 if self._kind == "own" else len(rows)
        self.history: list[Line] = []
        self.chosen_line: Line = {}
        self._chosen: dict[str, Tensor] = {}

    def solve(self) -> None:
        """Try the candidates and keep the best."""
        seen = self._features(self.val, np.arange(len(self.val)), self.config.tta)
        for settings in self._candidates():
            probabilities = torch.stack([self.network.head(view).softmax(dim=1) for view in seen]).mean(dim=0)
            line = {"images_seen": self.images_seen, **settings}
            line |= scores(self.config.choose_by, self.val.labels, probabilities.cpu().numpy())
            self.history.append(line)
            score = f"val_{self.config.choose_by}"
            if not self.chosen_line or line[score] > self.chosen_line[score]:
                self.chosen_line = line
                self._chosen = {name: tensor.clone() for name, tensor in self.network.head.state_dict().items()}

    def restore_chosen(self) -> None:
        """Put the best candidate into the network."""
        self.network.head.load_state_dict(self._chosen)

    def _candidates(self) -> Iterator[Line]:
        """Put one candidate after the other into the network; yield what it is."""
        if self._kind == "own":
            yield {}
            return
        head = self.network.head
        assert isinstance(head, nn.Sequential)
        standardised, last = head
        assert isinstance(standardised, Standardised)
        # A row that stands in the arm several times has its features computed once.
        rows, index = np.unique(self.rows, return_inverse=True)
        features = self._features(self.train, rows)[0][torch.from_numpy(index)]
        standardised.learn(features)
        features = standardised(features)
        labels = self.train.labels[self.rows]
        if isinstance(last, Neighbours):
            for count in [count for count in NEIGHBOURS if count <= len(labels)]:
                last.learn(features, torch.from_numpy(labels).to(features.device), count)
                yield {"neighbours": count}
            return
        for regularisation in REGULARISATIONS:
            _regress(last, features, labels, regularisation)
            yield {"regularisation": regularisation}

    def _features(self, cohort: Cohort, rows: NDArray[np.int64], tta: int = 1) -> Tensor:
        """Return the features of rows of a cohort, views x N x D."""
        found, count = [], self.network.at_once(cohort.size_px)
        for start in range(0, len(rows), count):
            images = to_network(torch.from_numpy(cohort.images[rows[start : start + count]]), self.fabric)
            found.append(torch.stack([self.network.features(view) for view in views(images, tta)]))
        return torch.cat(found, dim=1)


def _regress(layer: nn.Module, features: Tensor, labels: NDArray[np.int64], regularisation: float) -> None:
    """Set a linear layer to the multinomial logistic regression of labels on features."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=regularisation, max_iter=2000).fit(features.cpu().double().numpy(), labels)
    assert isinstance(layer, nn.Linear)
    weight, bias = torch.from_numpy(found.coef_).float(), torch.from_numpy(found.intercept_).float()
    if len(found.classes_) == 2:  # one score, of the second class against the first
        weight, bias = torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(_ABSENT)
        present = torch.from_numpy(found.classes_).to(layer.weight.device)
        layer.weight[present] = weight.to(layer.weight.device)
        layer.bias[present] = bias.to(layer.bias.device)
