import queue

import pytest
from honed.data import Renderer
from honed.errors import Busy, InvalidInput
from honed.serve.engine import Delta, Done, Engine, Request
from honed.serve.graph import Graph
from honed.serve.predict import GraphPredictor
from honed.serve.sampling import Sampler, Sampling
from honed.serve.text import ReplyText

STOPS = frozenset({0, 2})


@pytest.fixture(scope="module")
def served(graph_folder):
    return Renderer.load(graph_folder)


@pytest.fixture
def engine(graph_folder):
    engine = Engine(Graph(graph_folder, 1, 4, 1 << 24), max_waiting=20)
    yield engine
    engine.close()


def request(served, prompt, max_tokens=8, stops=(), sampling=None, stop_ids=STOPS):
    """A request, and the queue that its events go to."""
    events = queue.SimpleQueue()
    text = ReplyText(served.decode, stops)
    return Request(list(prompt), max_tokens, stop_ids, Sampler(sampling or Sampling()), text, events.put), events


def collect(events):
    """The text of a reply and its end."""
    pieces = []
    while True:
        event = events.get(timeout=10)
        if not isinstance(event, Delta):
            return "".join(pieces), event
        pieces.append(event.text)


@pytest.fixture(scope="module")
def greedy(graph_folder, served):
    """Replies of the same graph without the engine."""
    predictor = GraphPredictor(Graph(graph_folder, 1, 1, 1 << 24))

    def reply(prompt, length=8, stop_ids=STOPS):
        return predictor.generate([list(prompt)], length, stop_ids, lambda done, total: None)[0].tokens

    return reply


def test_many_requests_at_once_get_the_replies_that_each_gets_alone(engine, served, greedy):
    prompts = [range(5, 6 + 3 * size) for size in range(12)]
    submitted = [request(served, prompt, max_tokens=3 + size) for size, prompt in enumerate(prompts)]
    for row, _ in submitted:
        engine.submit(row)
    for size, (prompt, (row, events)) in enumerate(zip(prompts, submitted, strict=True)):
        text, done = collect(events)
        assert [token for token in row.reply if token not in STOPS] == greedy(prompt, 3 + size)
        assert text == served.decode(row.reply)
        assert done.prompt_tokens == len(prompt)
        assert done.completion_tokens == len(row.reply)


def test_a_reply_ends_at_its_limit_its_end_of_turn_or_its_stop_string(engine, served, greedy):
    prompt = range(5, 20)
    tokens = greedy(prompt)
    text = served.decode(tokens)
    row, events = request(served, prompt)
    engine.submit(row)
    assert collect(events) == (text, Done("LENGTH", 15, 8))

    third = tokens[2]
    row, events = request(served, prompt, stop_ids=frozenset({third}))
    engine.submit(row)
    first = tokens.index(third)
    assert collect(events) == (served.decode(tokens[:first]), Done("END_OF_TURN", 15, first + 1))

    stop = next(character for character in text[1:] if character != "\ufffd")
    row, events = request(served, prompt, stops=[stop])
    engine.submit(row)
    shown, done = collect(events)
    assert shown == text[: text.index(stop)]
    assert done.finish == "STOP"


def test_a_reply_ends_where_the_context_ends(engine, served):
    row, events = request(served, [5] * 508, max_tokens=1000, stop_ids=frozenset())
    engine.submit(row)
    _, done = collect(events)
    assert (done.finish, done.completion_tokens) == ("LENGTH", 5)  # 512 tokens in the cache, and the one drawn last


@pytest.mark.parametrize("length", [0, 512])
def test_a_prompt_that_leaves_no_room_is_refused_with_the_counts(engine, served, length):
    row, _ = request(served, [5] * length)
    with pytest.raises(InvalidInput) as caught:
        engine.submit(row)
    assert caught.value.metadata == {"prompt_tokens": str(length), "limit_tokens": "511"}


def test_a_cancelled_request_makes_room_and_says_nothing_more(engine, served, greedy):
    endless = [request(served, range(5, 9), max_tokens=500, stop_ids=frozenset()) for _ in range(4)]
    for row, _ in endless:
        engine.submit(row)
    row, events = request(served, range(5, 20))
    engine.submit(row)  # waits: all slots are taken
    for busy, _ in endless[:2]:
        engine.cancel(busy)
    text, done = collect(events)
    assert (text, done.finish) == (served.decode(greedy(range(5, 20))), "LENGTH")
    for _, seen in endless[2:]:
        assert isinstance(collect(seen)[1], Done)
    for _, seen in endless[:2]:
        while not seen.empty():
            assert isinstance(seen.get(), Delta)


def test_too_many_waiting_requests_are_refused(graph_folder, served):
    engine = Engine(Graph(graph_folder, 1, 1, 1 << 24), max_waiting=2)
    try:
        rows = [request(served, range(5, 9), max_tokens=400, stop_ids=frozenset())[0] for _ in range(6)]

        def submit_all():
            for row in rows:
                engine.submit(row)

        with pytest.raises(Busy):
            submit_all()
        for row in rows:
            engine.cancel(row)
    finally:
        engine.close()


def test_a_failing_request_ends_alone(engine, served, greedy):
    class Broken(Sampler):
        def pick(self, logits):
            raise ValueError("no token today")

    row, events = request(served, range(5, 9))
    row.sampler = Broken(Sampling())
    good, seen = request(served, range(5, 20))
    engine.submit(row)
    engine.submit(good)
    _, error = collect(events)
    assert error.reason == "ENGINE_FAILED"
    assert "no token today" in error.message
    assert collect(seen)[0] == served.decode(greedy(range(5, 20)))


def test_the_same_seed_draws_the_same_reply_whoever_is_beside_it(engine, served):
    sampling = Sampling(temperature=1.0, top_p=0.9, seed=7)
    row, events = request(served, range(5, 20), 12, sampling=sampling)
    engine.submit(row)
    expected = collect(events)
    crowd = [request(served, range(5, 8 + n), 12, sampling=Sampling(temperature=1.0, seed=n)) for n in range(3)]
    again, seen = request(served, range(5, 20), 12, sampling=sampling)
    for other, _ in crowd:
        engine.submit(other)
    engine.submit(again)
    assert collect(seen) == expected
