import tracemalloc

from honed.data.ids import Ids


def repeated(*named):
    ids = Ids()
    for row_id, row in named:
        ids.add(row_id, row)
    return list(ids.repeated())


def test_every_row_with_the_id_of_an_earlier_one_is_named_with_the_first():
    assert repeated(("b", 1), ("a", 3), ("c", 4), ("a", 6), ("b", 7), ("a", 9)) == [(6, 3), (7, 1), (9, 3)]


def test_ids_of_their_own_and_no_ids_are_nothing_to_name():
    assert repeated(("a", 1), ("b", 2)) == repeated() == []


def test_an_id_takes_some_bytes_and_no_object():
    ids = Ids()
    tracemalloc.start()
    for row in range(20_000):
        ids.add(f"an id of some length: {row}", row)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 20_000 * 16
