from dataclasses import asdict, replace

import pytest
from helpers.tiny_model import make_tiny_model
from honed import manifest
from honed.data import Renderer
from honed.errors import WrongState
from honed.worker.adapter_contract import Contract, weights_digest


@pytest.fixture
def folder(tmp_path):
    folder = make_tiny_model(tmp_path / "model")
    manifest.write(folder)
    return folder


@pytest.fixture
def contract(folder):
    return Contract.of(folder, "nf4", "ab" * 32, Renderer.load(folder))


def test_a_contract_survives_the_way_over_the_disk(contract, tmp_path):
    contract.save(tmp_path)
    assert Contract.load(tmp_path) == contract


def test_a_kept_contract_is_silent(contract, folder):
    contract.require(Contract.of(folder, "nf4", "ab" * 32, Renderer.load(folder)))


@pytest.mark.parametrize("part", ["weights", "quantised_weights", "tokenizer", "chat_template", "mask_rule"])
def test_every_part_is_checked_and_named(contract, part):
    with pytest.raises(WrongState) as caught:
        contract.require(replace(contract, **{part: "00" * 32}))
    assert caught.value.reason == "CONTRACT_MISMATCH"
    assert caught.value.metadata == {"part": part, "expected": asdict(contract)[part], "found": "00" * 32}


def test_the_digest_of_the_weights_follows_the_weight_files_alone(folder, tmp_path):
    before = weights_digest(folder)
    (folder / "chat_template.jinja").write_text("another")
    manifest.write(folder)
    assert weights_digest(folder) == before
    other = make_tiny_model(tmp_path / "other", seed=1)
    manifest.write(other)
    assert weights_digest(other) != before
