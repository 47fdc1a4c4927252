import numpy as np
import pytest
import torch
from honed.data import Message, Renderer
from honed.errors import Internal
from honed.evaluate import log_softmax
from honed.export import build
from honed.serve.graph import Graph
from honed.serve.predict import GraphPredictor
from honed.tune import base
from honed.tune.predict import TorchPredictor


def test_an_int8_graph_computes_what_torch_does_but_for_the_rounding_of_its_weights(tiny_llama, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    build(tiny_llama, folder, "onnx-int8")
    renderer = Renderer.load(folder)
    prompt, reply = renderer.prompt([Message("user", "Where is my card?")]), renderer.encode("lost card")
    served = log_softmax(GraphPredictor(Graph(folder, 1, 1, 1 << 24)).logits(prompt, reply)).astype(np.float64)
    torch_model = TorchPredictor(base.load(tiny_llama, torch.float32))
    exact = next(torch_model.log_probabilities([prompt], [reply])).astype(np.float64)
    divergence = (np.exp(exact) * (exact - served)).sum(axis=-1)
    assert 1e-8 < divergence.max() < 0.05  # 8 bits in blocks of 32: small, but not nothing
    assert not list(tmp_path.glob("tmp*"))


def test_a_failed_build_says_so_with_the_builders_last_words(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "graph"
    source.mkdir()
    folder.mkdir()
    (source / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(Internal) as caught:
        build(source, folder, "onnx-fp32")
    assert caught.value.reason == "GRAPH_BUILD_FAILED"
    assert "no-such-model" in caught.value.metadata["stderr"]
    assert not list(folder.iterdir())
