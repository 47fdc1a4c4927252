import json
import pickle

import pytest
import torch
from helpers.tiny_model import make_tiny_encoder, make_tiny_model
from honed.architectures import DECODERS
from honed.errors import InvalidInput
from honed.worker import model_folder
from safetensors.torch import load_file, save_file


@pytest.fixture
def folder(tmp_path):
    return make_tiny_model(tmp_path / "model")


def accept(folder):
    """All checks of a folder, in the order of an import."""
    files = model_folder.source_files(folder)
    model_folder.check(files)
    return model_folder.check_shapes(folder, model_folder.load_config(folder))


def refusal(folder):
    with pytest.raises(InvalidInput) as caught:
        accept(folder)
    return caught.value


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("tied", [True, False])
def test_a_model_of_every_supported_architecture_is_accepted_and_its_parameters_are_counted(
    tmp_path, architecture, tied
):
    folder = make_tiny_model(tmp_path, architecture, tie_word_embeddings=tied)
    assert accept(folder) == sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    facts = model_folder.facts(model_folder.load_config(folder))
    assert facts == {
        "architecture": architecture,
        "layers": 2,
        "hidden_size": 64,
        "attention_heads": 4,
        "key_value_heads": 2,
        "vocabulary_size": 304,
        "context_length": 512,
    }


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_an_encoder_is_accepted_without_the_parts_that_honed_does_not_use(tmp_path, prefix):
    folder = make_tiny_encoder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    used = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    assert len(used) < len(weights)
    save_file({prefix + name: tensor for name, tensor in used.items()}, folder / "model.safetensors")
    assert accept(folder) == sum(tensor.numel() for tensor in used.values())
    facts = model_folder.facts(model_folder.load_config(folder))
    assert (facts["architecture"], facts["layers"], facts["hidden_size"], facts["key_value_heads"]) == (
        "bert",
        2,
        64,
        4,
    )
    assert facts["context_length"] == 512
    change(folder, hidden_size=32)
    assert refusal(folder).reason == "MODEL_SHAPES_WRONG"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.PT", "extra.pkl", "weights.npz", "optimizer.ckpt"])
def test_a_file_that_may_hold_pickled_code_is_refused(folder, name):
    (folder / name).write_bytes(pickle.dumps({}))
    error = refusal(folder)
    assert (error.reason, error.metadata["file"]) == ("MODEL_FILE_REFUSED", name)
    assert "convert the weights to safetensors" in error.message


@pytest.mark.parametrize("name", ["modeling.py", "kernel.so", "setup.PY"])
def test_code_is_refused(folder, name):
    (folder / name).write_text("print('never')")
    assert refusal(folder).metadata["file"] == name


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_file_that_names_custom_code_is_refused(folder, name):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "evil--modeling.Evil"}}))
    error = refusal(folder)
    assert (error.reason, error.metadata["file"]) == ("MODEL_FILE_REFUSED", name)


def test_links_and_folders_are_refused(folder, tmp_path):
    (folder / "tokenizer.model").symlink_to("/etc/passwd")
    assert "is a link" in refusal(folder).message
    (folder / "tokenizer.model").unlink()
    (folder / "onnx").mkdir()
    assert "is a folder" in refusal(folder).message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_part_is_named(folder, name):
    (folder / name).unlink()
    assert refusal(folder).reason == "MODEL_FILE_MISSING"


def test_an_empty_folder_is_refused(tmp_path):
    assert refusal(tmp_path).reason == "MODEL_FILE_MISSING"


def shard(folder, keep_second=True):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, part in parts.items():
        if keep_second or file == "model-1.safetensors":
            save_file({name: tensors[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_sharded_model_is_accepted(folder):
    whole = accept(folder)
    shard(folder)
    assert accept(folder) == whole


def test_a_missing_shard_is_named(folder):
    shard(folder, keep_second=False)
    error = refusal(folder)
    assert (error.reason, error.metadata["file"]) == ("MODEL_FILE_MISSING", "model-2.safetensors")


def test_shards_without_an_index_are_refused(folder):
    shard(folder)
    (folder / "model.safetensors.index.json").unlink()
    assert refusal(folder).metadata["file"] == "model.safetensors.index.json"


@pytest.mark.parametrize(
    "lie",
    [
        {"hidden_size": 32},
        {"vocab_size": 305},
        {"num_hidden_layers": 3},
        {"num_key_value_heads": 4},
        {"intermediate_size": 256},
        {"hidden_size": -1},
        {"num_attention_heads": 0},
        {"vocab_size": 10**12},
    ],
    ids=str,
)
def test_a_configuration_that_lies_about_the_shapes_is_refused(folder, lie):
    change(folder, **lie)
    assert refusal(folder).reason in {"MODEL_SHAPES_WRONG", "MODEL_FILE_INVALID"}


def test_a_missing_tensor_is_named(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    assert refusal(folder).metadata["tensor"] == "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x10" + b"\0" * 7 + b"{}", b"not tensors at all"])
def test_a_broken_tensor_file_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    assert refusal(folder).reason == "MODEL_FILE_INVALID"


def test_a_cut_off_tensor_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert refusal(folder).reason == "MODEL_FILE_INVALID"


@pytest.mark.parametrize("content", ["{", "\udcff", "[" * 100_000])
def test_a_broken_configuration_is_refused(folder, content):
    (folder / "config.json").write_text(content, errors="surrogateescape")
    assert refusal(folder).reason == "MODEL_FILE_INVALID"


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "none", 7])
def test_an_unknown_architecture_is_refused_with_the_known_ones(folder, architecture):
    change(folder, model_type=architecture)
    error = refusal(folder)
    assert error.reason == "MODEL_UNSUPPORTED"
    assert all(known in error.message for known in model_folder.ARCHITECTURES)


def test_a_quantised_model_is_refused(folder):
    change(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    assert "full-precision" in refusal(folder).message


def test_only_files_that_honed_uses_are_taken_over(folder, tmp_path):
    (folder / "README.md").write_text("a card")
    (folder / "picture.png").write_bytes(b"")
    target = tmp_path / "target"
    target.mkdir()
    model_folder.take_over(model_folder.source_files(folder), target)
    assert {path.name for path in folder.iterdir()} - {path.name for path in target.iterdir()} == {
        "README.md",
        "picture.png",
    }


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 100, b"no gguf"])
def test_a_broken_gguf_file_is_refused(tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        model_folder.check_gguf(path)
    assert caught.value.reason == "MODEL_FILE_INVALID"


def test_a_gguf_file_stands_alone(folder):
    (folder / "model.gguf").write_bytes(b"GGUF")
    assert "on its own" in refusal(folder).message


def test_the_checks_read_headers_and_load_no_weights(folder):
    """A file of zeros with a true header passes: shapes are compared, values are not read."""
    tensors = load_file(folder / "model.safetensors")
    save_file({name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert accept(folder) > 0
