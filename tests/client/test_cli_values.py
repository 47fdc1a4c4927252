import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from honed.client.cli.progress import describe
from honed.client.cli.values import duration, moment, share, size, visible
from honed.v1.jobs_pb2 import JobEvent
from honed.v1.types_pb2 import Progress


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 << 10, "1.5 MiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_a_size_is_given_in_the_largest_unit_below_it(n_bytes, text):
    assert size(n_bytes) == text


def test_durations_and_shares_are_readable():
    assert duration(3690.4) == "1:01:30"
    assert share(0.9333) == "93.3 %"


def test_a_time_that_is_not_set_is_a_dash():
    assert moment(Timestamp()) == "–"
    assert len(moment(Timestamp(seconds=1_700_000_000))) == len("2023-11-14 22:13:20")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – schön 🙂", "plain – schön 🙂"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("a\x9bb\x7f", "a\\x9bb\\x7f"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text, shown):
    assert visible(text) == shown


def test_chosen_characters_are_kept():
    assert visible("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


def test_a_step_is_described_with_its_figures():
    progress = Progress(
        step=3, total_steps=12, loss=0.5, validation_loss=0.75, tokens_per_s=1234.5, memory_bytes=3 << 29
    )
    progress.eta.seconds = 90
    assert describe(JobEvent(progress=progress)) == (
        "3/12  loss 0.5000  validation loss 0.7500  1,234 tokens/s  1.5 GiB  ETA 0:01:30"
    )
    assert describe(JobEvent(progress=Progress(step=3, total_steps=12))) == "3/12"
