import re
from pathlib import Path

import pytest
from honed.daemon.rpc.generation import _servable
from honed.daemon.rpc.methods import METHODS, OPTIONS
from honed.daemon.rpc.specs import complete_tune
from honed.errors import InvalidInput
from honed.v1 import jobs_pb2
from honed.v1.jobs_pb2 import BASE_PRECISION_BF16, BASE_PRECISION_NF4, TuneSpec

PROTO = (Path(__file__).parents[2] / "protos/honed/v1/jobs.proto").read_text("utf-8")
WORDS = [method.word for method in METHODS.values()]


def violations(**values):
    with pytest.raises(InvalidInput) as caught:
        complete_tune(TuneSpec(**values))
    return dict(caught.value.violations)


def test_every_method_of_the_proto_is_known_and_no_other():
    assert {f"METHOD_{word.upper()}": number for number, word in zip(METHODS, WORDS, strict=True)} == {
        name: number for name, number in jobs_pb2.Method.items() if number
    }


def test_every_method_of_the_proto_has_its_code():
    from honed.tune.methods import METHODS as CODE

    assert list(CODE) == WORDS


def test_the_learning_rates_are_those_that_the_proto_promises():
    comments = re.findall(r"((?:  //[^\n]*\n)+)  METHOD_([A-Z0-9]+) = [1-9]", PROTO)
    promised = {name: float(re.findall(r"Rate (\d+e-\d)", text)[0]) for text, name in comments}
    assert promised == {method.word.upper(): method.learning_rate for method in METHODS.values()}
    for word in WORDS:
        spec = TuneSpec(method=f"METHOD_{word.upper()}")
        complete_tune(spec)
        assert spec.learning_rate == promised[word.upper()]


def test_the_proto_marks_what_no_export_serves():
    marked = re.findall(r"Torch only\.\n  METHOD_([A-Z0-9]+) =", PROTO)
    assert marked == [method.word.upper() for method in METHODS.values() if not method.served]


def test_without_a_word_the_method_is_lora():
    spec = TuneSpec()
    assert complete_tune(spec)["method"] == "lora"
    assert spec.method == jobs_pb2.METHOD_LORA


def test_an_unknown_method_is_refused_with_those_that_there_are():
    found = violations(method=99, epochs=-1)
    assert list(found) == ["job.tune.method", "job.tune.epochs"]
    assert "LORA, RSLORA, DORA, PISSA" in found["job.tune.method"]
    assert found["job.tune.method"].endswith("found 99")


def test_every_option_of_other_methods_is_refused_by_name_and_all_at_once():
    given = {
        "rank": 8,
        "alpha": 1.0,
        "dropout": 0.1,
        "target_modules": ["*"],
        "virtual_tokens": 9,
        "block_size": 8,
        "width": 8,
        "compile": True,
    }
    assert given.keys() == OPTIONS
    for method in METHODS.values():
        refused = violations(method=f"METHOD_{method.word.upper()}", **given, epochs=-1)
        fields = {f"job.tune.{option}" for option in OPTIONS - method.options}
        assert refused.keys() == fields | {"job.tune.epochs"}
        assert all(f"refused with {method.word}" in refused[field] for field in fields)
    assert violations(method="METHOD_IA3", rank=8)["job.tune.rank"].endswith("lora, rslora, dora, pissa, loftq")


@pytest.mark.parametrize("number", METHODS)
def test_what_a_method_does_not_take_stays_unset(number):
    spec = TuneSpec(method=number)
    settings = complete_tune(spec)
    for option in OPTIONS - {"target_modules", "compile"}:  # one is a list, the other left to the worker
        taken = option in METHODS[number].options
        assert spec.HasField(option) == taken
        assert (settings[option] is not None) == taken


def test_layers_are_compiled_or_computed_again():
    assert complete_tune(TuneSpec())["compile"] is None
    assert complete_tune(TuneSpec(compile=False, gradient_checkpointing=True))["compile"] is False
    assert "gradient_checkpointing" in violations(compile=True, gradient_checkpointing=True)["job.tune.compile"]


def test_full_fine_tuning_takes_the_base_in_bfloat16():
    assert complete_tune(TuneSpec(method="METHOD_FULL"))["base_precision"] == "bf16"
    found = violations(method="METHOD_FULL", base_precision=BASE_PRECISION_NF4)
    assert found == {"job.tune.base_precision": "expected BF16 with full, found NF4: 4-bit weights cannot train"}


def test_loftq_takes_the_base_in_nf4():
    assert complete_tune(TuneSpec(method="METHOD_LOFTQ"))["base_precision"] == "nf4"
    found = violations(method="METHOD_LOFTQ", base_precision=BASE_PRECISION_BF16)
    assert "expected NF4 with loftq" in found["job.tune.base_precision"]


@pytest.mark.parametrize(("rank", "alpha"), [(4, 8), (16, 8), (64, 8)])
def test_the_scale_of_rslora_falls_as_the_rank_grows(rank, alpha):
    assert complete_tune(TuneSpec(method="METHOD_RSLORA", rank=rank))["alpha"] == alpha
    assert complete_tune(TuneSpec(method="METHOD_LORA", rank=rank))["alpha"] == 2 * rank


@pytest.mark.parametrize("patterns", [["*.q_proj", ""], ["x" * 201], ["*"] * 101])
def test_patterns_have_limits(patterns):
    assert list(violations(target_modules=patterns)) == ["job.tune.target_modules"]
    assert complete_tune(TuneSpec(target_modules=["x" * 200] * 100))["target_modules"] == ["x" * 200] * 100


def test_asking_for_a_reply_of_what_cannot_be_served_does_not_advise_an_export(core, publish):
    publish("models/m")
    spec = TuneSpec(model="models/m", dataset="datasets/d", method="METHOD_PROMPT").SerializeToString().hex()
    facts = {
        "contract": {},
        "training": {"seconds": 1.0},
        "evaluations": [],
        "report": "",
        "augmented_rows": {},
        "replayed_rows": {},
    }
    publish("adapters/p", ("models/m",), spec=spec, **facts)
    with pytest.raises(InvalidInput, match="tuned with prompt, which no export can serve") as caught:
        _servable(core, "adapters/p")
    assert caught.value.reason == "METHOD_NOT_SERVED"
