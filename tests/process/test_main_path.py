"""From a model folder and a table to served replies, on a tiny model: what each step makes and says of itself."""

import csv
import hashlib

import onnxruntime
from helpers.daemon import mapped_libraries
from helpers.tiny_model import END_OF_TURN, VOCABULARY_SIZE
from honed.v1.datasets_pb2 import FILE_FORMAT_CSV, SHAPE_TABLE, TASK_CLASSIFY
from honed.v1.generation_pb2 import FINISH_REASON_UNSPECIFIED
from honed.v1.jobs_pb2 import BASE_PRECISION_NF4, Job
from honed.v1.types_pb2 import ANSWER_MODE_FREE, ANSWER_MODE_LIKELIHOOD

QUESTION = [{"role": "user", "content": "Where is my card?"}]


def is_digest(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def test_an_imported_model_says_what_it_is_and_where_it_came_from(client, tiny_model):
    model = client.get_model("tiny")
    assert model.owner == "owner"
    assert is_digest(model.digest)
    assert (model.source_format, model.architecture) == ("safetensors", "llama")
    assert (model.layers, model.hidden_size, model.attention_heads, model.key_value_heads) == (2, 64, 4, 2)
    assert (model.vocabulary_size, model.context_length) == (VOCABULARY_SIZE, 16384)
    # Embedding and head, then in each layer q, k, v, o, gate, up, down and two norms, then the last norm.
    layer = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128 + 2 * 64
    assert model.parameters == 2 * VOCABULARY_SIZE * 64 + 2 * layer + 64
    assert dict(model.source_digests) == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tiny_model.iterdir()
    }
    assert client.get_export(model.serving_export).source == "models/tiny"
    assert client.get_job(model.job).result == "models/tiny"


def test_a_model_from_a_server_path_is_the_one_that_was_uploaded(client, tiny_model):
    job = client.wait_job(client.import_model("by-path", str(tiny_model)).name)
    assert job.import_model.source == str(tiny_model)
    assert client.get_model(job.result).digest == client.get_model("tiny").digest


def test_a_data_set_is_split_by_label_and_keeps_its_shape(client):
    dataset = client.get_dataset("table")
    assert dataset.owner == "owner"
    assert is_digest(dataset.digest)
    assert (dataset.train_rows, dataset.test_rows) == (16, 4)
    assert list(dataset.labels) == ["card", "refund"]
    assert (dataset.shape, dataset.task, dataset.format) == (SHAPE_TABLE, TASK_CLASSIFY, FILE_FORMAT_CSV)
    assert dataset.template.digest == client.get_template("classify").digest


def test_the_preview_shows_rows_of_the_table_and_exactly_the_reply_under_the_loss(client, table):
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    preview = client.preview_dataset("table", "tiny", rows=2)
    assert len(preview.rows) == 2
    for shown in preview.rows:
        row = rows[int(shown.row) - 1]
        asked = "".join(token.text for token in shown.tokens if not token.trained)
        trained = "".join(token.text for token in shown.tokens if token.trained)
        instruction = "<|im_start|>system\nClassify the message.<|im_end|>\n"
        assert asked == f"{instruction}<|im_start|>user\n{row['text']}<|im_end|>\n<|im_start|>assistant\n"
        assert trained == f"{row['label']}{END_OF_TURN}"
        assert [token.trained for token in shown.tokens] == sorted(token.trained for token in shown.tokens)
    assert preview.lengths.longest >= max(len(row.tokens) for row in preview.rows)
    assert sum(preview.lengths.bin_counts) == client.get_dataset("table").train_rows
    assert preview.lengths.total > preview.trained_tokens > 0


