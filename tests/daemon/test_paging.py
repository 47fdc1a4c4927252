import pytest
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.errors import InvalidInput
from honed.v1.reports_pb2 import ListReportsResponse, Report


def reports(*numbers, size=0):
    """Reports with their numbers, each of `size` bytes and a little more."""
    return [(number, Report(name=str(number), headline="x" * size)) for number in numbers]


@pytest.mark.parametrize(("size", "limit"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_a_page_has_a_default_and_a_largest_size(size, limit):
    assert page_bounds(size, "") == (2**63 - 1, limit)


def test_the_next_page_begins_where_the_last_one_ended():
    page, token = page_of(reports(9, 8, 7), 3)
    assert [report.name for report in page] == ["9", "8", "7"]
    assert page_bounds(3, token) == (7, 3)
    assert page_of(reports(9, 8), 3)[1] == page_of([], 3)[1] == ""


def test_a_page_ends_early_where_it_would_not_fit_a_message():
    page, token = page_of(reports(9, 8, 7, 6, size=1 << 20), 50)
    assert len(page) == 2
    assert page_bounds(0, token)[0] == 8
    assert ListReportsResponse(reports=page).ByteSize() < 4 << 20


def test_what_is_larger_than_a_page_stands_alone_on_one():
    page, token = page_of(reports(9, 8, size=4 << 20), 50)
    assert (len(page), token) == (1, "9")


@pytest.mark.parametrize(("size", "token"), [(-1, ""), (0, "x"), (0, "-1"), (0, "²"), (0, "1 OR 1"), (0, "9" * 19)])
def test_a_size_below_zero_and_a_token_of_somebody_else_are_refused(size, token):
    with pytest.raises(InvalidInput):
        page_bounds(size, token)
