"""Asks models for the test rows of a data set, and collects what a report is made of."""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from honed import manifest
from honed.data import Example, Message, Prepared, Renderer, SimilarShots, choose_shots
from honed.errors import InvalidInput
from honed.evaluate import (
    GENERAL_TEXT,
    Evidence,
    Forgetting,
    Latency,
    Predictor,
    Result,
    Who,
    compare_nll,
    nll_metrics,
    of_labels,
    of_likelihoods,
    of_preferences,
    of_reading,
    of_texts,
    write_report,
)
from honed.tune.predict import TorchPredictor
from honed.worker.contract import now
from honed.worker.report import Report
from peft import PeftModel

ShotChoice = Literal["per_label", "similar"]
Prompts = list[tuple[Message, ...]]

GENERAL_PROBE = "the built-in probe of general text"
_MAX_DEFAULT_SHOTS = 16
_DEFAULT_SHOTS_WITHOUT_LABELS = 4
_VALIDATION_ROWS = 100
_MAX_EARLIER_ROWS = 500
_SPARE_TOKENS = 4
_MAX_REPLY_TOKENS = 512


class Evaluation:
    """One data set, the rows of it that are asked, and what has come of asking."""

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
    ) -> None:
        self._data = data
        self._report = report
        self._columns = slice_columns or data.slice_columns
        self._takes_shots = data.task != "text" and data.shape != "preference"
        rows, all_rows = data.test, len(data.test)
        if max_rows is not None and max_rows < all_rows:
            drawn = random.Random(f"evaluate:{seed}").sample(range(all_rows), max_rows)  # noqa: S311 - no secret
            rows = tuple(rows[place] for place in sorted(drawn))
        everything = len(rows) == all_rows
        self.evidence = Evidence(
            title=title,
            dataset={
                "name": dataset_name,
                "digest": data.digest,
                "task": data.task,
                "template": data.template.template.name if data.template else "",
                "labels": list(data.labels),
                "train_rows": len(data.train),
                "test_rows": all_rows,
                "rows_asked": len(rows),
                "row_choice": "all test rows"
                if everything
                else f"{len(rows)} of {all_rows} test rows, drawn with seed {seed}",
            },
            examples=rows,
            seed=seed,
        )

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
        rows = self.evidence.examples
        runtime = f"torch {_dtype(predictor)}"
        first = f"{name} zero-shot" if self._takes_shots else name
        self.asked(predictor, renderer, Who(first, resource, runtime, tuned=False))
        if not self._takes_shots:
            return
        pool, validation = self._split_train() if len(shots) > 1 else (self._data.train, ())
        chooser = _Shots(self._data, pool, choice)
        count = self._best_count(predictor, renderer, chooser, validation, shots, resource)
        count = self._fitting(predictor, renderer, chooser, count)
        if count:
            few = [self._data.untuned_prompt(row, chooser.of(row, count)) for row in rows]
            self._ask(predictor, renderer, Who(f"{name} {count}-shot", resource, runtime, tuned=False), few)

    def asked(self, predictor: Predictor, renderer: Renderer, who: Who) -> None:
        """Asks a tuned model as it was tuned, an untuned one zero-shot."""
        rows = self.evidence.examples
        as_is = who.tuned or not self._takes_shots
        self._ask(predictor, renderer, who, [row.messages if as_is else self._data.untuned_prompt(row) for row in rows])

    def forgetting(self, model: PeftModel, renderer: Renderer, name: str, earlier: Sequence[dict[str, str]]) -> None:
        """Compares a tuned model with its own base, the adapter switched off, on texts that it was not tuned on."""
        sources = [(GENERAL_PROBE, GENERAL_TEXT)]
        sources += [(each["name"], Prepared.load(Path(each["folder"])).test[:_MAX_EARLIER_ROWS]) for each in earlier]
        predictor = TorchPredictor(model)
        for source, examples in sources:
            self._report.phase(f"measuring what was forgotten of {source}")
            rows = renderer.examples(examples)
            prompts, replies = [row.prompt for row in rows], [row.reply for row in rows]
            with model.disable_adapter():
                before = predictor.log_likelihoods(prompts, replies, self._report.rows())
            after = predictor.log_likelihoods(prompts, replies, self._report.rows())
            self.evidence.forgetting.append(_forgetting(source, name, replies, before, after, self.evidence.seed))

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

    def _ask(self, predictor: Predictor, renderer: Renderer, who: Who, prompts: Prompts) -> None:
        """Every way of asking that the task has."""
        for result in self._results(predictor, renderer, who, self.evidence.examples, prompts):
            sliced = result.sliced(self.evidence.examples, self._columns, self.evidence.seed)
            self.evidence.results.append(sliced)
            self._report.evaluation(sliced.summary())

    def _results(
        self, predictor: Predictor, renderer: Renderer, who: Who, rows: Sequence[Example], prompts: Prompts
    ) -> list[Result]:
        seed = self.evidence.seed
        if self._data.task == "text":
            tokens = renderer.examples(rows)
            lengths = [len(row.reply) for row in tokens]
            self._report.phase(f"reading with {who.name}")
            found = predictor.log_likelihoods(
                [row.prompt for row in tokens], [row.reply for row in tokens], self._report.rows()
            )
            return [of_reading(who, found, lengths, seed)]
        asked = [renderer.prompt(prompt) for prompt in prompts]
        replies = [renderer.reply(row) for row in rows]
        if self._data.shape == "preference":
            self._report.phase(f"reading with {who.name}")
            rejected = [renderer.reply(row, row.rejected) for row in rows]
            good, bad = (predictor.log_likelihoods(asked, each, self._report.rows()) for each in (replies, rejected))
            return [of_preferences(who, good, bad, [len(reply) for reply in replies], seed)]
        self._report.phase(f"asking {who.name}")
        began = time.monotonic()
        longest = min(max(map(len, replies)) + _SPARE_TOKENS, _MAX_REPLY_TOKENS)
        answers = predictor.generate(asked, longest, renderer.stop_ids, self._report.rows())
        latency = Latency.of(answers, time.monotonic() - began)
        texts = [renderer.decode(answer.tokens).strip() for answer in answers]
        if self._data.task != "classify":
            references = [(row.reply, *row.references) for row in rows]
            result = of_texts(who, texts, references, latency, seed, extraction=self._data.task == "extract")
            self._report.phase(f"reading with {who.name}")
            found = predictor.log_likelihoods(asked, replies, self._report.rows())
            nll = nll_metrics(found, [len(reply) for reply in replies], seed)
            return [replace(result, metrics=(*result.metrics, *nll))]
        expected, labels = [row.reply for row in rows], self._data.labels
        results = [of_labels(who, expected, texts, labels, latency, seed)]
        if isinstance(predictor, TorchPredictor):
            self._report.phase(f"weighing labels with {who.name}")
            written = [renderer.reply(rows[0], label) for label in labels]
            scores = predictor.score(asked, written, self._report.rows())
            results.append(of_likelihoods(who, expected, scores, labels, [len(label) for label in written], seed))
        return results

    def _split_train(self) -> tuple[Sequence[Example], Sequence[Example]]:
        """Training rows to show, and others to choose the number of shots on."""
        train = self._data.train
        count = min(_VALIDATION_ROWS, len(train) // 5)
        drawn = set(random.Random(f"shots:{self.evidence.seed}").sample(range(len(train)), count))  # noqa: S311
        validation = [train[place] for place in sorted(drawn)]
        asked = {row.messages for row in validation}
        return [row for row in train if row.messages not in asked], validation

    def _best_count(
        self,
        predictor: TorchPredictor,
        renderer: Renderer,
        chooser: "_Shots",
        validation: Sequence[Example],
        counts: Sequence[int],
        resource: str,
    ) -> int:
        """The number of worked examples that does best on validation rows."""
        if not counts:
            labels = len(self._data.labels)
            return min(labels, _MAX_DEFAULT_SHOTS) if labels else _DEFAULT_SHOTS_WITHOUT_LABELS
        if len(counts) == 1:
            return counts[0]
        found: dict[int, float] = {}
        for count in counts:
            fitting = self._fitting(predictor, renderer, chooser, count)
            who = Who(f"base {fitting}-shot, to choose", resource, "", tuned=False)
            prompts = [self._data.untuned_prompt(row, chooser.of(row, fitting)) for row in validation]
            results = self._results(predictor, renderer, who, validation, prompts)
            found[fitting] = max(result.value(result.main) for result in results)
        best = max(found, key=lambda count: (found[count], -count))
        tried = ", ".join(f"{count}: {value:.3f}" for count, value in found.items())
        self._choose("worked examples", str(best), f"{len(validation)} training rows held out", f"the best of {tried}")
        return best

    def _fitting(self, predictor: TorchPredictor, renderer: Renderer, chooser: "_Shots", count: int) -> int:
        """The number of worked examples, halved until the longest prompt and its reply fit the context."""
        wanted = count
        while count:
            rows = self.evidence.examples
            longest = max(len(renderer.prompt(self._data.untuned_prompt(row, chooser.of(row, count)))) for row in rows)
            if longest + _MAX_REPLY_TOKENS <= predictor.context_length:
                break
            count //= 2
        if count < wanted:
            why = f"{wanted} do not fit the model's context of {predictor.context_length} tokens"
            self._choose("worked examples", str(count), "the length of the prompts", why)
        return count

    def _choose(self, what: str, value: str, split: str, why: str) -> None:
        choice = {"what": what, "value": value, "split": split, "why": why}
        if choice not in self.evidence.choices:
            self.evidence.choices.append(choice)
            self._report.log(f"{what}: {value} ({why}).")


class _Shots:
    """Worked examples for a row."""

    def __init__(self, data: Prepared, pool: Sequence[Example], choice: ShotChoice) -> None:
        self._pool = pool
        self._labelled = data.task == "classify"
        self._similar = SimilarShots(pool) if choice == "similar" else None
        self._fixed: dict[int, list[Example]] = {}

    def of(self, row: Example, count: int) -> list[Example]:
        if self._similar is not None:
            return self._similar.choose(row, count)
        if count not in self._fixed:
            self._fixed[count] = choose_shots(self._pool, self._labelled, count)
        return [shot for shot in self._fixed[count] if shot.messages != row.messages]


def require_context(examples: Sequence[Example], renderer: Renderer, context_length: int) -> None:
    """Raises InvalidInput if a prompt leaves no room for its reply: nothing is truncated."""
    too_long = [row for row in renderer.examples(examples) if len(row) + _SPARE_TOKENS > context_length]
    if too_long:
        raise InvalidInput(
            f"{len(too_long)} test row(s) are longer than the model's context of {context_length} tokens; the longest "
            f"has {max(map(len, too_long))}. Add the data set again with this model and the long rows dropped.",
            reason="ROWS_TOO_LONG",
            rows=len(too_long),
            longest_tokens=max(map(len, too_long)),
            limit_tokens=context_length,
        )


def _dtype(predictor: TorchPredictor) -> str:
    return str(predictor.dtype).removeprefix("torch.")


def _forgetting(
    source: str,
    subject: str,
    replies: Sequence[Sequence[int]],
    before: Sequence[float],
    after: Sequence[float],
    seed: int,
) -> Forgetting:
    lengths = [len(reply) for reply in replies]
    nats = [[-likelihood for likelihood in each] for each in (before, after)]
    compared = compare_nll("the base", subject, nats[0], nats[1], lengths, seed)
    return Forgetting(
        source=source,
        subject=subject,
        rows=len(replies),
        tokens=sum(lengths),
        before_nll=sum(nats[0]) / sum(lengths),
        after_nll=sum(nats[1]) / sum(lengths),
        difference=compared.difference,
        low=compared.low,
        high=compared.high,
        sentence=f"On {source}, {compared.sentence}",
    )
