import json

import numpy as np
import pytest
import torch
from honed.errors import InvalidInput, NoRoom
from honed.evaluate import log_softmax
from honed.serve.graph import Geometry, Graph
from honed.serve.predict import GraphPredictor
from honed.tune import base
from honed.tune.predict import TorchPredictor


def silent(done, total):
    pass


PROMPTS = ([5, 6, 7, 8], list(range(20, 80)), [9], [40, 41])


@pytest.fixture
def graph(graph_folder):
    return Graph(graph_folder, threads=1, slots=4, kv_cache_bytes=1 << 24)


def alone(graph, prompt, steps):
    """Logits of a greedy reply, the row by itself in slot 0."""
    rows = [graph.prefill(0, prompt).copy()]
    for place in range(steps - 1):
        rows.append(graph.decode([int(rows[-1].argmax())], [len(prompt) + place])[0].copy())
    return rows


def test_the_graph_computes_what_torch_does(graph, tiny_llama):
    prompt, reply = PROMPTS[1], [11, 12, 13]
    served = log_softmax(GraphPredictor(graph).logits(prompt, reply))
    model = TorchPredictor(base.load(tiny_llama, torch.float32))
    exact = next(model.log_probabilities([prompt], [reply]))
    np.testing.assert_allclose(served, exact, rtol=0, atol=1e-4)  # float32, other kernels


def test_greedy_replies_are_those_of_torch(graph, tiny_llama):
    stops = frozenset(range(0, 304, 12))
    model = TorchPredictor(base.load(tiny_llama, torch.float32))
    asked = [*PROMPTS, *PROMPTS[::-1], [50, 51, 52]]  # more than the graph has slots: rows join while others go on
    expected = model.generate(asked, 12, stops, silent)
    replies = GraphPredictor(graph).generate(asked, 12, stops, silent)
    assert [reply.tokens for reply in replies] == [reply.tokens for reply in expected]
    assert [reply.stopped for reply in replies] == [reply.stopped for reply in expected]
    assert len({len(reply.tokens) for reply in replies}) > 2
    assert all(reply.seconds > 0 for reply in replies)


def test_replies_end_where_the_slot_does(graph_folder):
    budget = 128 * 2 * Geometry.load(graph_folder).bytes_per_token
    small = Graph(graph_folder, threads=1, slots=2, kv_cache_bytes=budget)
    assert small.capacity == GraphPredictor(small).context_length == 128
    (reply, other) = GraphPredictor(small).generate([list(range(5, 125)), [9, 9]], 300, frozenset(), silent)
    assert len(reply.tokens) == 128 - 120 + 1  # the last one drawn needs no place
    assert len(other.tokens) == 128 - 2 + 1
    assert not reply.stopped
    assert not other.stopped


def test_likelihoods_of_replies_are_those_of_torch(graph, tiny_llama):
    asked = [*PROMPTS, [60, 61], [70]]
    replies = [[7, 8, 2], [9], [4, 5, 6, 7, 8, 9], [3, 2], [11, 12, 2], [30, 31]]
    exact = TorchPredictor(base.load(tiny_llama, torch.float32)).log_likelihoods(asked, replies, silent)
    found = GraphPredictor(graph).log_likelihoods(asked, replies, silent)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-3)  # float32 sums of likelihoods around -20


def test_rows_of_different_lengths_get_the_numbers_that_they_get_alone(graph):
    expected = [alone(graph, prompt, 6) for prompt in PROMPTS]
    last = [graph.prefill(slot, prompt).copy() for slot, prompt in enumerate(PROMPTS)]
    for step in range(1, 6):
        tokens = [int(row.argmax()) for row in last]
        last = list(graph.decode(tokens, [len(prompt) + step - 1 for prompt in PROMPTS]).copy())
        for row, steps in zip(last, expected, strict=True):
            np.testing.assert_array_equal(row, steps[step])


def test_a_moved_row_goes_on_as_if_it_had_stayed(graph):
    expected = alone(graph, PROMPTS[1], 3)
    graph.prefill(0, PROMPTS[0])
    token = int(graph.prefill(3, PROMPTS[1]).argmax())
    graph.move(3, 0, len(PROMPTS[1]))
    np.testing.assert_array_equal(graph.decode([token], [len(PROMPTS[1])])[0], expected[1])


def test_an_earlier_longer_row_leaves_nothing_behind(graph):
    expected = alone(graph, PROMPTS[0], 2)
    alone(graph, PROMPTS[1], 5)
    for found, wanted in zip(alone(graph, PROMPTS[0], 2), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_budget_bounds_the_context(graph_folder):
    per_token = 2 * 2 * 2 * 16 * 4  # key and value, 2 layers, 2 heads of 16, float32
    assert Geometry.load(graph_folder).bytes_per_token == per_token
    assert Graph(graph_folder, 1, 2, 2 * 200 * per_token).capacity == 200
    assert Graph(graph_folder, 1, 1, 1 << 24).capacity == 512  # the model's own context
    with pytest.raises(NoRoom) as caught:
        Graph(graph_folder, 1, 4, 4 * 127 * per_token)
    assert caught.value.reason == "MEMORY_EXCEEDED"


@pytest.mark.parametrize("length", [0, 513])
def test_a_prompt_that_does_not_fit_is_refused_not_truncated(graph, length):
    with pytest.raises(InvalidInput) as caught:
        graph.prefill(0, [5] * length)
    assert caught.value.metadata == {"prompt_tokens": str(length), "limit_tokens": "512"}


def test_the_last_token_of_the_context_can_be_used(graph):
    assert np.isfinite(graph.prefill(1, [5] * 511)).all()
    assert np.isfinite(alone(graph, [5] * 511, 2)[1]).all()


@pytest.mark.parametrize(
    ("keys", "heads", "width"), [({}, 2, 16), ({"num_key_value_heads": None, "head_dim": None}, 4, 16)]
)
def test_sizes_that_a_config_leaves_out_follow_from_the_others(graph_folder, tmp_path, keys, heads, width):
    config = json.loads((graph_folder / "config.json").read_text()) | keys
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert (Geometry.load(tmp_path).heads, Geometry.load(tmp_path).width) == (heads, width)
