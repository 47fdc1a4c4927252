"""A data set as people read it: its facts, what the checks of its upload found, and lengths as text bars."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from honed.client.cli.output import Output, print_table
from honed.client.cli.values import duration, moment, size, visible

if TYPE_CHECKING:
    from honed.v1.datasets_pb2 import (
        DataReport,
        Dataset,
        Distribution,
        Finding,
        LabelCount,
        PreviewDatasetResponse,
    )

_WIDTH: Final = 100
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def print_dataset(out: Output, dataset: Dataset) -> None:
    """Prints the facts, the rows of each label, the findings and a histogram of the lengths."""
    print_table([[name, text] for name, text in _facts(dataset)])
    if dataset.report.labels:
        print()
        labels: list[LabelCount] = sorted(dataset.report.labels, key=lambda label: -label.train)
        out.listing(
            labels,
            {
                "LABEL": lambda label: label.label,
                "TRAIN": lambda label: f"{label.train:,}",
                "TEST": lambda label: f"{label.test:,}",
            },
        )
    if dataset.report.findings:
        print()
    for line in _findings(dataset.report):
        print(visible(line))
    if dataset.report.HasField("tokens"):
        print("\ntokens a training row")
        print_histogram(dataset.report.tokens.row)
    elif dataset.report.HasField("characters"):
        print("\ncharacters a row")
        print_histogram(dataset.report.characters)


def upload_lines(dataset: Dataset) -> Iterator[str]:
    """What an upload says of what it made."""
    labels = f", {len(dataset.labels):,} labels" if dataset.labels else ""
    shape = shape_word(dataset)
    template = f", {_template(dataset)}" if dataset.HasField("template") else ""
    yield f"{dataset.train_rows:,} training rows, {dataset.test_rows:,} test rows{labels} ({shape}{template})"
    for name, text in _token_facts(dataset.report):
        yield f"{name}: {text}"
    yield from _findings(dataset.report)


def shape_word(dataset: Dataset) -> str:
    """A data set's shape as a word: "prompt_completion"."""
    from honed.v1.datasets_pb2 import Shape

    return Shape.Name(dataset.shape).removeprefix("SHAPE_").lower()


def task_word(dataset: Dataset) -> str:
    """A data set's task as a word: "classify"."""
    from honed.v1.datasets_pb2 import Task

    return Task.Name(dataset.task).removeprefix("TASK_").lower()


def lengths_text(lengths: Distribution) -> str:
    """A distribution in one line."""
    return (
        f"median {lengths.median:,}, 95 % up to {lengths.p95:,}, longest {lengths.longest:,}, {lengths.total:,} in all"
    )


def rows_left_out(response: PreviewDatasetResponse, asked: int) -> str:
    """Why fewer rows are shown than were asked for; empty where that is not so."""
    there = min(asked, sum(response.lengths.bin_counts))
    if (shown := len(response.rows)) >= there:
        return ""
    return f"{shown} of {there} rows are shown: an answer holds about 200,000 tokens, and the next row is beyond that."


def print_histogram(lengths: Distribution) -> None:
    """Prints a distribution as a bar a bin, at most 100 columns wide."""
    starts = [0, *(end + 1 for end in lengths.bin_ends)]
    ranges = [f"{start:,} – {end:,}" for start, end in zip(starts, lengths.bin_ends, strict=False)]
    counts = [f"{count:,}" for count in lengths.bin_counts]
    range_width, count_width = (max(map(len, column), default=0) for column in (ranges, counts))
    room = _WIDTH - range_width - count_width - 4
    most = max([1, *lengths.bin_counts])
    for span, text, count in zip(ranges, counts, lengths.bin_counts, strict=True):
        print(f"{span:>{range_width}}  {text:>{count_width}}  {_bar(count, most, room)}".rstrip())


def _bar(count: int, most: int, room: int) -> str:
    """A bar as long as `room` where `count` is `most`, in eighths of a character; one row is never nothing."""
    eighths = max(8 * room * count // most, min(count, 1))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def _facts(dataset: Dataset) -> Iterator[tuple[str, str]]:
    from honed.v1.datasets_pb2 import FileFormat

    yield "name", dataset.name
    yield "owner", dataset.owner
    yield "created", moment(dataset.create_time)
    yield "digest", dataset.digest
    yield "size", size(dataset.size_bytes)
    yield "rows", f"{dataset.train_rows:,} training, {dataset.test_rows:,} test"
    yield "format", FileFormat.Name(dataset.format).removeprefix("FILE_FORMAT_").lower()
    yield "shape", shape_word(dataset)
    yield "task", task_word(dataset)
    if dataset.HasField("template"):
        yield "template", _template(dataset)
    for slot, columns in sorted(dataset.columns.items()):
        yield f"slot {slot}", ", ".join(columns.names)
    for name, value in sorted(dataset.parameters.items()):
        yield f"parameter {name}", value
    if dataset.instruction:
        yield "instruction", dataset.instruction
    for label, words in sorted(dataset.verbalizer.items()):
        yield f"words for {label}", words
    if dataset.HasField("test_fraction"):
        group = f", grouped by {dataset.group_column}" if dataset.group_column else ""
        yield "split", f"{dataset.test_fraction:g} held out, seed {dataset.seed}{group}"
    if dataset.slice_columns:
        yield "slices", ", ".join(dataset.slice_columns)
    yield from _token_facts(dataset.report)


def _template(dataset: Dataset) -> str:
    return f"{dataset.template.name}, version {dataset.template.version}"


def _token_facts(report: DataReport) -> Iterator[tuple[str, str]]:
    """What is known only where the upload named a model."""
    if not report.HasField("tokens"):
        return
    tokens = report.tokens
    yield "model", f"{tokens.model}, context {tokens.context_length:,} tokens"
    yield "tokens a row", lengths_text(tokens.row)
    yield "under the loss", f"{tokens.trained:,} tokens"
    if tokens.too_long:
        yield "rows too long", f"{tokens.too_long:,}"
    if tokens.HasField("tuning_time"):
        seconds = tokens.tuning_time.ToTimedelta().total_seconds()
        yield "tuning time", f"about {duration(seconds)} with the default settings ({tokens.tuning_time_basis})"
    else:
        yield "tuning time", f"not known: {tokens.tuning_time_basis}"


def _findings(report: DataReport) -> Iterator[str]:
    """A line for each finding, the gravest first, and one for the rows concerned."""
    for finding in sorted(report.findings, key=lambda finding: -finding.severity):
        severity = f"{_severity(finding):7}"
        column = f" in {finding.column}" if finding.column else ""
        yield f"{severity}  {finding.code}{column}: {finding.message}"
        if finding.rows:
            more = f", … ({finding.count:,} in all)" if finding.count > len(finding.rows) else ""
            yield f"{'':7}  rows {', '.join(finding.rows)}{more}"


def _severity(finding: Finding) -> str:
    from honed.v1.datasets_pb2 import Finding

    return Finding.Severity.Name(finding.severity).removeprefix("SEVERITY_").lower()
