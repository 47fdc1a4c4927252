"""One ONNX graph in onnxruntime, with its key/value cache in place: rows of a batch are slots of one buffer a layer.

Past and present of a layer are bound to the same memory, so a step writes its keys and values where they stay. Slot s
of a buffer [S, H, L, D] is contiguous: prefill binds one slot by pointer, decode the first n. Nothing is copied.
Not thread-safe: one thread calls a graph.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from honed.errors import InvalidInput, NoRoom
from numpy.typing import NDArray

Logits = NDArray[np.float32]
_BYTES_PER_ELEMENT = 4  # GroupQueryAttention on the CPU knows float32 alone
_MIN_CAPACITY = 128


@dataclass(frozen=True)
class Geometry:
    """Sizes of a decoder: L layers, H key/value heads of width D, vocabulary V, longest context in tokens."""

    layers: int
    heads: int
    width: int
    vocabulary: int
    context: int

    @classmethod
    def load(cls, folder: Path) -> "Geometry":
        """From the config.json beside the graph."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        queries = config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            heads=config.get("num_key_value_heads") or queries,
            width=config.get("head_dim") or config["hidden_size"] // queries,
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
        )

    @property
    def bytes_per_token(self) -> int:
        """Key/value cache of one token."""
        return 2 * self.layers * self.heads * self.width * _BYTES_PER_ELEMENT


class Graph:
    """A loaded graph with `slots` rows of at most `capacity` tokens each."""

    def __init__(self, folder: Path, threads: int, slots: int, kv_cache_bytes: int) -> None:
        """Loads the graph.

        Raises:
            NoRoom: the key/value budget does not hold a useful context.
        """
        self.geometry = geometry = Geometry.load(folder)
        self.slots = slots
        self.capacity = min(geometry.context, kv_cache_bytes // (geometry.bytes_per_token * slots))
        if self.capacity < min(_MIN_CAPACITY, geometry.context):
            raise NoRoom(
                f"kv_cache_bytes = {kv_cache_bytes:,} holds {self.capacity} tokens for each of {slots} streams; "
                f"a token takes {geometry.bytes_per_token:,} bytes. Raise kv_cache_bytes.",
                reason="MEMORY_EXCEEDED",
                needed_bytes=geometry.bytes_per_token * slots * _MIN_CAPACITY,
                device_bytes=kv_cache_bytes,
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        # Zeroed pages are given by the kernel when first touched: an unused slot costs no memory.
        shape = (slots, geometry.heads, self.capacity, geometry.width)
        self._cache = {
            f"{layer}.{part}": np.zeros(shape, np.float32)
            for layer in range(geometry.layers)
            for part in ("key", "value")
        }
        self._logits = np.zeros((slots, 1, geometry.vocabulary), np.float32)
        self._bindings: dict[tuple[int, int], Any] = {}

    def prefill(self, slot: int, tokens: Sequence[int]) -> Logits:
        """Runs a prompt into an empty slot; logits [V] behind its last token (a view, valid until the next call).

        Raises:
            InvalidInput: the prompt is empty or longer than the slot.
        """
        if not 0 < len(tokens) <= self.capacity:
            raise InvalidInput(
                f"The prompt has {len(tokens)} tokens; 1 to {self.capacity} fit.",
                reason="PROMPT_TOO_LONG",
                prompt_tokens=len(tokens),
                limit_tokens=self.capacity,
            )
        return self._run(slot, np.array([tokens], np.int64), [len(tokens)])[0]

    def decode(self, tokens: Sequence[int], lengths: Sequence[int]) -> Logits:
        """One step of the first n slots: appends tokens[i] behind the lengths[i] tokens of slot i; logits [n, V]."""
        return self._run(0, np.array(tokens, np.int64)[:, None], [length + 1 for length in lengths])

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` tokens of a slot's cache to another slot."""
        for buffer in self._cache.values():
            buffer[target, :, :length] = buffer[source, :, :length]

    def _run(self, slot: int, ids: NDArray[np.int64], totals: Sequence[int]) -> Logits:
        rows = len(ids)
        longest = max(totals)
        # The graph reads a row's length off the sum of its mask.
        mask = (np.arange(longest) < np.array(totals)[:, None]).astype(np.int64)
        binding = self._bindings.get((slot, rows)) or self._bind(slot, rows)
        for name, value in (("input_ids", ids), ("attention_mask", mask)):
            binding.bind_input(name, "cpu", 0, np.int64, value.shape, value.ctypes.data)
        self._session.run_with_iobinding(binding)
        return self._logits[slot : slot + rows, 0]

    def _bind(self, slot: int, rows: int) -> Any:
        """The buffers of `rows` slots from `slot` on, bound once."""
        binding = self._session.io_binding()
        for name, buffer in self._cache.items():
            part = buffer[slot : slot + rows]
            for bind, end in ((binding.bind_input, "past_key_values"), (binding.bind_output, "present")):
                bind(f"{end}.{name}", "cpu", 0, np.float32, part.shape, part.ctypes.data)
        logits = self._logits[slot : slot + rows]
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._bindings[slot, rows] = binding
        return binding
