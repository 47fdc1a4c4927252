from honed.data import Example, Message, batches
from honed.data.batches import characters
from hypothesis import given
from hypothesis import strategies as st


@given(sizes=st.lists(st.integers(0, 30)))
def test_items_come_in_order_some_at_a_time_and_few_of_large_ones(sizes):
    most, room = batches.MAX_ITEMS, batches.MAX_CHARACTERS
    batches.MAX_ITEMS, batches.MAX_CHARACTERS = 4, 50
    try:
        made = list(batches.batches(sizes, lambda size: size))
    finally:
        batches.MAX_ITEMS, batches.MAX_CHARACTERS = most, room
    assert [size for batch in made for size in batch] == sizes
    assert all(1 <= len(batch) <= 4 and sum(batch[:-1]) <= 50 for batch in made)


def test_all_that_an_example_says_is_counted():
    assert characters(Example((Message("system", "a"), Message("user", "bc")), "def", rejected="ghij")) == 10
