"""`hone export`: into what the engine serves."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from honed.client.cli.options import AsJson, NoWait
from honed.client.cli.progress import present, settle
from honed.client.cli.session import session
from honed.client.cli.values import share

if TYPE_CHECKING:
    from honed.v1.types_pb2 import Parity


class GraphFormat(StrEnum):
    """Formats of an export."""

    ONNX_INT8 = "onnx-int8"
    ONNX_FP32 = "onnx-fp32"


def export(
    ctx: typer.Context,
    export_id: Annotated[str, typer.Argument(metavar="EXPORT", help="Id of the new export.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="adapters/ID or models/ID.")],
    *,
    graph_format: Annotated[GraphFormat, typer.Option("--format", help="Format of the graph.")] = GraphFormat.ONNX_INT8,
    data: Annotated[
        str | None,
        typer.Option(help="Data set that measures the parity. [default: the adapter's own, or a built-in probe]"),
    ] = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Convert into what the engine serves.

    How closely the export follows its source is measured, and printed when it is done.
    """
    with session(ctx, as_json) as (client, out):
        queued = client.export(export_id, source, format=graph_format.value, dataset=data)
        if job := settle(client, out, queued, wait=not no_wait):
            present(client, out, job)
            if not out.as_json:
                print(parity_text(client.get_export(job.result).parity))


def parity_text(parity: Parity) -> str:
    """The parity of an export in a few lines."""
    ties = f"{parity.near_ties} of the others are ties within {parity.near_tie_nats:g} nats"
    lines = [
        f"parity on {parity.rows} rows ({parity.tokens} tokens) of {parity.source}",
        f"same most likely token  {share(parity.top1_agreement)} ({ties})",
        f"KL                      mean {parity.mean_kl:.2e}, max {parity.max_kl:.2e} nats",
    ]
    if parity.HasField("reference_accuracy") and parity.HasField("accuracy"):
        lines.append(f"accuracy                {share(parity.accuracy)}, its source {share(parity.reference_accuracy)}")
    return "\n".join(lines)
