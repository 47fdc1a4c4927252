import json
from dataclasses import asdict

import pytest
from honed.errors import KINDS, Failure, HonedError, Internal, InvalidInput

STANDARD = {
    "invalid_input": ValueError,
    "not_found": LookupError,
    "already_exists": ValueError,
    "wrong_state": RuntimeError,
    "no_room": OSError,
    "busy": RuntimeError,
    "unavailable": ConnectionError,
    "unauthenticated": PermissionError,
    "cancelled": RuntimeError,
    "internal": RuntimeError,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_standard_one_too_and_reads_as_its_message(kind):
    error = KINDS[kind]("what is wrong", reason="REASON", limit=3)
    assert isinstance(error, STANDARD[kind])
    assert str(error) == error.message == "what is wrong"
    assert error.metadata == {"limit": "3"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_the_way_over_json(kind):
    error = KINDS[kind]("what", reason="REASON", violations=(("row 1", "bad"),), limit=3)
    arrived = Failure.from_json(json.loads(json.dumps(asdict(Failure.of(error))))).to_error()
    assert type(arrived) is type(error)
    assert Failure.of(arrived) == Failure.of(error)


def test_every_class_of_the_tree_has_a_kind():
    assert set(HonedError.__subclasses__()) == set(KINDS.values())


def test_an_unknown_kind_is_a_defect():
    assert type(Failure("later", "R", "m").to_error()) is Internal


def test_one_bad_field_is_named():
    error = InvalidInput.of_field("rank", "expected 1 to 512, found 0")
    assert error.reason == "FIELD_INVALID"
    assert error.violations == (("rank", "expected 1 to 512, found 0"),)
    assert error.message == "rank: expected 1 to 512, found 0"
