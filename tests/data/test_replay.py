import pytest
from honed.data import Example, Message
from honed.data.replay import replay


def rows(name, count):
    return [Example((Message("user", f"{name} {n}"),), "yes", row=str(n)) for n in range(count)]


EARLIER = {"datasets/a": rows("a", 60), "datasets/b": rows("b", 20)}


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.2, 0.5])
def test_the_replayed_rows_are_the_share_that_was_asked_for(fraction):
    drawn = replay(EARLIER, 80, fraction, 0, ())
    count = sum(map(len, drawn.values()))
    assert drawn.keys() == EARLIER.keys()
    assert count / (count + 80) == pytest.approx(fraction, abs=0.5 / 80)


def test_no_row_comes_twice_so_that_there_may_be_fewer():
    assert replay(EARLIER, 80, 0.9, 0, ()) == EARLIER  # 720 rows would be the share


def test_the_draw_hangs_on_the_seed_and_takes_from_all_sets_alike():
    drawn = replay(EARLIER, 40, 0.5, 3, ())
    assert drawn == replay(EARLIER, 40, 0.5, 3, ())
    assert drawn != replay(EARLIER, 40, 0.5, 4, ())
    shares = [len(replay(EARLIER, 40, 0.5, seed, ())["datasets/b"]) / 40 for seed in range(50)]
    assert sum(shares) / 50 == pytest.approx(20 / 80, abs=0.04)  # 5 standard deviations of the mean of 50 draws
    numbers = [int(row.row) for row in drawn["datasets/a"]]
    assert numbers == sorted(numbers)


def test_what_is_held_out_is_never_drawn_whatever_its_answer():
    held_out = [Example(row.messages, "no") for row in EARLIER["datasets/a"][:50]]
    drawn = replay(EARLIER, 1000, 0.5, 0, held_out)
    assert drawn == {"datasets/a": EARLIER["datasets/a"][50:], "datasets/b": EARLIER["datasets/b"]}


def test_bare_text_is_told_apart_by_itself():
    tales = [Example((), f"tale {n}") for n in range(4)]
    assert replay({"datasets/t": tales}, 100, 0.5, 0, tales[:1]) == {"datasets/t": tales[1:]}
