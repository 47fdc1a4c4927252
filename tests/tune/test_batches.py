from itertools import islice

import pytest
import torch
from honed.data import Span, TokenizedExample
from honed.tune.batches import Batch, endless_batches, epoch_order, steps_per_epoch


def test_a_row_is_padded_on_the_right_and_its_reply_alone_is_predicted():
    batch = Batch.of([TokenizedExample((5, 6, 7), (8, 9)), TokenizedExample((4,), (3,))])
    assert batch.ids.tolist() == [[5, 6, 7, 8, 9], [4, 3, 0, 0, 0]]
    assert batch.targets.tolist() == [[-100, -100, 8, 9, -100], [3, -100, -100, -100, -100]]
    assert batch.tokens == 7


def test_earlier_trained_turns_are_predicted_too_each_by_its_weight():
    row = TokenizedExample((5, 6, 7, 8, 9), (3, 4), earlier=(Span(1, 2), Span(3, 5, 0.5)), weight=2.0)
    batch = Batch.of([row])
    assert batch.targets.tolist() == [[6, -100, 8, 9, 3, 4, -100]]
    assert batch.weights.tolist() == [[1.0, 0.0, 0.5, 0.5, 2.0, 2.0, 0.0]]
    assert batch.weight == 6.0


def test_targets_are_the_ids_one_place_on(rows):
    batch = Batch.of(rows)
    trained = batch.targets[:, :-1] != -100
    assert torch.equal(batch.targets[:, :-1][trained], batch.ids[:, 1:][trained])
    assert trained.sum() == sum(len(row.reply) for row in rows)


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_every_row_comes_once_an_epoch(rows, batch_size):
    lengths = [len(row) for row in rows]
    for epoch in range(3):
        order = epoch_order(lengths, batch_size, seed=1, epoch=epoch)
        assert sorted(index for batch in order for index in batch) == list(range(len(rows)))
        assert len(order) == steps_per_epoch(len(rows), batch_size)
        assert sorted(map(len, order))[1:] == [batch_size] * (len(order) - 1) or len(order) == 1


def test_the_order_depends_on_the_seed_and_the_epoch_alone():
    lengths = list(range(100))
    assert epoch_order(lengths, 8, 1, 0) == epoch_order(lengths, 8, 1, 0)
    assert epoch_order(lengths, 8, 1, 0) != epoch_order(lengths, 8, 2, 0)
    assert epoch_order(lengths, 8, 1, 0) != epoch_order(lengths, 8, 1, 1)


def test_rows_of_like_length_stand_together_but_not_in_the_order_of_their_lengths():
    lengths = [index % 50 for index in range(400)]
    batches = epoch_order(lengths, 8, 0, 0)
    padding = sum(max(lengths[i] for i in batch) * len(batch) - sum(lengths[i] for i in batch) for batch in batches)
    shuffled = [list(range(start, start + 8)) for start in range(0, 400, 8)]  # in the table's order: runs of 8
    assert padding < sum(lengths) * 0.2
    means = [sum(lengths[i] for i in batch) for batch in batches]
    assert means != sorted(means)
    assert batches != shuffled


@pytest.mark.parametrize(("rows", "size", "steps"), [(1, 16, 1), (16, 16, 1), (17, 16, 2), (32, 1, 32)])
def test_the_last_batch_of_an_epoch_may_be_smaller(rows, size, steps):
    assert steps_per_epoch(rows, size) == steps


def test_batches_go_on_into_the_next_epoch_in_another_order(rows):
    per_epoch = steps_per_epoch(len(rows), 5)
    batches = list(islice(endless_batches(rows, 5, seed=0), 2 * per_epoch))
    total = sum(map(len, rows))
    first, second = batches[:per_epoch], batches[per_epoch:]
    assert sum(batch.tokens for batch in first) == sum(batch.tokens for batch in second) == total
    assert [batch.ids.tolist() for batch in first] != [batch.ids.tolist() for batch in second]
