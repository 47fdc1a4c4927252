"""What several packages' tests share. The heavy imports wait until a test asks for them."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Children can be interrupted also where the tests run in the background of a shell, which ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """A tiny llama's folder; read it, do not change it."""
    from helpers.tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def renderer(tiny_llama):
    """The renderer of the tiny llama."""
    from honed.data import Renderer

    return Renderer.load(tiny_llama)
