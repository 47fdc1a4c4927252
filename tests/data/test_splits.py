import pytest
from honed.data import Example, Message
from honed.data.splits import split
from honed.errors import InvalidInput


def examples(**counts):
    return [Example((Message("user", f"{label} {i}"),), label) for label, count in counts.items() for i in range(count)]


def count(rows, label):
    return sum(row.reply == label for row in rows)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9, 1.0])
def test_of_every_label_the_rounded_share_is_held_out_but_at_least_one_and_never_all(fraction):
    sizes = {"a": 2, "b": 10, "c": 33}
    train, test = split(examples(**sizes), fraction, seed=3, stratify=True)
    for label, size in sizes.items():
        assert count(test, label) == min(max(round(size * fraction), 1), size - 1)
        assert count(train, label) + count(test, label) == size


def test_both_sides_together_are_the_table_and_each_keeps_its_order():
    table = examples(a=20, b=20)
    train, test = split(table, 0.25, seed=1, stratify=True)
    assert sorted((*train, *test), key=table.index) == table
    assert train == sorted(train, key=table.index)
    assert test == sorted(test, key=table.index)


def test_the_split_depends_on_the_seed_alone():
    table = examples(a=50, b=50)
    assert split(table, 0.2, 7, stratify=True) == split(table, 0.2, 7, stratify=True)
    assert split(table, 0.2, 7, stratify=True) != split(table, 0.2, 8, stratify=True)


def test_a_new_label_does_not_move_the_rows_of_the_others():
    _, before = split(examples(a=30, b=30), 0.2, 0, stratify=True)
    _, after = split(examples(a=30, b=30, c=30), 0.2, 0, stratify=True)
    assert [row for row in after if row.reply != "c"] == before


def test_labels_of_one_size_are_drawn_apart():
    _, test = split(examples(a=30, b=30), 0.2, 0, stratify=True)
    texts = {label: [row.messages[0].content for row in test if row.reply == label] for label in "ab"}
    assert texts["a"] != [text.replace("b", "a") for text in texts["b"]]


def test_without_stratifying_the_whole_is_one_group():
    train, test = split(examples(a=1, b=9), 0.3, 0, stratify=False)
    assert (len(train), len(test)) == (7, 3)


def test_labels_with_a_single_row_are_refused_by_name():
    with pytest.raises(InvalidInput, match="'b', 'c'") as caught:
        split(examples(a=5, b=1, c=1), 0.2, 0, stratify=True)
    assert caught.value.reason == "LABEL_TOO_SMALL"
    assert caught.value.metadata["labels"] == "b,c"


def test_a_fraction_of_zero_holds_nothing_out():
    table = examples(a=1, b=3)
    assert split(table, 0, 0, stratify=True) == (table, [])
