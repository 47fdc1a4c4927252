"""`hone data` and `hone templates` against the twin."""

import json

import pytest
from honed.client.cli.data_report import print_histogram, rows_left_out
from honed.v1.datasets_pb2 import (
    LONG_ROWS_DROP,
    LONG_ROWS_SPLIT,
    SHAPE_ALPACA,
    Dataset,
    Distribution,
    PreviewDatasetResponse,
    PreviewRow,
)

HISTOGRAM = f"    0 – 31  1,200  {'█' * 81}\n   32 – 63      1  ▏\n64 – 1,023      0\n"


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "helpdesk.csv"
    file.write_text("text,label\na,bug\n")
    return file


def test_a_table_is_added_and_what_the_checks_found_is_said(hone, twin, table):
    result = hone("data", "add", table, "--text-column", "text", "--label-column", "label", "--seed", 0, "--model", "m")
    assert (result.exit_code, result.stdout) == (0, "datasets/helpdesk\n")
    assert result.stderr == (
        "1 training rows, 0 test rows, 2 labels (table, templates/classify, version 1)\n"
        "model: models/m, context 2,048 tokens\n"
        "tokens a row: median 31, 95 % up to 70, longest 96, 4,000 in all\n"
        "under the loss: 1,200 tokens\n"
        "tuning time: about 0:01:30 with the default settings (1,000 tokens/s)\n"
        "error    LEAKAGE: 3 test rows stand among the training rows\\x1b[2J\n"
        "         rows test 1, test 7, … (3 in all)\n"
        "info     COLUMN_CONSTANT in region: one value only\n"
    )
    header = twin.requests[0]
    assert (header.columns["label"].names, header.model) == (["label"], "models/m")
    assert header.HasField("seed")
    row = hone("data", "ls").stdout.splitlines()[1].split()
    assert row[:6] == ["datasets/helpdesk", "table", "classify", "1", "0", "2"]


def test_every_option_of_a_table_arrives(hone, twin, table):
    result = hone(
        *("data", "add", table, "--id", "d", "--shape", "alpaca", "--format", "tsv", "--template", "answer"),
        *("--column", 'facts="Area, m²",rooms', "--column", "reply=text", "--set", "language=German"),
        *("--verbalize", "bug=a defect", "--instruction", "Sort.", "--test", table, "--group-column", "customer"),
        *("--id-column", "", "--model", "m", "--drop-long"),
    )
    assert (result.exit_code, result.stdout) == (0, "datasets/d\n")
    header = twin.requests[0]
    assert {slot: list(columns.names) for slot, columns in header.columns.items()} == {
        "facts": ["Area, m²", "rooms"],
        "reply": ["text"],
    }
    assert (header.shape, header.template, header.group_column) == (SHAPE_ALPACA, "templates/answer", "customer")
    assert (header.HasField("id_column"), header.id_column) == (True, "")
    assert (header.parameters, header.verbalizer) == ({"language": "German"}, {"bug": "a defect"})
    assert (header.instruction, header.model, header.long_rows) == ("Sort.", "models/m", LONG_ROWS_DROP)
    assert twin.uploads["test_data"] == table.read_bytes()


def test_what_is_not_given_is_left_to_the_daemon(hone, twin, table):
    hone("data", "add", table)
    assert [field.name for field, _ in twin.requests[0].ListFields()] == ["dataset_id", "total_bytes"]
    hone("data", "add", table, "--split-long", "--model", "m")
    assert twin.requests[1].long_rows == LONG_ROWS_SPLIT


@pytest.mark.parametrize(
    ("file", "dataset_id"),
    [
        ("helpdesk.csv", "helpdesk"),
        ("Help Desk (2024).CSV.gz", "help-desk-2024"),
        ("notes.v2.jsonl.zst", "notes.v2"),
        ("support/train.csv", "support"),
        ("support/Data.parquet", "support"),
        ("support/rows.json", "support"),
        ("train_2.tsv", "train_2"),
        ("x" * 80 + ".csv", "x" * 63),
    ],
)
def test_the_id_comes_from_the_files_name_or_from_its_folders(hone, tmp_path, file, dataset_id):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert hone("data", "add", path).stdout == f"datasets/{dataset_id}\n"


