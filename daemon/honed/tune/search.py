"""Which settings a sweep tries, one trial after another, and which trials it gives up: Optuna's study, in memory.

Everything is drawn from the seed. A later attempt at a sweep tells the losses of the trials that have ended again, and
is then where the earlier one was.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Literal

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.trial import Trial

Strategy = Literal["grid", "random", "halving"]

_FIRST_RUNG = 1  # epochs
_KEPT_SHARE = 2  # one trial in so many goes on from a rung


@dataclass(frozen=True)
class Point:
    """The searched settings of one trial."""

    learning_rate: float
    rank: int
    epochs: float


@dataclass(frozen=True)
class Space:
    """The values of each setting, one or more."""

    learning_rates: Sequence[float]
    ranks: Sequence[int]
    epochs: Sequence[float]


class Candidate:
    """A trial under way."""

    def __init__(self, trial: Trial, point: Point) -> None:
        self.point = point
        self._trial = trial
        self._epochs = 0

    def tell(self, validation_loss: float) -> bool:
        """Takes the loss after a further epoch that is not the last; returns whether to give the trial up."""
        self._epochs += 1
        self._trial.report(validation_loss, self._epochs)
        return self._trial.should_prune()


class Search:
    """The trials of a sweep, one after another.

    "grid" tries every combination; the others draw `count` times between the least and the largest value: learning
    rates evenly on a log scale, epochs as whole numbers if all are whole (Bergstra & Bengio 2012, Random Search for
    Hyper-Parameter Optimization). "halving" gives a trial up after 1, 2, 4, ... epochs unless its loss is in the
    better half of the losses that trials had there so far; the first one there always goes on (asynchronous successive
    halving, Li et al. 2018, arXiv 1810.05934).
    """

    def __init__(self, space: Space, strategy: Strategy, count: int, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would write to standard error after every trial
        pruner: BasePruner = NopPruner()
        if strategy == "halving":
            pruner = SuccessiveHalvingPruner(min_resource=_FIRST_RUNG, reduction_factor=_KEPT_SHARE)
        sampler = RandomSampler(random.Random(f"sweep:{seed}").getrandbits(32))  # noqa: S311 - no secret
        self._study = optuna.create_study(sampler=sampler, pruner=pruner)
        self._space = space
        self._count = count
        if strategy == "grid":
            points = [Point(*values) for values in product(space.learning_rates, space.ranks, space.epochs)]
            self._count = len(points)
            for point in points:
                self._study.enqueue_trial(asdict(point))

    def __len__(self) -> int:
        """Trials in all."""
        return self._count

    def next(self) -> Candidate:
        """The next trial."""
        trial = self._study.ask()
        rates, ranks, epochs = self._space.learning_rates, self._space.ranks, self._space.epochs
        whole = all(map(float.is_integer, map(float, epochs)))
        point = Point(
            trial.suggest_float("learning_rate", min(rates), max(rates), log=True),
            trial.suggest_int("rank", min(ranks), max(ranks)),
            float(trial.suggest_int("epochs", math.floor(min(epochs)), math.floor(max(epochs))))
            if whole
            else trial.suggest_float("epochs", min(epochs), max(epochs)),
        )
        return Candidate(trial, point)
