import subprocess
import sys

import pytest
from honed.tune.search import Point, Search, Space

SPACE = Space([1e-4, 1e-2], [4, 16], [1, 3])


def points(search):
    return [search.next().point for _ in range(len(search))]


def test_a_grid_is_every_combination_in_the_order_of_the_values():
    assert points(Search(SPACE, "grid", 99, 0)) == [
        Point(rate, rank, epochs) for rate in (1e-4, 1e-2) for rank in (4, 16) for epochs in (1, 3)
    ]


def test_draws_lie_between_the_least_and_the_largest_value():
    drawn = points(Search(SPACE, "random", 200, 0))
    assert len(drawn) == 200
    assert all(1e-4 <= each.learning_rate <= 1e-2 and 4 <= each.rank <= 16 for each in drawn)
    assert {each.epochs for each in drawn} == {1, 2, 3}
    assert {each.rank for each in drawn} == set(range(4, 17))


def test_learning_rates_are_drawn_evenly_on_a_log_scale():
    below = sum(each.learning_rate < 1e-3 for each in points(Search(SPACE, "random", 400, 0)))
    assert 150 < below < 250  # 200 expected, standard deviation 10; on a plain scale it would be 36


def test_epochs_are_fractions_where_one_of_the_values_is():
    drawn = points(Search(Space([1e-3], [4], [0.5, 2]), "random", 20, 0))
    assert len({each.epochs for each in drawn}) == 20
    assert {(each.learning_rate, each.rank) for each in drawn} == {(1e-3, 4)}


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_draws_depend_on_the_seed_alone(seed):
    drawn = points(Search(SPACE, "random", 5, seed))
    assert points(Search(SPACE, "halving", 5, seed)) == drawn
    assert points(Search(SPACE, "random", 5, seed + 1)) != drawn


def rungs(losses_of_trials):
    """What successive halving answers to the losses of trial after trial."""
    search = Search(SPACE, "halving", len(losses_of_trials), 0)
    answers = []
    for losses in losses_of_trials:
        candidate = search.next()
        answers.append([candidate.tell(loss) for loss in losses])
    return answers


def test_a_trial_goes_on_if_its_loss_is_in_the_better_half_of_those_so_far():
    first_epochs = [5.0, 6.0, 4.0, 4.5, 7.0, 1.0]
    expected = []
    for count in range(1, len(first_epochs) + 1):
        better = sorted(first_epochs[:count])[: max(1, count // 2)]
        expected.append([first_epochs[count - 1] not in better])
    assert rungs([[loss] for loss in first_epochs]) == expected
    assert [True] in expected
    assert [False] in expected


def test_losses_are_compared_after_one_two_and_four_epochs():
    best, worse = [1.0, 1.0, 1.0, 1.0], [0.9, 0.9, 0.9, 2.0]
    assert rungs([best, worse]) == [[False] * 4, [False, False, False, True]]
    assert rungs([best, [0.9, 0.9, 2.0]])[1] == [False, False, False]  # no rung after three


def test_nothing_is_given_up_but_by_halving():
    for strategy in ("grid", "random"):
        search = Search(SPACE, strategy, 3, 0)
        assert not any(search.next().tell(loss) for loss in (1.0, 2.0, 3.0))


def test_a_study_opens_no_socket_no_pickle_no_file_to_write_and_says_nothing():
    script = """
import sys
seen = []
def hook(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if event.startswith(("socket.", "pickle.", "subprocess.", "urllib.", "sqlite3.")) or writes:
        seen.append((event, args))
sys.addaudithook(hook)
sys.dont_write_bytecode = True
from honed.tune.search import Search, Space
search = Search(Space([1e-4, 1e-2], [4, 16], [1, 3]), "halving", 4, 0)
for _ in range(len(search)):
    candidate = search.next()
    candidate.tell(1.0)
assert not seen, seen
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
