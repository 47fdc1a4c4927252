"""Asks models for the test rows of a data set, and collects what a report is made of."""

import heapq
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from honed import manifest
from honed.data import Example, Prepared, Renderer, SimilarShots, choose_shots
from honed.errors import InvalidInput
from honed.evaluate import (
    GENERAL_TEXT,
    Classifier,
    Evidence,
    Forgetting,
    Latency,
    Predictor,
    Result,
    Scorer,
    Who,
    of_extractions,
    of_labels,
    of_likelihoods,
    of_preferences,
    of_reading,
    of_texts,
    stored,
    write_report,
)
from honed.tune import base, methods
from honed.tune.predict import TorchPredictor
from honed.worker.contract import now
from honed.worker.report import Report

ShotChoice = Literal["per_label", "similar"]
Tokens = list[Sequence[int]]

GENERAL_PROBE = "the built-in probe of general text"
_MAX_DEFAULT_SHOTS = 16
_DEFAULT_SHOTS_WITHOUT_LABELS = 4
_VALIDATION_ROWS = 100
_MAX_EARLIER_ROWS = 500
_SPARE_TOKENS = 4
_MAX_REPLY_TOKENS = 512
_DROP_LONG = "Shorten them, or add the data set again with this model and --drop-long."
_LEAVE_OUT = "It is shown all labels or keys in its prompt; leave it out (when tuning: --skip-evaluation)."
_LONGEST_REPLIES = 100  # the longest in tokens is among the longest in characters


