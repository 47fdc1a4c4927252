"""What a tuning can learn beside replies: every token, texts longer than the context, and labels by a head."""

import pytest
from helpers.daemon import refused
from helpers.tiny_model import make_tiny_encoder, make_tiny_model
from honed.v1.jobs_pb2 import OBJECTIVE_ALL_TOKENS, OBJECTIVE_CLASSIFICATION, OBJECTIVE_COMPLETION, TuneSpec
from honed.v1.types_pb2 import ANSWER_MODE_FREE, ANSWER_MODE_LIKELIHOOD

CONTEXT = 128
QUESTION = [{"role": "user", "content": "Where is my card?"}]


def tune(client, model, dataset, adapter, objective, **options):
    """The adapter and the job that made it."""
    spec = TuneSpec(model=model, dataset=dataset, adapter_id=adapter, objective=objective, max_steps=2, **options)
    job = client.wait_job(client.tune(spec).name)
    return client.get_adapter(job.result), job


def logs(client, job):
    return [event.log for event in client.watch_job(job.name) if event.log]


@pytest.fixture(scope="module")
def head(client):
    """An adapter of the tiny llama with a head, and its job."""
    return tune(client, "tiny", "table", "head", OBJECTIVE_CLASSIFICATION)


@pytest.fixture(scope="module")
def encoder(client, tmp_path_factory):
    folder = make_tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")
    return client.get_model(client.wait_job(client.upload_model("encoder", folder).name).result)


def losses(client, job):
    return [event.progress.loss for event in client.watch_job(job.name) if event.progress.HasField("loss")]


def test_all_tokens_of_a_row_are_learned(client):
    options = {"skip_evaluation": True, "validation_fraction": 0}
    whole, job = tune(client, "tiny", "table", "whole", OBJECTIVE_ALL_TOKENS, **options)
    _, other = tune(client, "tiny", "table", "replies", OBJECTIVE_COMPLETION, **options)
    assert whole.spec.objective == OBJECTIVE_ALL_TOKENS
    assert losses(client, job)[0] != losses(client, other)[0]  # the same batch, by other tokens of it


def test_texts_longer_than_the_context_are_cut_and_learned_whole(client, upload, tmp_path):
    folder = make_tiny_model(tmp_path / "short", max_position_embeddings=CONTEXT)
    client.wait_job(client.upload_model("short", folder).name)
    tales = [{"text": f"Chapter {n}. " + f"The card of customer {n} was lost. " * 30} for n in range(6)]
    dataset = upload(tales, model="short", long_rows="split", test_fraction=0.3)
    assert dataset.train_rows > len(tales)
    assert dataset.report.tokens.row.longest <= CONTEXT
    adapter, job = tune(client, "short", dataset.name, "tales", OBJECTIVE_ALL_TOKENS, max_evaluation_rows=5)
    assert [each.subject for each in adapter.evaluations] == ["base", "tuned"]
    assert {metric.name for metric in adapter.evaluations[1].metrics} == {"nll", "perplexity"}
    assert any(f"longest {dataset.report.tokens.row.longest} tokens" in line for line in logs(client, job))
    client.delete_report(adapter.report)
    client.delete_adapter(adapter.name)


def test_an_adapter_with_a_head_is_evaluated_by_the_probabilities_of_its_labels(client, head):
    adapter, job = head
    assert list(adapter.labels) == ["card", "refund"]
    assert adapter.spec.objective == OBJECTIVE_CLASSIFICATION
    assert [(each.subject, each.mode) for each in adapter.evaluations][-2:] == [
        ("base 2-shot", ANSWER_MODE_LIKELIHOOD),
        ("tuned", ANSWER_MODE_LIKELIHOOD),
    ]
    assert ANSWER_MODE_FREE in {each.mode for each in adapter.evaluations}  # the base writes its labels
    # Rank 16 on all linear layers, as in test_main_path.py, then 2 labels over a state of 64, with their bias.
    assert adapter.training.trainable_parameters == 2 * 16 * (2 * 128 + 2 * 96 + 3 * 192) + 2 * (64 + 1)
    assert logs(client, job)[0].startswith("No export can serve what a classification head makes yet")
    tuned = adapter.evaluations[-1]
    (again,) = client.wait_job(client.evaluate("adapters/head", "table").name).evaluations
    assert (again.correct, again.mode) == (tuned.correct, ANSWER_MODE_LIKELIHOOD)
    figures = [{metric.name: metric.value for metric in each.metrics} for each in (tuned, again)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)


def test_an_adapter_with_a_head_is_neither_exported_nor_generates(client, head):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.export("none", "adapters/head")
    assert "classification head" in str(error.value)
    with refused("FAILED_PRECONDITION", "CANNOT_GENERATE"):
        client.complete("adapters/head", QUESTION)


def test_an_encoder_is_imported_without_a_serving_graph(client, encoder):
    assert (encoder.architecture, encoder.serving_export) == ("bert", "")
    with refused("NOT_FOUND", "EXPORT_NOT_FOUND"):
        client.get_export("encoder-base")
    with refused("FAILED_PRECONDITION", "CANNOT_GENERATE"):
        client.complete("models/encoder", QUESTION)
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.tune(TuneSpec(model="encoder", dataset="table", adapter_id="none"))
    assert "expected CLASSIFICATION" in str(error.value)


def test_an_encoder_is_tuned_to_classify_and_evaluated(client, encoder):
    adapter, _ = tune(client, "encoder", "table", "encoded", OBJECTIVE_CLASSIFICATION)
    assert [(each.subject, each.mode, each.total) for each in adapter.evaluations] == [
        ("tuned", ANSWER_MODE_LIKELIHOOD, 4)
    ]
    preview = client.preview_dataset("table", "encoder", rows=1)
    texts = [token.text for token in preview.rows[0].tokens]
    assert (texts[0], texts[-1]) == ("[CLS]", "[SEP]")


def test_an_encoder_without_adapters_can_be_deleted(client, tmp_path):
    folder = make_tiny_encoder(tmp_path / "encoder")
    client.wait_job(client.upload_model("gone", folder).name)
    client.delete_model("gone")
    with refused("NOT_FOUND", "MODEL_NOT_FOUND"):
        client.get_model("gone")
