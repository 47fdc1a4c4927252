"""What the work of a tuning says to each of its parts."""

from collections.abc import Sequence
from dataclasses import fields

from honed.data import Example, Prepared, TokenizedExample, all_tokens
from honed.tune import memory, methods
from honed.tune.loop import LoopSettings
from honed.worker.contract import TuneWork


def method_settings(work: TuneWork) -> methods.Settings:
    """The method's part of the work."""
    given = {each.name: getattr(work, each.name) for each in fields(methods.Settings)}
    return methods.Settings(**{name: value for name, value in given.items() if value is not None})


def loop_settings(work: TuneWork) -> LoopSettings:
    """The numbers of a run, before what memory decides."""
    settings = {each.name: getattr(work, each.name) for each in fields(LoopSettings) if each.name != "compiled"}
    return LoopSettings(
        **settings
        | {
            "micro_batch_tokens": work.micro_batch_tokens or memory.default_tokens(),
            "gradient_checkpointing": work.gradient_checkpointing or False,
        }
    )


def labels(work: TuneWork, data: Prepared) -> list[str]:
    """Those of the head that the work trains; none without one."""
    return list(data.labels) if work.objective == "classification" else []


def learned(
    work: TuneWork, data: Prepared, examples: Sequence[Example], rows: Sequence[TokenizedExample]
) -> list[TokenizedExample]:
    """The tokenised rows of examples as the objective learns them."""
    if known := labels(work, data):
        numbers = {label: number for number, label in enumerate(known)}
        return [
            TokenizedExample(row.prompt, (), label=numbers[example.reply])
            for example, row in zip(examples, rows, strict=True)
        ]
    return list(map(all_tokens, rows)) if work.objective == "all_tokens" else list(rows)
