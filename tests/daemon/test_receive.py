import pytest
from honed.daemon.rpc.receive import Receiver
from honed.daemon.state import StateFolder
from honed.errors import InvalidInput


@pytest.fixture
def receiver(tmp_path):
    state = StateFolder(tmp_path / "state", 0)
    folder = tmp_path / "files"
    folder.mkdir()
    receiver = Receiver(folder, state, limit_bytes=10, limit_name="max_model_bytes")
    yield receiver
    receiver.close()
    state.close()


def test_chunks_become_files(receiver, tmp_path):
    for name, data in (("a", b"12"), ("a", b"3"), ("b.json", b""), ("ä c", b"4")):
        receiver.write(name, data)
    receiver.close()
    files = {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()}
    assert files == {"a": b"123", "b.json": b"", "ä c": b"4"}
    assert receiver.received == 4


def test_all_files_together_have_a_limit(receiver):
    receiver.write("a", b"12345")
    receiver.write("b", b"12345")
    with pytest.raises(InvalidInput, match="max_model_bytes") as caught:
        receiver.write("b", b"6")
    assert caught.value.reason == "UPLOAD_TOO_LARGE"


async def test_an_upload_brings_what_it_announced_or_is_refused(receiver):
    receiver.write("a", b"1234")
    await receiver.finish(4)
    await receiver.finish(None)
    for announced in (3, 5):
        with pytest.raises(InvalidInput, match="4 bytes") as caught:
            await receiver.finish(announced)
        assert caught.value.reason == "UPLOAD_INCOMPLETE"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../a", "a\\b", "a:b", "a\0", "a\n", "x" * 201])
def test_a_name_never_becomes_a_path(receiver, name, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        receiver.write(name, b"1")
    assert caught.value.reason == "FIELD_INVALID"
    assert not list((tmp_path / "files").iterdir())


def test_a_file_does_not_come_back_after_another(receiver):
    receiver.write("a", b"1")
    receiver.write("b", b"1")
    with pytest.raises(InvalidInput, match="came back"):
        receiver.write("a", b"1")
