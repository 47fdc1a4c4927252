"""Headers of UploadDataset: every field checked, every default of datasets.proto filled in. Pure.

Whether slots, parameters and columns exist is the worker's to check; here are sizes, and what goes together.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from honed.daemon.rpc.names import check_name
from honed.daemon.rpc.sizes import MAX_ENTRIES, MAX_NAME, MAX_TEXT, map_mistakes, text_mistakes
from honed.daemon.rpc.specs import MAX_SEED, raise_mistakes, range_mistakes
from honed.errors import InvalidInput
from honed.v1 import datasets_pb2

CLASSIFY = "templates/classify"
_DEFAULT_TEST_FRACTION = 0.2
_MAX_SLOTS = 64


def _choices(names: Iterable[tuple[str, int]], prefix: str) -> dict[int, str | None]:
    """Numbers of an enum's values and what the worker calls them; unset is None."""
    return {number: name.removeprefix(prefix).lower() if number else None for name, number in names}


_FORMATS = _choices(datasets_pb2.FileFormat.items(), "FILE_FORMAT_")
_SHAPES = _choices(datasets_pb2.Shape.items(), "SHAPE_")
_LONG_ROWS: dict[int, Literal["refuse", "drop", "split"]] = {
    datasets_pb2.LONG_ROWS_UNSPECIFIED: "refuse",
    datasets_pb2.LONG_ROWS_REFUSE: "refuse",
    datasets_pb2.LONG_ROWS_DROP: "drop",
    datasets_pb2.LONG_ROWS_SPLIT: "split",
}
# Rows of these are columns that a template reads; those of all others bring their prompt and reply with them.
_TEMPLATED = ("table", "prompt_completion", "alpaca", None)


def complete_header(header: datasets_pb2.UploadDatasetHeader) -> dict[str, Any]:
    """Fills the template that is implied into `header` and returns the settings as IngestWork takes them.

    Raises:
        InvalidInput: a value is out of range, or does not go with another; `violations` lists all of them.
    """
    if header.template:
        check_name(header.template, "header.template", "templates")
    if header.model:
        check_name(header.model, "header.model", "models")
    mistakes = [
        *range_mistakes(header, "test_fraction", 0, 0.9),
        *range_mistakes(header, "seed", 0, MAX_SEED),
        *_size_mistakes(header),
    ]
    for field, known in (("format", _FORMATS), ("shape", _SHAPES), ("long_rows", _LONG_ROWS)):
        if (number := getattr(header, field)) not in known:
            mistakes.append((field, f"{number} is none of its values"))
    shape = _SHAPES.get(header.shape)
    if shape in ("table", None) and not header.template:
        if {"text", "label"} <= header.columns.keys():
            header.template = CLASSIFY
        elif shape is None and header.columns and header.columns.keys() <= {"prompt", "completion"}:
            shape = "prompt_completion"
        elif shape or header.columns:
            what = "expected templates/{id}; columns for the slots text and label alone imply one, templates/classify"
            mistakes.append(("template", what))
    if header.template and shape is None:
        shape = "table"
    mistakes += _company_mistakes(header, shape)
    raise_mistakes("header", mistakes)
    return {
        "format": _FORMATS[header.format],
        "shape": shape,
        "columns": {slot: list(columns.names) for slot, columns in header.columns.items()},
        "parameters": dict(header.parameters),
        "verbalizer": dict(header.verbalizer),
        "instruction": header.instruction,
        "test_fraction": _test_fraction(header),
        "seed": header.seed,
        "group_column": header.group_column,
        "id_column": header.id_column if header.HasField("id_column") else None,
        "model_name": header.model,
        "long_rows": _LONG_ROWS[header.long_rows],
    }


def require_labels(header: datasets_pb2.UploadDatasetHeader, template: dict[str, Any]) -> None:
    """Raises InvalidInput if words are given for labels that the template does not have."""
    if header.verbalizer and template["task"] != "classify":
        raise InvalidInput.of_field(
            "header.verbalizer",
            f"expected with a template that classifies; the task of {header.template} is {template['task']}",
        )


def require_drawn_alone(header: datasets_pb2.UploadDatasetHeader) -> None:
    """Raises InvalidInput if anything is said of how test rows are drawn; called where they are given."""
    raise_mistakes(
        "header",
        [
            (field, "refused beside a separate test table: nothing is drawn")
            for field in ("test_fraction", "seed", "group_column")
            if (header.HasField(field) if field != "group_column" else header.group_column)
        ],
    )


def upload_facts(header: datasets_pb2.UploadDatasetHeader, *, drawn: bool) -> dict[str, Any]:
    """What a data set remembers of a complete header: the fields of honed.v1.Dataset of the same names."""
    facts: dict[str, Any] = {"instruction": header.instruction, "verbalizer": dict(header.verbalizer)}
    if drawn:
        facts |= {"test_fraction": _test_fraction(header), "seed": header.seed, "group_column": header.group_column}
    return facts


def _test_fraction(header: datasets_pb2.UploadDatasetHeader) -> float:
    return header.test_fraction if header.HasField("test_fraction") else _DEFAULT_TEST_FRACTION


def _company_mistakes(header: datasets_pb2.UploadDatasetHeader, shape: str | None) -> Iterator[tuple[str, str]]:
    """Fields that are given beside others that exclude them."""
    if header.template and shape != "table":
        yield "template", f"refused beside shape {shape}; expected shape table, or none"
    for field in ("parameters", "verbalizer"):
        if getattr(header, field) and not header.template:
            yield field, "refused without a template"
    for field in ("columns", "instruction"):
        if getattr(header, field) and shape not in _TEMPLATED:
            yield field, f"refused beside shape {shape}, whose rows need no template"
    if header.long_rows and not header.model:
        yield "long_rows", "needs a model, whose context length decides which rows are too long"
    if header.long_rows == datasets_pb2.LONG_ROWS_SPLIT and shape not in ("text", None):
        yield "long_rows", f"bare text alone can be split; found shape {shape}"


def _size_mistakes(header: datasets_pb2.UploadDatasetHeader) -> Iterator[tuple[str, str]]:
    """Texts and lists that are longer than any use."""
    if len(header.columns) > _MAX_SLOTS:
        yield "columns", f"expected {_MAX_SLOTS} slots at most, found {len(header.columns)}"
        return
    for slot, columns in header.columns.items():
        field = f"columns[{slot[:80]}]"
        if not 1 <= len(columns.names) <= MAX_ENTRIES:
            yield field, f"expected 1 to {MAX_ENTRIES} columns, found {len(columns.names)}"
        elif not all(1 <= len(name) <= MAX_NAME for name in (slot, *columns.names)):
            yield field, f"expected names of 1 to {MAX_NAME} characters"
    yield from map_mistakes("parameters", header.parameters, MAX_TEXT)
    yield from map_mistakes("verbalizer", header.verbalizer, MAX_NAME)
    yield from text_mistakes({"instruction": header.instruction}, MAX_TEXT)
    yield from text_mistakes({"group_column": header.group_column, "id_column": header.id_column}, MAX_NAME)