def test_a_folder_is_looked_up_where_the_file_is_given_without_one(hone, tmp_path, monkeypatch):
    (tmp_path / "support").mkdir()
    (tmp_path / "support" / "train.csv").touch()
    monkeypatch.chdir(tmp_path / "support")
    assert hone("data", "add", "train.csv").stdout == "datasets/support\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--drop-long", "--split-long"), "left out or cut, not both"),
        (("--column", "text"), "--column must be SLOT=COLUMN, found 'text'"),
        (("--column", "text="), "--column must be SLOT=COLUMN"),
        (("--column", "text=a,,b"), "--column must be SLOT=COLUMN"),
        (("--column", "text=a", "--column", "text=b"), "--column gives 'text' twice"),
        (("--column", "text=a", "--text-column", "a"), "the slot text is given twice"),
        (("--set", "=German"), "--set must be PARAMETER=VALUE, found '=German'"),
        (("--verbalize", "bug"), "--verbalize must be LABEL=WORDS"),
        (("--shape", "poem"), "Invalid value for '--shape'"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(hone, twin, table, options, message):
    result = hone("data", "add", table, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert twin.requests == []


def test_a_name_of_which_nothing_is_left_asks_for_an_id(hone, tmp_path):
    file = tmp_path / "…….csv"
    file.touch()
    result = hone("data", "add", file)
    assert result.exit_code == 2
    assert "give one with --id" in result.stderr


def test_a_data_set_is_shown_with_its_labels_its_findings_and_its_lengths(hone, table):
    hone("data", "add", table, "--column", "facts=a,b", "--set", "what=mail")
    lines = hone("data", "show", "helpdesk").stdout
    facts, labels, findings, lengths = lines.split("\n\n")
    assert [line.split(maxsplit=1) for line in facts.splitlines()][5:9] == [
        ["rows", "1 training, 0 test"],
        ["format", "csv"],
        ["shape", "table"],
        ["task", "classify"],
    ]
    assert "slot facts      a, b\n" in facts
    assert "parameter what  mail\n" in facts
    assert labels.splitlines() == ["LABEL   TRAIN  TEST", "praise  1,200  3", "bug     1      0"]
    assert findings.splitlines()[0] == "error    LEAKAGE: 3 test rows stand among the training rows\\x1b[2J"
    assert lengths == f"characters a row\n{HISTOGRAM}"


def test_a_data_set_shows_what_it_was_made_with(hone, table):
    hone("data", "add", table, "--instruction", "Sort.", "--verbalize", "bug=a defect", "--group-column", "who")
    facts = [" ".join(line.split()) for line in hone("data", "show", "helpdesk").stdout.splitlines()]
    assert "instruction Sort." in facts
    assert "words for bug a defect" in facts
    assert "split 0.2 held out, seed 0, grouped by who" in facts
    hone("data", "add", table, "--id", "given", "--test", table)
    assert "held out" not in hone("data", "show", "given").stdout


def test_tokens_are_shown_where_the_upload_named_a_model(hone, table):
    hone("data", "add", table, "--model", "m")
    shown = hone("data", "show", "helpdesk").stdout
    assert "tuning time     about 0:01:30 with the default settings (1,000 tokens/s)\n" in shown
    assert shown.endswith(f"\ntokens a training row\n{HISTOGRAM}")


def test_json_of_a_data_set_is_the_message(hone, table):
    added = json.loads(hone("data", "add", table, "--json").stdout)
    assert added["report"]["findings"][1]["severity"] == "SEVERITY_ERROR"
    assert json.loads(hone("data", "show", "helpdesk", "--json").stdout) == added


def test_a_preview_marks_what_is_trained_and_shows_control_characters(hone, twin):
    twin.put(Dataset(name="datasets/d"))
    result = hone("data", "preview", "d", "--model", "m", "--rows", 1)
    assert result.stdout == (
        "row 1: 4 tokens, 2 trained\n"
        "<user>\\n\n"
        "\\x1b[31mhelp⟦bug<end>⟧\n"
        "\n"
        "tokens a training row: median 31, 95 % up to 70, longest 96, 4,000 in all, 1,200 under the loss\n" + HISTOGRAM
    )
    assert json.loads(hone("data", "preview", "d", "--model", "m", "--json").stdout)["trained_tokens"] == "1200"


@pytest.mark.parametrize(
    ("shown", "asked", "said"),
    [(3, 3, ""), (5, 100, ""), (0, 0, ""), (2, 3, "2 of 3 rows are shown"), (2, 100, "2 of 5 rows"), (0, 1, "0 of 1")],
)
def test_a_preview_says_why_rows_are_missing(shown, asked, said):
    response = PreviewDatasetResponse(rows=[PreviewRow()] * shown, lengths=Distribution(bin_counts=[2, 3]))
    found = rows_left_out(response, asked)
    assert found.startswith(said)
    assert bool(found) == bool(said)
    assert not found or "200,000 tokens" in found


@pytest.mark.parametrize(
    ("ends", "counts", "bars"),
    [
        ([], [], []),
        ([9], [0], ["0 – 9  0"]),
        ([9, 19], [1, 2], ["  0 – 9  1  " + "█" * 44, "10 – 19  2  " + "█" * 88]),
        ([9, 19], [1, 16], ["  0 – 9   1  " + "█" * 5 + "▍", "10 – 19  16  " + "█" * 87]),
    ],
)
def test_a_histogram_is_as_wide_as_its_longest_bar(capsys, ends, counts, bars):
    print_histogram(Distribution(bin_ends=ends, bin_counts=counts))
    assert capsys.readouterr().out.splitlines() == bars


def test_no_line_of_a_histogram_is_longer_than_100_columns(capsys):
    print_histogram(Distribution(bin_ends=[10**6, 10**9], bin_counts=[10**7, 3]))
    assert max(map(len, capsys.readouterr().out.splitlines())) == 100


# Templates


def test_a_template_is_shown_with_its_slots_and_its_texts(hone):
    result = hone("templates", "show", "classify")
    assert result.exit_code == 0
    assert "slot facts      What else is known. (optional, many columns)\n" in result.stdout
    assert "parameter what  Kind of text. (default: message)\n" in result.stdout
    assert "label bug       a defect\n" in result.stdout
    assert result.stdout.endswith(
        "\n\nsystem\n  Classify the {{ what }}.\n\nuser\n  {{ text }}\n  \n  Label:\n\nreply\n  {{ label }}\n"
    )


def test_a_template_that_was_shown_as_json_can_be_changed_and_added(hone, twin, tmp_path):
    file = tmp_path / "mine.json"
    template = json.loads(hone("templates", "show", "classify", "--json").stdout)
    file.write_text(json.dumps({**template, "name": "mine"}))
    result = hone("templates", "add", file)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "templates/mine\n", "version 1\n")
    assert hone("templates", "add", file).stderr == "version 2\n"
    assert "version         1\n" in hone("templates", "show", "mine", "--version", 1).stdout
    listed = hone("templates", "ls").stdout.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["templates/classify", "1", "honed"],
        ["templates/mine", "2", "somebody"],
    ]
    assert hone("templates", "rm", "mine").stderr == "deleted mine\n"
    assert hone("templates", "show", "mine").exit_code == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not a template as JSON"),
        (b"[]", "must be templates/ID, found ''"),
        (b'{"name": "\xff"}', "not a template as JSON"),
        (b'{"name": "mine", "sytem": "Sort."}', 'no field named "sytem"'),
        (b'{"user": "{{ text }}"}', "must be templates/ID, found ''"),
        (b'{"name": "mine"}', "  template.reply: must not be empty\n(TEMPLATE_INVALID)\n"),
    ],
)
def test_a_file_that_is_no_template_is_a_usage_error(hone, tmp_path, content, message):
    file = tmp_path / "mine.json"
    file.write_bytes(content)
    result = hone("templates", "add", file)
    assert result.exit_code == 2
    assert message in result.stderr
