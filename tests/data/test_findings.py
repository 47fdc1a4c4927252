"""Each finding is made on a small table that has the fault, and not on its twin that has not."""

from typing import NamedTuple

import numpy as np
import pytest
from google.protobuf import json_format
from honed.data import Example, Message, findings
from honed.data import checks as checking
from honed.data.checks import Checks
from honed.data.columns import Column
from honed.data.findings import Finding, label_counts
from honed.v1 import datasets_pb2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

NEAR = "please tell me where the new card that I ordered last week has got to by now"


def noted(rows, *, labelled=True):
    """Checks of (asked, reply) pairs."""
    checks = Checks()
    examples = [Example((Message("user", asked),), reply) for asked, reply in rows]
    checks.add(examples, [None] * len(rows), labelled=labelled)
    return checks


def found(rows, tested=(), *, labelled=True, columns=None, **options):
    """Findings by code; `tested` are the places of the test rows."""
    held_out = np.isin(np.arange(len(rows)), list(tested))
    seen = {name: Column(set(values)) for name, values in (columns or {}).items()}
    named = findings.findings(noted(rows, labelled=labelled), held_out, lambda row: f"row {row}", seen, **options)
    assert len({(finding.code, finding.column) for finding in named}) == len(named)
    return {finding.code: finding for finding in named}


def distinct(count, label="x", start=0):
    """Rows that have nothing to do with each other."""
    return [
        (f"{number} {'abcdefghij'[number % 10] * 9} {number * 7919}", label) for number in range(start, start + count)
    ]


class Fault(NamedTuple):
    """Rows with a fault, those of them that are test rows and those to be named; and rows without it."""

    severity: str
    rows: list[tuple[str, str]]
    tested: list[int]
    named: list[int]
    clean: list[tuple[str, str]]


