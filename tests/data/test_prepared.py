import orjson
import pytest
from honed.data import Example, Message, Prepared, Template, bind
from honed.template_library import BUILT_IN

BOUND = bind(Template.from_json(BUILT_IN["classify"]), {"text": ["ask"]}, {}, {"no": "nein"}, "", ["ask", "label"])
EMPTY = Prepared("table", "classify", BOUND, ("nein", "yes"), ("region",))
TRAIN = (
    Example((Message("system", "S"), Message("user", "ä\n1")), "yes", row="1"),
    Example((Message("user", "a"), Message("assistant", "b", weight=0), Message("user", "c")), "no", row="3"),
    Example((Message("user", "a"), Message("assistant", "b", 0.25), Message("user", "c")), "no", weight=3.5, row="4"),
)
TEST = (
    Example((Message("user", "2"),), "no", ("nein", "nope"), row="2", columns={"region": "north"}),
    Example((Message("user", "2"),), "yes", rejected="no", row="test 1"),
    Example((), "bare text", row="test 2 (1 of 3)"),
)


def written(folder, empty=EMPTY, train=TRAIN, test=TEST):
    """The digest of a data set written to a new folder."""
    folder.mkdir()
    with empty.writer(folder) as writer:
        for example in train:
            writer.train(orjson.dumps(example.to_json(), option=orjson.OPT_APPEND_NEWLINE))
        for example in test:
            writer.test(example)
    assert (writer.train_rows, writer.test_rows) == (len(train), len(test))
    return writer.digest


def test_what_was_written_is_loaded(tmp_path):
    digest = written(tmp_path / "data")
    data = Prepared.load(tmp_path / "data")
    assert (data.train, data.test) == (TRAIN, TEST)
    assert tuple(data.stream_train()) == TRAIN
    assert data.digest == digest
    assert (data.shape, data.task, data.labels, data.slice_columns) == (
        "table",
        "classify",
        ("nein", "yes"),
        ("region",),
    )
    assert data.template == BOUND


def test_a_data_set_without_a_template_or_rows_is_loaded_too(tmp_path):
    written(tmp_path / "data", Prepared("text", "text", None, (), ()), (), ())
    data = Prepared.load(tmp_path / "data")
    assert data.template is None
    assert data.train == data.test == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"train": TRAIN[:1]},
        {"train": TRAIN[::-1]},
        {"train": (TRAIN[0], *TEST[:1]), "test": TEST[1:]},
        {"test": TEST[:2]},
        {"train": (), "test": (*TRAIN, *TEST)},
        {"empty": Prepared("table", "classify", BOUND, ("nein", "yes", "z"), ("region",))},
        {"empty": Prepared("table", "classify", BOUND, ("nein", "yes"), ())},
        {"empty": Prepared("table", "generate", BOUND, ("nein", "yes"), ("region",))},
        {"empty": Prepared("alpaca", "classify", BOUND, ("nein", "yes"), ("region",))},
        {"empty": Prepared("table", "classify", None, ("nein", "yes"), ("region",))},
    ],
    ids=["fewer", "order", "side", "test", "all test", "labels", "slices", "task", "shape", "template"],
)
def test_the_digest_tells_data_sets_apart(tmp_path, changed):
    digest = written(tmp_path / "data")
    assert written(tmp_path / "again") == digest
    assert written(tmp_path / "changed", **changed) != digest


def test_a_data_set_that_was_not_finished_is_none(tmp_path):
    with pytest.raises(RuntimeError, match="stopped"), EMPTY.writer(tmp_path):
        raise RuntimeError("stopped")
    with pytest.raises(FileNotFoundError):
        Prepared.load(tmp_path)


def test_the_prompt_for_a_base_model_lists_the_labels(tmp_path):
    written(tmp_path / "data")
    system, *turns = Prepared.load(tmp_path / "data").untuned_prompt(TRAIN[0], (TEST[0],))
    assert system.content.endswith("exactly one of these labels and nothing else: nein, yes.")
    assert [turn.content for turn in turns] == ["2", "no", "ä\n1"]