def test_an_adapter_records_its_settings_contract_and_training(client, tuned):
    adapter = client.get_adapter("nf4")
    assert tuned.job.state == Job.STATE_SUCCEEDED
    assert tuned.job.result == adapter.name
    assert (adapter.owner, adapter.job) == ("owner", tuned.job.name)
    assert (adapter.model, adapter.dataset) == ("models/tiny", "datasets/table")
    spec = adapter.spec
    assert (spec.base_precision, spec.rank, spec.alpha, spec.learning_rate) == (BASE_PRECISION_NF4, 16, 32, 1e-3)
    assert spec == tuned.job.tune
    contract = adapter.contract
    digests = (contract.weights, contract.tokenizer, contract.chat_template, contract.mask_rule, adapter.digest)
    assert all(map(is_digest, digests))
    assert contract.quantised_weights
    # Rank 16 on q, k, v, o, gate, up and down of both layers: rank * (in + out) each.
    assert adapter.training.trainable_parameters == 2 * 16 * (2 * 128 + 2 * 96 + 3 * 192)
    assert adapter.training.steps == 2
    assert adapter.training.tokens > 0
    assert adapter.training.HasField("validation_loss")


def test_a_tuning_evaluates_the_base_before_and_the_adapter_after(client, tuned):
    evaluations = client.get_adapter("nf4").evaluations
    assert [(each.subject, each.mode) for each in evaluations] == [
        ("base zero-shot", ANSWER_MODE_FREE),
        ("base zero-shot", ANSWER_MODE_LIKELIHOOD),
        ("base 2-shot", ANSWER_MODE_FREE),
        ("base 2-shot", ANSWER_MODE_LIKELIHOOD),
        ("tuned", ANSWER_MODE_FREE),
        ("tuned", ANSWER_MODE_LIKELIHOOD),
    ]
    assert all(each.total == 4 and each.accuracy == each.correct / 4 for each in evaluations)
    assert list(tuned.job.evaluations) == list(evaluations)


def test_the_contract_tells_the_precisions_of_the_base_apart(client, exports):
    nf4, bf16 = client.get_adapter("nf4"), client.get_adapter("bf16")
    assert nf4.contract.weights == bf16.contract.weights
    assert nf4.contract.quantised_weights != bf16.contract.quantised_weights
    assert not bf16.evaluations


def test_an_fp32_export_follows_the_tuned_model_exactly(exports):
    parity = exports[1].parity
    assert parity.top1_agreement == 1.0
    assert parity.mean_kl < 1e-4  # float32 sums in another order; int8 below is three orders away
    assert exports[1].model == "models/tiny"
    assert exports[1].source == "adapters/bf16"


def test_an_int8_export_says_how_closely_it_follows(exports):
    export, parity = exports[0], exports[0].parity
    assert (export.owner, export.source) == ("owner", "adapters/nf4")
    assert is_digest(export.digest)
    assert (parity.rows, parity.source) == (4, "datasets/table")
    assert parity.tokens >= 8  # a label and its end-of-turn a row
    assert parity.onnxruntime_version == onnxruntime.__version__
    assert 0 < parity.mean_kl < 0.05  # 8 bits in blocks of 32 cost something, but little
    assert parity.mean_kl <= parity.max_kl
    assert parity.top1_agreement >= 0.5
    assert parity.HasField("accuracy")


def test_an_adapter_is_served_through_its_newest_export(client, exports):
    by_export = client.complete("exports/int8", QUESTION, max_tokens=12)
    assert client.complete("adapters/nf4", QUESTION, max_tokens=12) == by_export
    assert by_export[1].finish_reason != FINISH_REASON_UNSPECIFIED


def test_a_model_is_served_through_the_export_made_at_import(client):
    by_export = client.complete("exports/tiny-base", QUESTION, max_tokens=12)
    assert client.complete("models/tiny", QUESTION, max_tokens=12) == by_export


def test_an_engine_holds_onnxruntime_and_no_torch(client, daemon):
    client.complete("models/tiny", QUESTION, max_tokens=2)
    for engine in daemon.children("honed.serve"):
        libraries = mapped_libraries(engine)
        assert "onnxruntime" in libraries
        assert "libtorch" not in libraries
