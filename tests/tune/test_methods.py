"""What every method keeps: it learns, its base stays, and what it saves is the same model in another process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.methods import METHODS, ON_BASES, RATES, attached, frozen, logits, settings
from helpers.tiny_model import make_tiny_model
from honed.errors import InvalidInput
from honed.tune import base, methods
from honed.tune.checkpoints import Checkpoints, Stopped
from honed.tune.loop import LoopSettings, evaluate_loss, run
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

IDS = torch.arange(3, 60).reshape(3, 19)
DIGEST = "ab" * 32
CHILD = """
import json, sys
from pathlib import Path
import torch
from helpers.methods import frozen, logits
from honed.tune import methods
from safetensors.torch import save_file

tiny, folder = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
ids = torch.arange(3, 60).reshape(3, 19)
found = {
    place.name: logits(methods.load(frozen(tiny, place.name.partition("-")[2]), place), ids)
    for place in folder.iterdir()
}
save_file(found, sys.argv[3])
"""


def loop(method, max_steps=6):
    return LoopSettings(RATES[method], 100, max_steps, 8, 0.0, 1.0, 0.01, 0)


def trained(folder, rows, method, precision="bf16", **values):
    model = attached(folder, method, precision, **values)
    list(run(model, rows, (), loop(method)))
    return model


def test_a_saved_model_is_the_same_in_a_new_process_bit_for_bit(tiny_llama, rows, tmp_path):
    expected = {}
    for method, precision in ON_BASES:
        folder = tmp_path / "saved" / f"{method}-{precision}"
        folder.mkdir(parents=True)
        model = trained(tiny_llama, rows, method, precision)
        methods.save(model, method, folder, DIGEST)
        expected[folder.name] = logits(model, IDS)
    command = [sys.executable, "-c", CHILD, str(tiny_llama), str(tmp_path / "saved"), str(tmp_path / "found")]
    subprocess.run(command, check=True, env={"PYTHONPATH": "tests"}, cwd=Path(__file__).parents[2])
    found = load_file(tmp_path / "found")
    assert {name for name, value in expected.items() if torch.equal(found[name], value)} == expected.keys()


@pytest.mark.parametrize(("method", "precision"), ON_BASES)
def test_a_method_learns_and_switched_off_leaves_exactly_the_base(tiny_llama, rows, method, precision):
    model = attached(tiny_llama, method, precision)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    others = {name: each.clone() for name, each in model.named_parameters() if name not in names}
    assert {each.dtype for each in methods.trainable_parameters(model)} == {torch.float32}
    before = evaluate_loss(model, rows, 8)
    list(run(model, rows, (), loop(method, max_steps=12)))
    assert evaluate_loss(model, rows, 8) < 0.95 * before
    assert all(torch.equal(each, others[name]) for name, each in model.named_parameters() if name not in names)
    plain, tuned = logits(frozen(tiny_llama, precision), IDS), logits(model, IDS)
    assert not torch.equal(tuned, plain)
    with model.disable_adapter():
        assert torch.equal(logits(model, IDS), plain)
    assert torch.equal(logits(model, IDS), tuned)


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "pissa", "ia3", "oft", "bottleneck", "full"])
def test_a_fresh_method_changes_nothing(tiny_llama, method):
    # float32: PiSSA adds and takes away the same product, DoRA divides lengths by themselves
    expected = logits(frozen(tiny_llama, "nf4" if method != "full" else "bf16"), IDS)
    fresh = attached(tiny_llama, method, "nf4" if method != "full" else "bf16")
    torch.testing.assert_close(logits(fresh, IDS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_run_saves_the_same_bytes_which_name_the_method_and_the_bases_digest(
    tiny_llama, rows, tmp_path, method
):
    precision = "nf4" if method == "loftq" else "bf16"
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        methods.save(trained(tiny_llama, rows, method, precision), method, folder, DIGEST)
        assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        one, two = ((folder / name).read_bytes() for folder in folders)
        assert one == two
        assert str(tiny_llama).encode() not in one
    config = json.loads((folders[0] / "adapter_config.json").read_text())
    assert (config["method"], config["base_model_name_or_path"]) == (method, f"sha256:{DIGEST}")


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_goes_on_bit_for_bit(tiny_llama, rows, tmp_path, method):
    precision = "nf4" if method == "loftq" else "bf16"

    def go(stop_after=None, checkpoints=None):
        model, losses = attached(tiny_llama, method, precision, torch.bfloat16), []
        try:
            for step in run(model, rows, (), loop(method), checkpoints):
                losses.append((step.loss, step.gradient_norm))
                if checkpoints:
                    checkpoints.stopping = step.step == stop_after
        except Stopped:
            assert len(losses) == stop_after
        return losses, logits(model, IDS)

    losses, values = go()
    go(4, Checkpoints(tmp_path, "a", 1000))
    torch.manual_seed(99)  # whatever happens between
    assert go(None, Checkpoints(tmp_path, "a", 1000))[0] == losses
    assert torch.equal(go(None, Checkpoints(tmp_path, "a", 1000))[1], values)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_loaded_is_frozen(tiny_llama, tmp_path, method):
    precision = "nf4" if method == "loftq" else "bf16"
    methods.save(attached(tiny_llama, method, precision), method, tmp_path, DIGEST)
    loaded = methods.load(frozen(tiny_llama, precision), tmp_path)
    assert not methods.trainable_parameters(loaded)
    assert not loaded.training


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "pissa", "oft"])
def test_patterns_choose_the_layers_by_their_whole_names(tiny_llama, method):
    model = attached(tiny_llama, method, "bf16", target_modules=["*.q_proj", "model.layers.1.mlp.[gu]*"])
    layers = {
        name.partition("base_model.model.")[2].rpartition("_proj")[0] + "_proj"
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    assert layers == {
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.gate_proj",
        "model.layers.1.mlp.up_proj",
    }


@pytest.mark.parametrize("architecture", ["mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_works_on_every_family(tmp_path, rows, architecture, method):
    make_tiny_model(tmp_path, architecture)
    model = attached(tmp_path, method, "nf4" if method == "loftq" else "bf16")
    before = evaluate_loss(model, rows, 8)
    list(run(model, rows, (), loop(method)))
    assert evaluate_loss(model, rows, 8) < before


@pytest.mark.parametrize(
    ("method", "values", "reason", "parts"),
    [
        ("lora", {"target_modules": ["*.q_proj", "*.query"]}, "TARGET_NOT_FOUND", ["'*.query'", "mlp.down_proj"]),
        ("oft", {"target_modules": ["lm_head"]}, "TARGET_NOT_FOUND", ["'lm_head'"]),
        ("dora", {"rank": 65}, "RANK_TOO_LARGE", ["65", "q_proj", "at most 64"]),
        ("pissa", {"rank": 33, "target_modules": ["*.k_proj"]}, "RANK_TOO_LARGE", ["layers.0.self_attn.k_proj", "32"]),
        ("oft", {"block_size": 24}, "BLOCK_SIZE_UNFIT", ["24", "64 inputs", "q_proj"]),
        ("prefix", {"virtual_tokens": 512}, "VIRTUAL_TOKENS_TOO_MANY", ["512 tokens"]),
        ("prompt", {"virtual_tokens": 600}, "VIRTUAL_TOKENS_TOO_MANY", ["600", "512 tokens"]),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused_before_anything_is_attached(
    tiny_llama, method, values, reason, parts
):
    model = base.load(tiny_llama, torch.float32)
    for refused in (methods.check, methods.attach):
        with pytest.raises(InvalidInput) as caught:
            refused(model, settings(method, **values))
        assert caught.value.reason == reason
        assert all(part in caught.value.message for part in parts), caught.value.message
    assert logits(model, IDS).equal(logits(base.load(tiny_llama, torch.float32), IDS))


def test_a_rank_as_large_as_the_smallest_layer_is_taken(tiny_llama):
    attached(tiny_llama, "pissa", "bf16", rank=32)


def test_nothing_to_train_is_refused(tiny_llama):
    with pytest.raises(InvalidInput, match="no parameters to train") as caught:
        attached(tiny_llama, "oft", "bf16", block_size=1)  # a rotation of one number turns nothing
    assert caught.value.reason == "NOTHING_TO_TRAIN"


@pytest.mark.parametrize("method", ["ia3", "bottleneck"])
def test_a_method_on_named_layers_is_refused_where_there_are_none(method):
    config = AutoConfig.for_model("gpt2", n_layer=1, n_head=2, n_embd=8, vocab_size=20, n_positions=16)
    with pytest.raises(InvalidInput, match="down_proj") as caught:
        methods.check(AutoModelForCausalLM.from_config(config), settings(method))
    assert caught.value.reason == "TARGET_NOT_FOUND"
