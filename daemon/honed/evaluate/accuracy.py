"""Accuracy on held-out rows, by the greedy reply and, for a closed set of labels, by likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from honed.data import Message, Prepared, Renderer, choose_shots
from honed.evaluate.predictors import Generator, Progress, Scorer

MAX_SHOTS = 16
_SPARE_TOKENS = 4
_MAX_REPLY_TOKENS = 512


@dataclass(frozen=True)
class Evaluation:
    """Rows answered correctly, of all that were asked."""

    subject: str
    mode: Literal["free", "likelihood"]
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.total


def zero_shot_prompts(data: Prepared) -> list[tuple[Message, ...]]:
    """A prompt for each test row that tells a base model the task and the labels."""
    return [data.template.zero_shot(example, data.labels) for example in data.test]


def few_shot_prompts(data: Prepared, count: int | None) -> tuple[list[tuple[Message, ...]], int]:
    """Zero-shot prompts with worked training examples before each test row, and how many.

    `count` None means one a label, at most MAX_SHOTS (4 without labels).
    """
    wanted = min(len(data.labels) or 4, MAX_SHOTS) if count is None else count
    shots = choose_shots(data.train, data.template.labelled, wanted)
    return [data.template.few_shot(example, data.labels, shots) for example in data.test], len(shots)


def tuned_prompts(data: Prepared) -> list[tuple[Message, ...]]:
    """The prompts of the test rows as the model was tuned on them."""
    return [example.messages for example in data.test]


def free_accuracy(
    predictor: Generator,
    renderer: Renderer,
    data: Prepared,
    prompts: Sequence[Sequence[Message]],
    subject: str,
    progress: Progress,
) -> Evaluation:
    """Greedy replies, compared without case, outer white space and a final full stop."""
    longest = max(len(renderer.reply(example)) for example in data.test)
    replies = predictor.generate(
        [renderer.prompt(prompt) for prompt in prompts],
        min(longest + _SPARE_TOKENS, _MAX_REPLY_TOKENS),
        renderer.stop_ids,
        progress,
    )
    correct = sum(
        _plain(renderer.decode(reply)) == _plain(example.reply)
        for reply, example in zip(replies, data.test, strict=True)
    )
    return Evaluation(subject, "free", correct, len(data.test))


def likelihood_accuracy(
    predictor: Scorer,
    renderer: Renderer,
    data: Prepared,
    prompts: Sequence[Sequence[Message]],
    subject: str,
    progress: Progress,
) -> Evaluation:
    """The label, with its end-of-turn, that the model finds most likely."""
    sample = data.test[0]
    replies = [renderer.reply(type(sample)(sample.messages, label)) for label in data.labels]
    scores = predictor.score([renderer.prompt(prompt) for prompt in prompts], replies, progress)
    correct = sum(
        data.labels[max(range(len(row)), key=row.__getitem__)] == example.reply
        for row, example in zip(scores, data.test, strict=True)
    )
    return Evaluation(subject, "likelihood", correct, len(data.test))


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").casefold()
