"""The engine: one thread that prefills joining requests and decodes all active rows together, step by step.

Rows of different lengths share a decode step and get the numbers they would get alone (docs/decisions.md). Only this
thread touches the graph; other threads submit and cancel.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from honed.errors import HonedError, Internal, InvalidInput
from honed.serve.graph import Graph, Logits
from honed.serve.sampling import Sampler
from honed.serve.scheduler import Scheduler
from honed.serve.text import ReplyText

Finish = Literal["END_OF_TURN", "STOP", "LENGTH"]


@dataclass(frozen=True)
class Delta:
    """A piece of a reply."""

    text: str


@dataclass(frozen=True)
class Done:
    """The end of a reply; `completion_tokens` counts the end-of-turn too."""

    finish: Finish
    prompt_tokens: int
    completion_tokens: int


@dataclass(eq=False)
class Request:
    """A prompt on its way to a reply. `emit` is called on the engine's thread and must not block."""

    prompt: list[int]
    max_tokens: int
    stop_ids: frozenset[int]
    sampler: Sampler
    text: ReplyText
    emit: Callable[[Delta | Done | HonedError], None]
    reply: list[int] = field(default_factory=list[int])
    cancelled: bool = False

    @property
    def cached(self) -> int:
        """Tokens whose keys and values are in the slot: all but the one drawn last."""
        return len(self.prompt) + len(self.reply) - 1


class Engine:
    """Runs requests on a graph."""

    def __init__(self, graph: Graph, max_waiting: int) -> None:
        self._graph = graph
        self._scheduler = Scheduler[Request](graph.slots, max_waiting)
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Lines a request up; its events arrive through `request.emit`.

        Raises:
            InvalidInput: the prompt leaves no room for a reply.
            Busy: too many are waiting.
        """
        if not 0 < len(request.prompt) < self._graph.capacity:
            raise InvalidInput(
                f"The prompt has {len(request.prompt)} tokens; the context of this engine is {self._graph.capacity} "
                "tokens, prompt and reply together. Nothing was truncated.",
                reason="PROMPT_TOO_LONG",
                violations=(("input", f"{len(request.prompt)} tokens"),),
                prompt_tokens=len(request.prompt),
                limit_tokens=self._graph.capacity - 1,
            )
        with self._changed:
            self._scheduler.submit(request)
            self._changed.notify()

    def cancel(self, request: Request) -> None:
        """Drops a request within one step; it emits nothing more."""
        request.cancelled = True

    def close(self) -> None:
        """Stops the thread after its current step."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        scheduler = self._scheduler
        while True:
            with self._changed:
                while not (self._stopping or scheduler.waiting or scheduler.active):
                    self._changed.wait()
                if self._stopping:
                    return
                self._drop_cancelled()
                joining = scheduler.admit()
            if joining is not None:
                self._step([joining], self._prefill)
            elif scheduler.active:
                self._step(list(scheduler.active), self._decode)

    def _prefill(self, rows: list[Request]) -> Logits:
        return self._graph.prefill(len(self._scheduler.active) - 1, rows[0].prompt)[None]

    def _decode(self, rows: list[Request]) -> Logits:
        return self._graph.decode([row.reply[-1] for row in rows], [row.cached for row in rows])

    def _step(self, rows: list[Request], run: Callable[[list[Request]], Logits]) -> None:
        """Runs the graph for rows and draws a token for each; an error ends these rows and no others."""
        try:
            logits = run(rows)
            finished = [row for row, values in zip(rows, logits, strict=True) if self._draw(row, values)]
        except Exception as error:  # noqa: BLE001 - whatever onnxruntime raises is these requests' failure, not the engine's end
            for row in rows:
                row.emit(Internal(f"The engine failed on this request: {error}", reason="ENGINE_FAILED"))
            finished = rows
        with self._changed:
            for row in finished:
                self._release(row)

    def _draw(self, row: Request, logits: Logits) -> bool:
        """Appends the next token to a row and tells its reader; True if the reply is complete."""
        token = row.sampler.pick(logits)
        row.reply.append(token)
        if token in row.stop_ids:
            finish: Finish | None = "END_OF_TURN"
        else:
            if piece := row.text.push(token):
                row.emit(Delta(piece))
            full = len(row.reply) >= row.max_tokens or row.cached >= self._graph.capacity
            finish = "STOP" if row.text.stopped else "LENGTH" if full else None
        if finish is None:
            return False
        if rest := row.text.finish():
            row.emit(Delta(rest))
        row.emit(Done(finish, len(row.prompt), len(row.reply)))
        return True

    def _drop_cancelled(self) -> None:
        for row in [row for row in (*self._scheduler.waiting, *self._scheduler.active) if row.cancelled]:
            self._release(row)

    def _release(self, row: Request) -> None:
        move = self._scheduler.release(row)
        if move is not None:
            source, target = move
            self._graph.move(source, target, self._scheduler.active[target].cached)
