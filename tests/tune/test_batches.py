from itertools import islice

import pytest
import torch
from honed.data import Span, TokenizedExample, all_tokens
from honed.tune.batches import (
    MicroBatch,
    endless_batches,
    epoch_order,
    largest_micro_batch,
    micro_batches,
    steps_per_epoch,
)


def stream(*rows, share=True):
    return MicroBatch.of(rows, share=share)


def test_rows_stand_one_behind_the_other_and_replies_alone_are_predicted():
    batch = stream(TokenizedExample((5, 6, 7), (8, 9)), TokenizedExample((4,), (3,)))
    assert batch.ids.tolist() == [5, 6, 7, 8, 9, 4, 3]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert batch.row_lengths.tolist() == [5, 5, 5, 5, 5, 2, 2]
    assert batch.states.tolist() == [2, 3, 5]
    assert batch.targets.tolist() == [8, 9, 3]


def test_earlier_trained_turns_are_predicted_too_each_by_its_weight():
    row = TokenizedExample((5, 6, 7, 8, 9), (3, 4), earlier=(Span(1, 2), Span(3, 5, 0.5)), weight=2.0)
    batch = stream(row)
    assert batch.states.tolist() == [0, 2, 3, 4, 5]
    assert batch.targets.tolist() == [6, 8, 9, 3, 4]
    assert batch.weights.tolist() == [1.0, 0.5, 0.5, 2.0, 2.0]
    assert batch.weight == 6.0


def test_a_labelled_row_has_no_target_and_ends_with_the_state_that_a_head_reads():
    batch = stream(TokenizedExample((5, 6, 7), (), label=1), TokenizedExample((5, 6), (), label=0))
    assert batch.targets.tolist() == []
    assert batch.labels.tolist() == [1, 0]
    assert batch.layout.prefix == 1  # the second row's last token is its own
    assert batch.ids[batch.ends].tolist() == [7, 6]
    assert batch.row_tokens.tolist() == [3, 2]
    assert batch.weight == 2.0


def test_what_all_rows_begin_with_stands_in_the_stream_once():
    rows = TokenizedExample((5, 6, 7), (8,)), TokenizedExample((5, 6, 4, 4), (3,))
    batch = stream(*rows)
    assert batch.ids.tolist() == [5, 6, 7, 8, 4, 4, 3]
    assert batch.positions.tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert (batch.states.tolist(), batch.targets.tolist()) == ([2, 5], [8, 3])
    assert batch.layout.prefix == 2
    assert batch.layout.places.tolist() == [[0, 1, 0], [2, 3, 4]]
    assert batch.layout.flat.tolist() == [0, 1, 3, 4, 5]
    assert stream(*rows, share=False).layout.prefix == 0


def test_a_state_under_the_loss_is_never_shared():
    # the rows are alike up to their last token; the loss on 7 and 8 counts twice
    batch = stream(TokenizedExample((5, 6, 7), (8, 9)), TokenizedExample((5, 6), (7, 8, 3)))
    assert batch.layout.prefix == 1
    assert batch.targets.tolist() == [8, 9, 7, 8, 3]
    assert stream(*[TokenizedExample((5,), (6,))] * 2).layout.prefix == 0
    assert stream(*[all_tokens(TokenizedExample((5, 6, 7), (8,)))] * 2).layout.prefix == 0


def test_targets_are_the_ids_one_place_on(rows):
    batch = stream(*rows)
    assert torch.equal(batch.targets, batch.ids[batch.states + 1])
    assert len(batch.targets) == sum(len(row.reply) for row in rows)


def test_micro_batches_hold_every_row_and_no_more_tokens_than_allowed(rows):
    for most in (1, 30, 10_000):
        batches = micro_batches(rows, most, share=False)
        assert sum(len(batch.ids) for batch in batches) == sum(map(len, rows))
        assert all(len(batch.ids) <= most or batch.layout.places.shape[0] == 1 for batch in batches)
    assert len(batches) == 1


def test_micro_batches_count_what_rows_share_once_and_are_filled_evenly():
    rows = [TokenizedExample((*range(20), 100 + row), (row,)) for row in range(12)]  # 20 shared, 2 of its own each
    assert [len(batch.ids) for batch in micro_batches(rows, 44, share=True)] == [44]
    assert [len(batch.ids) for batch in micro_batches(rows, 43, share=True)] == [32, 32]
    assert [len(batch.ids) for batch in micro_batches(rows, 36, share=True)] == [32, 32]
    assert [len(batch.ids) for batch in micro_batches(rows, 44, share=False)] == [44] * 6


def test_no_micro_batch_is_larger_than_the_largest(rows):
    for most in (1, 30, 60, 10_000):
        largest = largest_micro_batch(rows, most, share=False)
        assert max(len(batch.ids) for batch in micro_batches(rows, most, share=False)) <= max(most, len(largest.ids))
        assert max(map(len, rows)) == largest.row_tokens.max()


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_every_row_comes_once_an_epoch(rows, batch_size):
    for epoch in range(3):
        order = epoch_order(len(rows), batch_size, seed=1, epoch=epoch)
        assert sorted(index for batch in order for index in batch) == list(range(len(rows)))
        assert len(order) == steps_per_epoch(len(rows), batch_size)
        assert sorted(map(len, order))[1:] == [batch_size] * (len(order) - 1) or len(order) == 1


def test_the_order_depends_on_the_seed_and_the_epoch_alone():
    assert epoch_order(100, 8, 1, 0) == epoch_order(100, 8, 1, 0)
    assert epoch_order(100, 8, 1, 0) != epoch_order(100, 8, 2, 0)
    assert epoch_order(100, 8, 1, 0) != epoch_order(100, 8, 1, 1)


@pytest.mark.parametrize(("rows", "size", "steps"), [(1, 16, 1), (16, 16, 1), (17, 16, 2), (32, 1, 32)])
def test_the_last_batch_of_an_epoch_may_be_smaller(rows, size, steps):
    assert steps_per_epoch(rows, size) == steps


def test_batches_go_on_into_the_next_epoch_in_another_order(rows):
    per_epoch = steps_per_epoch(len(rows), 5)
    batches = list(islice(endless_batches(rows, 5, seed=0), 2 * per_epoch))
    total = sum(map(len, rows))
    first, second = batches[:per_epoch], batches[per_epoch:]
    for batches in (first, second):
        assert sum(len(row) for batch in batches for row in batch) == total
    assert first != second
