import pytest


@pytest.fixture(scope="session")
def graph_folder(tiny_llama, tmp_path_factory):
    """The tiny llama as a float32 graph."""
    from honed.export import build

    folder = tmp_path_factory.mktemp("serve") / "graph"
    folder.mkdir()
    build(tiny_llama, folder, "onnx-fp32")
    return folder
