import pytest
from honed.data import Prepared, Template, prepare
from honed.errors import InvalidInput

LABELLED = Template("text", "label", "Classify the message.", labelled=True)
PAIRS = Template("text", "label", "", labelled=False)
TABLE = "text,label\n" + "".join(f"ä {i},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(20))


@pytest.fixture
def run(tmp_path):
    def run(train=TABLE, test=None, template=LABELLED, fraction=0.2, seed=0):
        files = [tmp_path / "train", tmp_path / "test"]
        files[0].write_text(train)
        if test is not None:
            files[1].write_text(test)
        return prepare(files[0], None if test is None else files[1], "csv", template, fraction, seed)

    return run


def refusal(run, **arguments):
    with pytest.raises(InvalidInput) as caught:
        run(**arguments)
    return caught.value


def test_what_is_written_is_what_is_loaded(run, tmp_path):
    prepared = run()
    folder = tmp_path / "data"
    folder.mkdir()
    prepared.write(folder)
    assert Prepared.load(folder) == prepared
    assert prepared.labels == ("even", "odd")
    assert (len(prepared.train), len(prepared.test)) == (16, 4)


def test_the_digest_changes_with_the_rows_the_split_and_the_template(run, tmp_path):
    other_template = Template("text", "label", "Sort the message.", labelled=True)
    variants = [{}, {"seed": 1}, {"train": TABLE + "x,odd\n"}, {"template": other_template}, {"fraction": 0.5}, {}]
    digests = [run(**variant).write(tmp_path) for variant in variants]
    assert digests[0] == digests[-1]
    assert len(set(digests)) == len(variants) - 1


def test_a_row_on_the_other_side_of_the_split_changes_the_digest(run, tmp_path):
    prepared = run()
    moved = Prepared(prepared.template, prepared.labels, prepared.train + prepared.test[:1], prepared.test[1:])
    assert moved.write(tmp_path) != prepared.write(tmp_path)


def test_a_table_of_pairs_has_no_labels(run):
    prepared = run(template=PAIRS)
    assert prepared.labels == ()
    assert (len(prepared.train), len(prepared.test)) == (16, 4)


def test_outer_white_space_is_no_part_of_a_cell(run):
    prepared = run("text,label\n  a  , x \nb,y\n", fraction=0)
    assert prepared.labels == ("x", "y")
    assert prepared.train[0].messages[-1].content == "a"


def test_a_test_table_of_its_own_leaves_the_training_table_whole(run):
    prepared = run(test="text,label\nz,odd\n")
    assert len(prepared.train) == 20
    assert [row.reply for row in prepared.test] == ["odd"]


def test_labels_that_only_the_test_table_knows_are_named_by_row(run):
    error = refusal(run, test="text,label\nz,odd\ny,new\n")
    assert error.reason == "ROWS_INVALID"
    assert error.violations == (("row 2", "label 'new' does not occur in the training rows"),)


def test_empty_cells_and_endless_labels_are_named_by_row(run):
    error = refusal(run, train=f"text,label\n ,odd\na,\nb,{'x' * 201}\nc,even\n")
    assert [row for row, _ in error.violations] == ["row 1", "row 2", "row 3"]


def test_a_single_label_is_refused(run):
    assert refusal(run, train="text,label\na,x\nb,x\n").reason == "LABELS_TOO_FEW"


def test_one_column_cannot_be_both_prompt_and_reply(run):
    assert refusal(run, template=Template("text", "text", "", labelled=False)).reason == "COLUMN_MISSING"