FAULTS = {
    "DUPLICATES_EXACT": Fault(
        "warning",
        [("a", "x"), ("b", "x"), ("a", "x"), ("a", "x")],
        tested=[],
        named=[2, 3],
        clean=[("a", "x"), ("b", "x"), ("a", "y"), ("c", "x")],
    ),
    "LEAKAGE": Fault(
        "error",
        [("a", "x"), ("b", "x"), ("a", "y"), ("c", "x")],
        tested=[2, 3],
        named=[2],
        clean=[("a", "x"), ("b", "x"), ("c", "y"), ("c", "x")],
    ),
    "DUPLICATES_NEAR": Fault(
        "info",
        [(NEAR, "x"), ("b", "x"), (f"{NEAR}!", "x")],
        tested=[],
        named=[2],
        clean=[(NEAR, "x"), ("b", "x"), (NEAR, "y")],
    ),
    "LEAKAGE_NEAR": Fault(
        "warning",
        [("b", "x"), (NEAR, "x"), (f"{NEAR}!", "x")],
        tested=[1],
        named=[1],
        clean=[("b", "x"), (NEAR, "x"), ("c", "x")],
    ),
    "ENCODING_MIXED": Fault(
        "warning",
        [("cafÃ©", "x"), ("b", "x"), ("c", "Ã¼")],
        tested=[],
        named=[0, 2],
        clean=[("café", "x"), ("b", "x"), ("c", "ü")],
    ),
    "CONTROL_CHARACTERS": Fault(
        "warning",
        [("a", "x"), ("b\x07", "x")],
        tested=[],
        named=[1],
        clean=[("a", "x"), ("b\n\tb", "x")],
    ),
    "LABELS_CONFLICTING": Fault(
        "warning",
        [("a", "x"), ("a", "y"), ("a", "x"), ("b", "y")],
        tested=[],
        named=[1],
        clean=[("a", "x"), ("a", "x"), ("a", "x"), ("b", "y")],
    ),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_of_rows_is_found_with_the_rows_and_not_without(code):
    fault = FAULTS[code]
    finding = found(fault.rows, fault.tested)[code]
    assert finding.severity == fault.severity
    assert finding.count == len(fault.named)
    assert finding.rows == tuple(f"row {row}" for row in fault.named)
    assert finding.message.startswith(f"{len(fault.named)} ")
    assert code not in found(fault.clean, fault.tested)


def test_a_clean_table_has_no_findings():
    rows = [*distinct(15, "x"), *distinct(15, "y", start=15)]
    assert found(rows, tested=[0, 15], columns={"region": ["a", "b"]}) == {}


def test_a_test_row_that_repeats_a_test_row_is_no_leak():
    assert "LEAKAGE" not in found([("b", "x"), ("a", "x"), ("a", "x")], tested=[1, 2])


def test_near_leaks_name_the_test_row_whichever_came_first():
    rows = [(NEAR, "x"), (f"{NEAR}!", "x"), ("b", "x")]
    assert found(rows, tested=[0])["LEAKAGE_NEAR"].rows == ("row 0",)
    assert found(rows, tested=[1])["LEAKAGE_NEAR"].rows == ("row 1",)
    assert "LEAKAGE_NEAR" not in found(rows, tested=[0, 1])
    for drawn in (True, False):  # a given test table is not drawn otherwise by grouping
        assert ("--group-column" in found(rows, tested=[0], drawn=drawn)["LEAKAGE_NEAR"].message) is drawn


def test_near_duplicates_are_shown_by_an_example():
    assert "rows row 0 and row 2" in found(FAULTS["DUPLICATES_NEAR"].rows)["DUPLICATES_NEAR"].message


def test_rows_that_were_not_compared_are_said_to_be(monkeypatch):
    rows = distinct(7)
    assert "DUPLICATES_NEAR_UNCHECKED" not in found(rows)
    for module in (checking, findings):
        monkeypatch.setattr(module, "MAX_NEAR_DUPLICATE_ROWS", 4)
    finding = found(rows)["DUPLICATES_NEAR_UNCHECKED"]
    assert (finding.severity, finding.count) == ("warning", 3)
    for part in ("3 of 7 rows", "near duplicates", "test rows that ask nearly", "first 4 rows of each table"):
        assert part in finding.message


def test_near_leaks_are_named_whatever_is_held_out_before_them_and_word_for_word_ones_are_not():
    rows = [(f"{NEAR} {word}", "x") for word in ("one", "two", "six", "two")]
    assert found(rows, tested=[0, 2])["LEAKAGE_NEAR"].rows == ("row 0", "row 2")
    named = found(rows, tested=[0, 1])
    assert named["LEAKAGE"].rows == ("row 1",)
    assert named["LEAKAGE_NEAR"].rows == ("row 0",)


def test_classes_of_very_different_size_are_found():
    rows = [*distinct(21, "big"), *distinct(2, "small", start=21)]
    finding = found(rows)["CLASS_IMBALANCE"]
    assert "'big' has 21" in finding.message
    assert "'small' has 2" in finding.message
    assert "CLASS_IMBALANCE" not in found(rows[1:])
    assert "CLASS_IMBALANCE" not in found(rows, tested=[0])


def test_a_label_without_a_test_row_is_found_where_others_have_one():
    rows = [*distinct(3, "x"), *distinct(3, "y", start=3), *distinct(3, "z", start=6)]
    finding = found(rows, tested=[3])["CLASS_TOO_SMALL"]
    assert finding.count == 2
    assert "'x', 'z'" in finding.message
    assert "CLASS_TOO_SMALL" not in found(rows, tested=[0, 3, 6])
    assert "CLASS_TOO_SMALL" not in found(rows)


def test_labels_of_few_training_rows_are_found_and_at_most_ten_are_named():
    rows = [*distinct(10, "x"), *distinct(9, "y", start=10)]
    assert found(rows)["CLASS_SMALL"].count == 1
    assert "'y'" in found(rows)["CLASS_SMALL"].message
    assert "CLASS_SMALL" not in found([*rows, *distinct(1, "y", start=19)])
    assert "CLASS_SMALL" in found([*rows, *distinct(1, "y", start=19)], tested=[19])
    many = found([(f"{number} asks", f"label {number:02}") for number in range(12)])["CLASS_SMALL"]
    assert "'label 09' and 2 more" in many.message


def test_labels_are_judged_only_where_rows_are_labelled():
    rows = [*distinct(21, "big"), ("a", "x"), ("a", "y")]
    codes = {"CLASS_IMBALANCE", "CLASS_SMALL", "LABELS_CONFLICTING"}
    assert codes <= found(rows).keys()
    assert not codes & found(rows, labelled=False).keys()


def test_columns_that_tell_nothing_are_found():
    columns = {"empty": Column({""}), "constant": Column({"a"}), "fine": Column({"a", ""})}
    named = findings.findings(noted(distinct(2)), np.array([True, False]), str, columns)
    constant = {finding.column: finding for finding in named if finding.code == "COLUMN_CONSTANT"}
    assert constant.keys() == {"empty", "constant"}
    assert "'empty' is empty" in constant["empty"].message
    assert "'constant' holds the same value" in constant["constant"].message


def test_a_table_without_test_rows_is_told_of():
    assert "TEST_EMPTY" not in found(distinct(3), tested=[0])
    for rows, drawn, why in (
        (distinct(3), False, "none was asked for. Ask for a share of the rows (--test-fraction)"),
        (distinct(1), True, "all rows belong to one group"),
        ([("a", "x"), ("b", "y")], True, "the rows of each label belong to one group"),
    ):
        assert why in found(rows, drawn=drawn)["TEST_EMPTY"].message


def test_rows_that_are_merged_are_counted():
    rows = [("z", "x"), ("a", "1"), ("b", "2"), ("a", "3"), ("z", "y")]
    finding = found(rows, tested=[1, 2, 3], merged=True, labelled=False)["REFERENCES_MERGED"]
    assert finding.message.startswith("3 held-out rows of 2 prompts became 2 test rows with several references.")
    assert (finding.severity, finding.count) == ("info", 3)
    assert "REFERENCES_MERGED" not in found(rows, tested=[1, 2, 3], labelled=False)
    assert "REFERENCES_MERGED" not in found(rows, tested=[1, 2], merged=True, labelled=False)


def test_the_gravest_come_first_and_at_most_twenty_rows_are_named():
    rows = [("a\x07", "x")] * 30
    named = findings.findings(noted(rows), np.arange(30) >= 25, str, {})
    severities = [finding.severity for finding in named]
    assert severities[0] == "error"
    assert severities == sorted(severities, key=("error", "warning", "info").index)
    duplicates = next(finding for finding in named if finding.code == "DUPLICATES_EXACT")
    assert duplicates.count == 29
    assert duplicates.rows == tuple(map(str, range(1, 21)))


def test_a_finding_is_one_on_the_wire():
    finding = Finding("warning", "CODE", "Message.", 2, ("1", "test 2"), "column")
    message = json_format.ParseDict(finding.to_json(), datasets_pb2.Finding())
    assert message == datasets_pb2.Finding(
        severity="SEVERITY_WARNING", code="CODE", message="Message.", count=2, rows=["1", "test 2"], column="column"
    )


def test_labels_are_counted_on_either_side_in_alphabetical_order():
    rows = [("1", "b"), ("2", "a"), ("3", "b"), ("4", "c"), ("5", "b")]
    assert label_counts(noted(rows), np.array([False, False, True, True, False])) == [
        {"label": "a", "train": 1, "test": 0},
        {"label": "b", "train": 2, "test": 1},
        {"label": "c", "train": 0, "test": 1},
    ]


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.booleans()), min_size=1, max_size=20)
)
def test_every_row_with_a_fault_is_named_and_no_other(rows):
    pairs = [(asked, reply) for asked, reply, _ in rows]
    assume(not all(tested for _, _, tested in rows))
    named = found(pairs, [place for place, (_, _, tested) in enumerate(rows) if tested])

    def expected(code, places):
        assert named[code].rows == tuple(f"row {place}" for place in places) if places else code not in named

    everywhere = range(len(rows))
    expected("DUPLICATES_EXACT", [place for place in everywhere if pairs[place] in pairs[:place]])
    asked_in_training = {asked for asked, _, tested in rows if not tested}
    expected("LEAKAGE", [place for place in everywhere if rows[place][2] and rows[place][0] in asked_in_training])
    first = dict(reversed(pairs))
    expected("LABELS_CONFLICTING", [place for place in everywhere if pairs[place][1] != first[pairs[place][0]]])