class Evaluation:
    """One data set, the rows of it that are asked, and what has come of asking.

    Nothing about the asking is chosen on the test rows. `check` comes before the first subject is asked.
    """

    def __init__(
        self,
        title: str,
        data: Prepared,
        dataset_name: str,
        report: Report,
        *,
        max_rows: int | None,
        seed: int,
        slice_columns: Sequence[str] = (),
        earlier: Sequence[dict[str, str]] = (),
    ) -> None:
        self._data = data
        self._report = report
        self._columns = slice_columns or data.slice_columns
        self._takes_shots = data.task != "text" and data.shape != "preference"
        self._sources = [(GENERAL_PROBE, GENERAL_TEXT, len(GENERAL_TEXT))]
        for each in earlier:
            manifest.verify(Path(each["folder"]))
            test = Prepared.load(Path(each["folder"])).test
            self._sources.append((each["name"], _drawn(test, _MAX_EARLIER_ROWS, f"evaluate:{seed}"), len(test)))
        rows = _drawn(data.test, max_rows, f"evaluate:{seed}")
        self.evidence = Evidence(
            title=title,
            dataset={
                "name": dataset_name,
                "digest": data.digest,
                "task": data.task,
                "template": data.template.template.name if data.template else "",
                "labels": list(data.labels),
                "train_rows": len(data.train),
                "test_rows": len(data.test),
                "rows_asked": len(rows),
                "row_choice": "all test rows"
                if len(rows) == len(data.test)
                else f"{len(rows)} of {len(data.test)} test rows, drawn with seed {seed}",
            },
            examples=rows,
            seed=seed,
        )

    def check(
        self,
        name: str,
        renderer: Renderer,
        context_length: int,
        *,
        tuned: bool,
        head: bool = False,
        shots: Sequence[int] = (),
    ) -> None:
        """Makes sure that all a subject will be asked fits its context, and that its `shots` can be chosen among.

        Args:
            head: whether it reads the prompts with a classification head, and is asked for nothing else.

        Raises:
            InvalidInput: it does not, or there are too few training rows.
        """
        rows = self.evidence.examples
        if head:
            lengths = list(map(len, self._prompts(renderer, rows, tuned=True)))
            require_fit(f"test row(s), as {name} reads them,", lengths, context_length)
            return
        replies = self._replies(renderer, rows)
        longest = [len(reply) for reply in replies]
        if self._data.shape == "preference":
            rejected = [len(renderer.reply(row, row.rejected)) for row in rows]
            longest = list(map(max, longest, rejected))
        elif self._data.labels:
            longest = [max(len(label) for label in self._labels(renderer))] * len(rows)
        for bare, remedy in ((True, _DROP_LONG),) if tuned else ((True, _DROP_LONG), (False, _LEAVE_OUT)):
            prompts = self._prompts(renderer, rows, tuned=bare)
            needed = [len(prompt) + reply for prompt, reply in zip(prompts, longest, strict=True)]
            require_fit(f"test row(s), as {name} is asked for them,", needed, context_length, remedy)
        if tuned:
            for source, examples, _ in self._sources[1:]:
                require_fit(f"row(s) of {source}", list(map(len, renderer.examples(examples))), context_length)
        elif self._takes_shots:
            self._split_train(shots)

    def untuned(
        self,
        predictor: TorchPredictor,
        renderer: Renderer,
        resource: str,
        shots: Sequence[int],
        choice: ShotChoice,
        name: str = "base",
    ) -> None:
        """Asks a base zero-shot and with worked examples, the best of `shots` where several are given."""
        runtime = f"torch {base.name(predictor.dtype)}"
        if not self._takes_shots:
            self.asked(predictor, renderer, Who(name, resource, runtime, tuned=False))
            return
        pool, validation = self._split_train(shots)
        self.asked(predictor, renderer, Who(f"{name} zero-shot", resource, runtime, tuned=False))
        rows, what = self.evidence.examples, f"worked examples of {name}"
        chooser = _Shots(self._data, pool, choice, self.evidence.seed)
        count = min(shots[0] if shots else self._default_shots(), len(pool))
        if len(shots) > 1:
            found: dict[int, float] = {}
            for tried in dict.fromkeys(min(each, len(pool)) for each in shots):
                who = Who(f"{name} {tried}-shot, to choose", resource, runtime, tuned=False)
                prompts, _ = self._few_shot(predictor, renderer, chooser, validation, tried)
                results = self._results(predictor, renderer, who, validation, prompts)
                found[tried] = max(result.value(result.main) for result in results)
            count = max(found, key=lambda tried: (found[tried], -tried))
            figures = ", ".join(f"{tried}: {value:.3f}" for tried, value in found.items())
            self._choose(what, str(count), f"{len(validation)} training rows held out", f"the best of {figures}")
        prompts, shown = self._few_shot(predictor, renderer, chooser, rows, count)
        if fewer := sum(each < count for each in shown):
            value = f"fewer than {count} for {fewer} of {len(rows)} rows"
            why = f"as many as fit the model's context of {predictor.context_length} tokens, halved from {count}"
            self._choose(what, value, "each row's own prompt", why)
        if any(shown):
            self._ask(predictor, renderer, Who(f"{name} {count}-shot", resource, runtime, tuned=False), prompts)

    def asked(self, predictor: Predictor | Classifier, renderer: Renderer, who: Who) -> None:
        """Asks a tuned model as it was tuned, an untuned one zero-shot."""
        self._ask(predictor, renderer, who, self._prompts(renderer, self.evidence.examples, tuned=who.tuned))

    def forgetting(self, model: methods.TunedModel, renderer: Renderer, name: str) -> None:
        """Compares a tuned model with its own base, the adapter switched off, on texts that it was not tuned on."""
        predictor = TorchPredictor(model)
        for source, examples, all_rows in self._sources:
            self._report.phase(f"measuring what was forgotten of {source}")
            rows = renderer.examples(examples)
            prompts, replies = [row.prompt for row in rows], [row.reply for row in rows]
            with model.disable_adapter():
                before = predictor.log_likelihoods(prompts, replies, self._report.rows())
            after = predictor.log_likelihoods(prompts, replies, self._report.rows())
            tokens = [len(reply) for reply in replies]
            self.evidence.forgetting.append(
                Forgetting.of(source, all_rows, name, before, after, tokens, self.evidence.seed)
            )

    def kept(self) -> dict[str, Any]:
        """What has come of asking so far, as JSON for `recall`."""
        results = [stored.to_json(result) for result in self.evidence.results]
        return {"results": results, "choices": self.evidence.choices}

    def recall(self, kept: dict[str, Any]) -> None:
        """Takes over what an interrupted attempt had asked."""
        self.evidence.choices.extend(kept["choices"])
        for result in map(stored.from_json, kept["results"]):
            self.evidence.results.append(result)
            self._report.evaluation(result.summary())

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the report into a new folder; returns what is published of it."""
        self._report.phase("writing the report")
        folder.mkdir()
        headline = write_report(folder, self.evidence, now(), metadata.version("honed"))
        self._report.log(headline)
        made = manifest.write(folder)
        facts = {
            "dataset": self.evidence.dataset["name"],
            "subjects": list(dict.fromkeys(result.who.resource for result in self.evidence.results)),
            "headline": headline,
        }
        return {"digest": made.digest, "size_bytes": made.size_bytes, "facts": facts}

    def _ask(self, predictor: Predictor | Classifier, renderer: Renderer, who: Who, prompts: Tokens) -> None:
        """Every way of asking that the task has."""
        for result in self._results(predictor, renderer, who, self.evidence.examples, prompts):
            sliced = result.sliced(self.evidence.examples, self._columns, self.evidence.seed)
            self.evidence.results.append(sliced)
            self._report.evaluation(sliced.summary())
            if sliced.cut_answers:
                self._report.log(f"{sliced.cut_answers} of {len(prompts)} answers of {who.name} were cut.")

    def _results(
        self, predictor: Predictor | Classifier, renderer: Renderer, who: Who, rows: Sequence[Example], prompts: Tokens
    ) -> list[Result]:
        seed = self.evidence.seed
        if isinstance(predictor, Classifier):
            self._report.phase(f"asking {who.name}")
            expected, labels = [row.reply for row in rows], self._data.labels
            scores = predictor.classify(prompts, labels, self._report.rows())
            return [of_likelihoods(who, expected, scores, labels, [1] * len(labels), seed)]
        replies = self._replies(renderer, rows)
        tokens = [len(reply) for reply in replies]

        def read(replies: Tokens) -> list[float]:
            self._report.phase(f"reading with {who.name}")
            return predictor.log_likelihoods(prompts, replies, self._report.rows())

        if self._data.task == "text":
            return [of_reading(who, read(replies), tokens, seed)]
        if self._data.shape == "preference":
            rejected: Tokens = [renderer.reply(row, row.rejected) for row in rows]
            return [of_preferences(who, read(replies), read(rejected), tokens, seed)]
        longest = self._longest_answer(renderer)
        self._report.phase(f"asking {who.name}")
        began = time.monotonic()
        answers = predictor.generate(prompts, longest, renderer.stop_ids, self._report.rows())
        latency = Latency.of(answers, time.monotonic() - began)
        texts = [renderer.decode(answer.tokens).strip() for answer in answers]
        if self._data.task == "classify":
            expected, labels = [row.reply for row in rows], self._data.labels
            results = [of_labels(who, expected, texts, labels, latency, seed)]
            if isinstance(predictor, Scorer):
                self._report.phase(f"weighing labels with {who.name}")
                written = self._labels(renderer)
                scores = predictor.score(prompts, written, self._report.rows())
                results.append(of_likelihoods(who, expected, scores, labels, list(map(len, written)), seed))
        else:
            references = [(row.reply, *row.references) for row in rows]
            compare = of_extractions if self._data.task == "extract" else of_texts
            results = [compare(who, texts, references, read(replies), tokens, latency, seed)]
        cut_answers = sum(not answer.stopped for answer in answers)
        return [replace(results[0], cut_answers=cut_answers), *results[1:]]

    def _prompts(self, renderer: Renderer, rows: Sequence[Example], *, tuned: bool) -> Tokens:
        """What stands before the model for each row, without worked examples."""
        if self._data.task == "text":
            return [row.prompt for row in renderer.examples(rows)]
        as_is = tuned or not self._takes_shots
        return [renderer.prompt(row.messages if as_is else self._data.untuned_prompt(row)) for row in rows]

    def _replies(self, renderer: Renderer, rows: Sequence[Example]) -> Tokens:
        if self._data.task == "text":
            return [row.reply for row in renderer.examples(rows)]
        return [renderer.reply(row) for row in rows]

    def _labels(self, renderer: Renderer) -> Tokens:
        return [renderer.reply(self.evidence.examples[0], label) for label in self._data.labels]

    def _longest_answer(self, renderer: Renderer) -> int:
        """Tokens after which an answer is cut, by what the training rows answer."""
        texts = self._data.labels or self._longest_replies
        longest = max((len(renderer.encode(text)) + 1 for text in texts), default=_MAX_REPLY_TOKENS)  # with its end
        if self._data.labels:
            limit, why = longest + _SPARE_TOKENS, f"the longest label, and {_SPARE_TOKENS} to spare"
        else:
            limit, why = min(2 * longest, _MAX_REPLY_TOKENS), f"twice the longest reply, at most {_MAX_REPLY_TOKENS}"
        self._choose("longest answer", f"{limit} tokens", "training rows", why)
        return limit

    @cached_property
    def _longest_replies(self) -> list[str]:
        return heapq.nlargest(_LONGEST_REPLIES, (row.reply for row in self._data.train), key=len)

    def _default_shots(self) -> int:
        labels = len(self._data.labels)
        return min(labels, _MAX_DEFAULT_SHOTS) if labels else _DEFAULT_SHOTS_WITHOUT_LABELS

    def _split_train(self, shots: Sequence[int]) -> tuple[Sequence[Example], Sequence[Example]]:
        """Training rows to show, and others to choose the number of shots on, where there are several.

        Raises:
            InvalidInput: there are too few rows to have both.
        """
        train = self._data.train
        if len(shots) <= 1:
            return train, ()
        validation = _drawn(train, min(_VALIDATION_ROWS, len(train) // 5), f"shots:{self.evidence.seed}")
        asked = {row.messages for row in validation}
        pool = [row for row in train if row.messages not in asked]
        if not validation or not pool:
            raise InvalidInput(
                f"To choose among {len(shots)} numbers of worked examples, some training rows are shown and others, "
                f"which ask something else, are asked: a fifth of at least 5. There are {len(train)}, of which "
                f"{len(pool)} could be shown. Give one number.",
                reason="TRAINING_ROWS_TOO_FEW",
                rows=len(train),
            )
        return pool, validation

    def _few_shot(
        self, predictor: Predictor, renderer: Renderer, chooser: "_Shots", rows: Sequence[Example], count: int
    ) -> tuple[Tokens, list[int]]:
        """A prompt for each row, and how many worked examples it has: `count`, halved until it and an answer fit."""
        answer = self._longest_answer(renderer)
        prompts: Tokens = []
        shown: list[int] = []
        for row in rows:
            room = predictor.context_length - max(answer, len(renderer.reply(row)))
            shots = chooser.of(row, count)
            prompt = renderer.prompt(self._data.untuned_prompt(row, shots))
            fitting = count
            while fitting and len(prompt) > room:
                fitting //= 2
                prompt = renderer.prompt(self._data.untuned_prompt(row, chooser.of(row, fitting)))
            prompts.append(prompt)
            shown.append(fitting)
        return prompts, shown

    def _choose(self, what: str, value: str, split: str, why: str) -> None:
        choice = {"what": what, "value": value, "split": split, "why": why}
        if choice not in self.evidence.choices:
            self.evidence.choices.append(choice)
            self._report.log(f"{what}: {value} ({why}).")


class _Shots:
    """Worked examples for a row."""

    def __init__(self, data: Prepared, pool: Sequence[Example], choice: ShotChoice, seed: int) -> None:
        self._similar = SimilarShots(pool) if choice == "similar" else None
        self._drawn = choose_shots(pool, data.task == "classify", len(pool), seed)

    def of(self, row: Example, count: int) -> list[Example]:
        if self._similar is not None:
            return self._similar.choose(row, count)
        return [shot for shot in self._drawn[:count] if shot.messages != row.messages]


def require_fit(what: str, lengths: Sequence[int], context_length: int, remedy: str = _DROP_LONG) -> None:
    """Raises InvalidInput if a row, so many tokens long with its reply, does not fit: nothing is truncated."""
    too_long = [length for length in lengths if length > context_length]
    if too_long:
        raise InvalidInput(
            f"{len(too_long)} {what} are longer than the model's context of {context_length} tokens; the longest has "
            f"{max(too_long)}. {remedy}",
            reason="ROWS_TOO_LONG",
            rows=len(too_long),
            longest_tokens=max(too_long),
            limit_tokens=context_length,
        )


def _drawn(rows: Sequence[Example], most: int | None, seed: str) -> tuple[Example, ...]:
    """The rows, or `most` of them drawn by seed, in their order."""
    if most is None or most >= len(rows):
        return tuple(rows)
    drawn = random.Random(seed).sample(range(len(rows)), most)  # noqa: S311 - no secret
    return tuple(rows[place] for place in sorted(drawn))
