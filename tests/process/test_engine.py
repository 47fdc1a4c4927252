"""The engine behind the daemon: streams side by side, readers that leave, deaths, seeds, stop strings, counts."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import grpc
import pytest
from helpers.daemon import refused, wait_for
from honed.v1.generation_pb2 import (
    FINISH_REASON_END_OF_TURN,
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    GenerateRequest,
)

MODEL, EXPORT = "models/tiny", "exports/tiny-base"
PROMPTS = ["Hello", "Where is my card?", "a" * 300, "The delivery never came.", "Paris", "I want a refund. " * 20]


def ask(client, text, **sampling):
    return client.complete(MODEL, [{"role": "user", "content": text}], **sampling)


def active_requests(client) -> int:
    return sum(engine.active_requests for engine in client.get_status().engines)


@pytest.fixture(scope="module")
def endless_prompt(client) -> str:
    """A prompt to which the greedy reply is long: it runs into a circle."""
    return next(
        prompt
        for prompt in (f"prompt {number}" for number in range(50))
        if ask(client, prompt, max_tokens=1000)[1].finish_reason == FINISH_REASON_LENGTH
    )


def stream(client, text):
    return client.generate(MODEL, [{"role": "user", "content": text}], max_tokens=15_000)


def test_six_streams_share_four_slots_and_each_gets_the_reply_it_gets_alone(client):
    alone = [ask(client, prompt, max_tokens=100) for prompt in PROMPTS]
    assert len({text for text, _ in alone}) > 1
    barrier = threading.Barrier(len(PROMPTS))

    def together(prompt):
        barrier.wait(30)
        return ask(client, prompt, max_tokens=100)

    for _ in range(3):
        with ThreadPoolExecutor(len(PROMPTS)) as pool:
            assert list(pool.map(together, PROMPTS, timeout=60)) == alone


def test_a_reader_that_leaves_frees_its_slot_and_the_others_go_on(client, endless_prompt):
    alone = ask(client, "Hello", max_tokens=30)
    streams = [stream(client, endless_prompt) for _ in range(4)]  # all four slots
    for each in streams:
        assert len(list(islice(each, 3))) == 3
    assert active_requests(client) == 4
    for each in streams[:2]:
        each.close()
    wait_for("two streams are gone", lambda: active_requests(client) == 2, timeout_s=5)
    assert ask(client, "Hello", max_tokens=30) == alone
    for each in streams[2:]:
        assert len(list(islice(each, 3))) == 3  # still under way
        each.close()
    wait_for("all streams are gone", lambda: active_requests(client) == 0, timeout_s=5)


def test_a_request_whose_deadline_ends_while_it_waits_is_forgotten(client, endless_prompt):
    streams = [stream(client, endless_prompt) for _ in range(4)]  # all four slots
    for each in streams:
        next(each)
    request = GenerateRequest(model=MODEL, prompt="Hello")
    with pytest.raises(grpc.RpcError) as error:
        list(client._generation.Generate(request, timeout=0.5, metadata=client.connection.metadata()))
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for("the late one is gone", lambda: active_requests(client) == 4, timeout_s=5)
    for each in streams:
        assert next(each).delta  # the others still go on
        each.close()
    wait_for("all streams are gone", lambda: active_requests(client) == 0, timeout_s=5)


def test_an_engine_killed_while_idle_is_started_again_by_the_next_request(client, daemon):
    before = ask(client, "Hello", max_tokens=20)
    for engine in daemon.children("honed.serve"):
        os.kill(engine, signal.SIGKILL)
    wait_for("the daemon has noticed", lambda: not client.get_status().engines, timeout_s=5)
    assert ask(client, "Hello", max_tokens=20) == before
    assert daemon.children("honed.serve")


def test_an_engine_killed_under_a_reply_is_named_and_the_next_request_works(client, daemon, endless_prompt):
    reply = stream(client, endless_prompt)
    next(reply)
    for engine in daemon.children("honed.serve"):
        os.kill(engine, signal.SIGKILL)
    with refused("UNAVAILABLE", "ENGINE_DIED") as error:
        list(reply)
    assert error.value.retry_after_s > 0
    assert ask(client, "Hello", max_tokens=2)[1].completion_tokens == 2


def test_an_idle_engine_ends_after_its_keep_alive(new_daemon):
    daemon = new_daemon(engine_keep_alive_s=1).start()
    with daemon.client() as client:
        ask(client, "Hello", max_tokens=2)
        assert [engine.export for engine in client.get_status().engines] == [EXPORT]
        wait_for("the engine ends", lambda: not daemon.children("honed.serve"), timeout_s=15)
        assert not client.get_status().engines
        assert ask(client, "Hello", max_tokens=2)[1].completion_tokens == 2


def test_a_graph_changed_on_the_disk_is_not_served(new_daemon):
    daemon = new_daemon().start()
    (graph,) = daemon.state.glob("exports/*/model.onnx")
    graph.write_bytes(graph.read_bytes() + b"\0")
    with daemon.client() as client, refused("INVALID_ARGUMENT", "DIGEST_MISMATCH") as error:
        ask(client, "Hello")
    assert "model.onnx" in error.value.message


def test_the_same_seed_gives_the_same_text_and_another_seed_another(client):
    drawn = [ask(client, "Hello", max_tokens=40, temperature=1.5, seed=seed) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1]
    assert drawn[0][1].seed == 7
    assert drawn[0][0] != drawn[2][0]


def test_without_a_seed_the_one_that_was_drawn_is_told_and_repeats_the_text(client):
    text, done = ask(client, "Hello", max_tokens=40, temperature=1.5)
    again, _ = ask(client, "Hello", max_tokens=40, temperature=1.5, seed=done.seed)
    assert again == text
    assert ask(client, "Hello", max_tokens=40, temperature=1.5)[1].seed != done.seed


@pytest.mark.parametrize("choice", [{"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-6}])
def test_sampling_narrowed_to_the_likeliest_token_is_greedy(choice, client):
    greedy, done = ask(client, "Hello", max_tokens=40)
    assert done.seed == 0
    assert ask(client, "Hello", max_tokens=40, **{"temperature": 1.0, "seed": 3, **choice})[0] == greedy


def test_a_stop_string_ends_the_reply_and_is_not_part_of_it(client):
    whole, done = ask(client, "Hello", max_tokens=60)
    place = len(whole) // 2
    stop = whole[place : place + 4]
    text, stopped = ask(client, "Hello", max_tokens=60, stop=["never said by anyone", stop])
    assert stopped.finish_reason == FINISH_REASON_STOP
    assert text == whole[: whole.index(stop)]
    assert stopped.completion_tokens < done.completion_tokens


def test_the_deltas_make_up_the_reply_and_the_counts_are_right(client):
    text, done = ask(client, "Hello", max_tokens=30)
    responses = list(client.generate(MODEL, [{"role": "user", "content": "Hello"}], max_tokens=30))
    assert "".join(response.delta for response in responses[:-1]) == text
    assert all(response.delta for response in responses[:-1])
    assert responses[-1].done == done
    row = client.complete(MODEL, prompt="Hello", max_tokens=1)[1]
    assert row.completion_tokens == 1
    assert row.prompt_tokens <= len("Hello")
    assert done.prompt_tokens > row.prompt_tokens  # the template's own tokens are counted
    if done.finish_reason == FINISH_REASON_LENGTH:
        assert done.completion_tokens == 30
    else:
        assert done.finish_reason == FINISH_REASON_END_OF_TURN


def test_a_reply_ends_where_the_context_ends(client, endless_prompt):
    filler = "#" * 16_300
    began = time.monotonic()
    _, done = client.complete(MODEL, prompt=filler, max_tokens=10_000)
    print(f"{done.prompt_tokens} tokens of prompt in {time.monotonic() - began:.1f} s")
    assert done.prompt_tokens + done.completion_tokens <= 16_384 + 1  # the last token needs no place
    assert done.finish_reason in {FINISH_REASON_LENGTH, FINISH_REASON_END_OF_TURN}
