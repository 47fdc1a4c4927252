import pytest
from honed.client import InvalidArgument, uploads
from honed.v1.datasets_pb2 import UploadDatasetHeader
from honed.v1.models_pb2 import UploadModelHeader


def make_folder(folder, *names):
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def names(files):
    return [file.name for file in files]


def test_a_table_is_streamed_in_pieces_after_its_header(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_bytes(b"a" * (uploads.PIECE_BYTES + 1))
    test.write_bytes(b"b")
    sent = []
    header = UploadDatasetHeader(dataset_id="d")
    messages = list(uploads.dataset_stream(header, train, test, sent.append))
    assert [message.WhichOneof("payload") for message in messages] == [
        "header",
        "train_data",
        "train_data",
        "test_data",
    ]
    assert messages[0].header == UploadDatasetHeader(dataset_id="d", total_bytes=uploads.PIECE_BYTES + 2)
    assert b"".join(message.train_data for message in messages) == train.read_bytes()
    assert messages[3].test_data == b"b"
    assert sent == [uploads.PIECE_BYTES, 1, 1]


def test_files_are_read_only_as_far_as_they_are_asked_for(tmp_path):
    train = tmp_path / "train.csv"
    train.write_bytes(b"a" * 3 * uploads.PIECE_BYTES)
    sent = []
    messages = uploads.dataset_stream(UploadDatasetHeader(), train, None, sent.append)
    next(messages)
    next(messages)
    assert sent == []  # the first piece has been made but not yet handed over
    next(messages)
    assert sent == [uploads.PIECE_BYTES]


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_missing_file_is_found_before_anything_is_sent(tmp_path, missing):
    files = {"train": tmp_path / "train.csv", "test": tmp_path / "test.csv"}
    for name, file in files.items():
        if name != missing:
            file.write_bytes(b"a")
    with pytest.raises(FileNotFoundError):
        uploads.dataset_stream(UploadDatasetHeader(), files["train"], files["test"])


def test_a_gguf_file_is_a_model_by_itself(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    header, chunk = uploads.model_stream(UploadModelHeader(model_id="m"), file)
    assert header.header == UploadModelHeader(model_id="m", total_bytes=4)
    assert (chunk.chunk.file_name, chunk.chunk.data) == ("model.gguf", b"GGUF")


def test_all_files_of_a_folder_are_sent_so_that_the_server_can_refuse_them_by_name(tmp_path):
    make_folder(tmp_path, "model.safetensors", "config.json", "chat_template.jinja", "merges.txt", "tokenizer.model")
    make_folder(tmp_path, "pytorch_model.bin", "modeling.py")
    assert names(uploads.model_files(tmp_path)) == [
        "chat_template.jinja",
        "config.json",
        "merges.txt",
        "model.safetensors",
        "modeling.py",
        "pytorch_model.bin",
        "tokenizer.model",
    ]


def test_prose_and_hidden_entries_stay_behind(tmp_path):
    make_folder(tmp_path, "config.json", "README.md", "README", "LICENSE.txt", "NOTES.md", ".gitattributes")
    (tmp_path / ".cache").mkdir()
    assert names(uploads.model_files(tmp_path)) == ["config.json"]


def test_sub_folders_are_refused_by_name(tmp_path):
    make_folder(tmp_path, "config.json")
    (tmp_path / "onnx").mkdir()
    with pytest.raises(ValueError, match="remove these folders: onnx"):
        uploads.model_files(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    make_folder(tmp_path, "README.md")
    with pytest.raises(InvalidArgument, match="holds no model"):
        uploads.model_files(tmp_path)


def test_an_empty_file_still_arrives_by_name(tmp_path):
    (tmp_path / "empty.json").touch()
    _, chunk = uploads.model_stream(UploadModelHeader(), tmp_path)
    assert (chunk.chunk.file_name, chunk.chunk.data) == ("empty.json", b"")
