"""What a training begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from honed.data import Example, Prepared, Renderer, TokenizedExample
from honed.tune import memory
from honed.worker.adapter_contract import Contract
from honed.worker.evaluation import Evaluation
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Ready:
    """What trainings, of which a sweep makes many, begin with.

    Attributes:
        folder: what is kept for later attempts at the job.
        model: the base, quantised.
        original: what of it a method wants to know from before; see `methods.to_compensate`.
        parameters: of the base.
        train, validation: rows as tokens; the changed copies stand at the end of `train`.
        copies: how many of them there are, by kind.
        replayed: rows of earlier data sets among `train`, by data set.
        evaluation: with what the base answered; None if nothing is evaluated.
        room: the memory that there was before the base was loaded.
    """

    folder: Path
    data: Prepared
    renderer: Renderer
    model: PreTrainedModel
    original: dict[str, Tensor]
    parameters: int
    contract: Contract
    train: Sequence[TokenizedExample]
    validation: Sequence[TokenizedExample]
    copies: dict[str, int]
    replayed: Mapping[str, Sequence[Example]]
    evaluation: Evaluation | None
    room: memory.Room
