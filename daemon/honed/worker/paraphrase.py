"""Copies of training rows that the base model has rephrased, kept where the base itself still finds the right reply."""

from collections.abc import Sequence

import numpy as np
from honed.data import Example, Message, Prepared, Renderer
from honed.data.augment import with_text
from honed.errors import InvalidInput
from honed.evaluate import Progress
from honed.tune.predict import TorchPredictor
from honed.worker.report import Report

_SYSTEM = (
    "Rewrite the user's message. Keep its language, its meaning and every name and number. Do not answer it. "
    "Write only the new message."
)
# Replies are greedy, so that another copy takes another question. It stands in front of the text: a small model that
# is given the text alone answers it.
_QUESTIONS = (
    "Rewrite this message in other words",
    "Rewrite this message as a colleague would put it in a short chat",
    "Rewrite this message as a polite and formal letter would put it",
    "Rewrite this message with its parts in another order and in other words",
)
_LONGEST = 3
_SPARE_TOKENS = 8
_ROWS_AT_ONCE = 64
_TOLERANCE_NATS = 0.1
_SHOWN = 3
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」"}


def paraphrase(
    predictor: TorchPredictor,
    renderer: Renderer,
    data: Prepared,
    examples: Sequence[Example],
    copies: int,
    report: Report,
) -> list[tuple[str, Example]]:
    """Rephrased copies, each with its kind, "paraphrase".

    The base's own check: after a copy it must find the label among all labels (without labels: a token of the reply,
    on average) no less likely than after the original, up to 0.1 nats, a tenth of the probability. `copies` is 1 to 4.
    """
    check = _Check(predictor, renderer, data)
    rows = [example for example in examples if example.messages and check.can_ask(example)]
    texts = [row.messages[-1].content for row in rows]
    seen = [{_folded(text)} for text in texts]
    made: list[tuple[int, Example]] = []  # with the place of the row
    for number, question in enumerate(_QUESTIONS[:copies], start=1):
        report.phase(f"paraphrasing, copy {number} of {copies}")
        for place, answer in enumerate(_ask(predictor, renderer, question, texts, report.rows())):
            text = clean(answer)
            copy = with_text(rows[place], text, f"paraphrase {number}")
            if is_usable(text, texts[place], seen[place]) and check.can_ask(copy):
                seen[place].add(_folded(text))
                made.append((place, copy))
    report.phase("checking paraphrases")
    found = check.likelihoods([*rows, *(copy for _, copy in made)], report.rows()) if made else []
    judged = zip(made, found[len(rows) :], strict=True)
    kept = [copy for (place, copy), after in judged if survives(found[place], after)]
    report.log(
        f"The base was asked for {copies} paraphrases of {len(rows)} of {len(examples)} training rows: {len(made)} are "
        f"usable, {len(kept)} kept, after which it finds the right reply no less likely than after the original."
    )
    for copy in kept[:_SHOWN]:
        report.log(f"row {copy.row}: {copy.messages[-1].content!r}")
    return [("paraphrase", copy) for copy in kept]


def clean(answer: str) -> str:
    """An answer without white space and quotation marks around it."""
    text = answer.strip()
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text


def is_usable(text: str, original: str, seen: set[str]) -> bool:
    """Whether a paraphrase is whole characters, at most 3 times as long as the original, and not seen, but for case
    and spacing, before."""
    return 0 < len(text) <= _LONGEST * len(original) and "\ufffd" not in text and _folded(text) not in seen


def survives(before: float, after: float) -> bool:
    """Whether a log-likelihood has not fallen by more than the tolerance."""
    return after >= before - _TOLERANCE_NATS


class _Check:
    """The base's own check of a copy, through the prompt of an untuned model."""

    def __init__(self, predictor: TorchPredictor, renderer: Renderer, data: Prepared) -> None:
        self._predictor, self._renderer, self._data = predictor, renderer, data
        self._labelled = data.task == "classify"

    def can_ask(self, example: Example) -> bool:
        """Whether the prompt and what is looked for behind it can be written, and fit the context."""
        try:
            prompt, replies = self._prompt(example), self._replies(example)
        except InvalidInput:  # a control token in the text
            return False
        return len(prompt) + max(map(len, replies)) <= self._predictor.context_length

    def likelihoods(self, examples: Sequence[Example], progress: Progress) -> list[float]:
        """Log-probability of each one's label among the labels; without labels, the mean of the reply's tokens."""
        prompts = [self._prompt(example) for example in examples]
        if self._labelled:
            scores = self._predictor.score(prompts, self._replies(examples[0]), progress)
            places = [self._data.labels.index(example.reply) for example in examples]
            return [row[place] - float(np.logaddexp.reduce(row)) for row, place in zip(scores, places, strict=True)]
        replies = [self._renderer.reply(example) for example in examples]
        found = self._predictor.log_likelihoods(prompts, replies, progress)
        return [likelihood / len(reply) for likelihood, reply in zip(found, replies, strict=True)]

    def _prompt(self, example: Example) -> list[int]:
        return self._renderer.prompt(self._data.untuned_prompt(example))

    def _replies(self, example: Example) -> list[list[int]]:
        answers = self._data.labels if self._labelled else (example.reply,)
        return [self._renderer.reply(example, answer) for answer in answers]


def _ask(
    predictor: TorchPredictor, renderer: Renderer, question: str, texts: Sequence[str], progress: Progress
) -> list[str]:
    """What the base makes of each text; empty where it found no end, or no room in the context."""
    answers, system = [""] * len(texts), Message("system", _SYSTEM)
    prompts = [renderer.prompt((system, Message("user", f"{question}: {text}"))) for text in texts]
    lengths = [len(renderer.encode(text)) for text in texts]
    room = [predictor.context_length - len(prompt) for prompt in prompts]
    order = sorted((row for row in range(len(texts)) if lengths[row] < room[row]), key=lambda row: lengths[row])
    for start in range(0, len(order), _ROWS_AT_ONCE):
        rows = order[start : start + _ROWS_AT_ONCE]
        limit = min(_LONGEST * lengths[rows[-1]] + _SPARE_TOKENS, *(room[row] for row in rows))
        replies = predictor.generate([prompts[row] for row in rows], limit, renderer.stop_ids, lambda *_: None)
        for row, reply in zip(rows, replies, strict=True):
            if len(reply.tokens) < limit:
                answers[row] = renderer.tokenizer.decode(reply.tokens, skip_special_tokens=False)
        progress(start + len(rows), len(order))
    return answers


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
