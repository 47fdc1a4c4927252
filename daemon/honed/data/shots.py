"""Worked examples, and the prompt that shows them to a model that was not tuned.

A tuned model sees the short prompt of its training rows. A base model that was never told the labels (or the keys) gets
them listed, and worked examples as earlier turns, so that the baseline is a fair one.
"""

import math
import random
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice, zip_longest

import numpy as np
from honed.data.bound_template import BoundTemplate
from honed.data.messages import Example, Message

_WORD = re.compile(r"\w+")


def untuned_prompt(
    bound: BoundTemplate | None, example: Example, labels: Sequence[str], shots: Sequence[Example]
) -> tuple[Message, ...]:
    """The prompt of a row for a base model: the task, what may be answered, the worked examples, the row.

    Args:
        bound: None where rows are conversations; they are asked as they stand.
        shots: training rows, in the order in which they are shown; empty for zero-shot.
    """
    instruction = example.messages[0].content if example.messages[0].role == "system" else ""
    if bound is not None and bound.template.task == "classify":
        instruction = f"{instruction} Answer with exactly one of these labels and nothing else: {', '.join(labels)}."
    elif bound is not None and bound.reply_keys:
        instruction = f"{instruction} Answer with a JSON object of exactly these keys and nothing else: "
        instruction += f"{', '.join(bound.reply_keys)}."
    system = (Message("system", instruction.strip()),) if instruction else ()
    turns = [turn for shot in shots for turn in (*_spoken(shot), Message("assistant", shot.reply))]
    return (*system, *turns, *_spoken(example))


def choose_shots(train: Sequence[Example], labelled: bool, count: int, seed: int) -> list[Example]:
    """`count` training examples to show, drawn by seed; of a labelled table label by label in turn, these drawn too.

    A smaller count gives the beginning of what a larger one gives. Test rows are never among them: they are not in
    `train`.
    """
    draw = random.Random(f"worked examples:{seed}")  # noqa: S311 - no secret
    drawn = draw.sample(train, len(train))
    if not labelled:
        return drawn[:count]
    by_label: defaultdict[str, list[Example]] = defaultdict(list)
    for example in drawn:
        by_label[example.reply].append(example)
    turns = zip_longest(*(by_label[label] for label in draw.sample(sorted(by_label), len(by_label))))
    return list(islice((example for turn in turns for example in turn if example is not None), count))


class SimilarShots:
    """Chooses for each row the training examples whose last user message shares its words.

    The similarity is the cosine of the TF-IDF vectors of the lower-cased words, with the weight
    count * (ln((1 + N) / (1 + n)) + 1) of a word that n of the N training rows hold (scikit-learn's smoothed IDF).
    """

    def __init__(self, train: Sequence[Example]) -> None:
        self._train = train
        self._same: defaultdict[str, list[int]] = defaultdict(list)
        holding: Counter[str] = Counter()
        for index, example in enumerate(train):
            self._same[_question(example)].append(index)
            holding.update(_counts(_question(example)).keys())
        self._idf = {word: math.log((1 + len(train)) / (1 + rows)) + 1 for word, rows in holding.items()}
        rows: defaultdict[str, array[int]] = defaultdict(lambda: array("i"))
        weights: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        for index, example in enumerate(train):  # the words are counted twice, rather than kept for every row
            vector = {word: count * self._idf[word] for word, count in _counts(_question(example)).items()}
            length = math.hypot(*vector.values())
            for word, weight in vector.items():
                rows[word].append(index)
                weights[word].append(weight / length)
        # By word: the rows that hold it, and its weight in each, a row's vector having length 1.
        self._index = {word: (np.frombuffer(rows[word], "i"), np.frombuffer(weights[word])) for word in rows}

    def choose(self, example: Example, count: int) -> list[Example]:
        """The `count` most similar training examples, the most similar last; the earlier row wins a tie.

        A row that asks the same as `example` is never among them, so that no answer is given away.
        """
        text = _question(example)
        scores = np.zeros(len(self._train))
        for word, number in _counts(text).items():
            if word in self._index:
                rows, weights = self._index[word]
                scores[rows] += number * self._idf[word] * weights
        scores[self._same.get(text, [])] = -1
        # Rounded, because sums of the same weights in another order are no longer ties.
        best = np.argsort(-scores.round(9), kind="stable")[:count]
        return [self._train[index] for index in best[::-1] if scores[index] >= 0]


def _spoken(example: Example) -> tuple[Message, ...]:
    return tuple(message for message in example.messages if message.role != "system")


def _question(example: Example) -> str:
    return example.messages[-1].content


def _counts(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))
