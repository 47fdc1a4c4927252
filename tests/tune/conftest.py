import pytest
import torch
from honed.data import TokenizedExample
from honed.tune import base, methods


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny products gain nothing from a second thread, and lose much where the cores are shared."""
    torch.set_num_threads(1)


@pytest.fixture
def rows():
    """A table of rows of 4 to 20 tokens whose replies have 1 to 4."""
    draw = torch.Generator().manual_seed(3)

    def tokens(low, high):
        length = int(torch.randint(low, high + 1, (), generator=draw))
        return tuple(torch.randint(3, 304, (length,), generator=draw).tolist())

    return [TokenizedExample(tokens(3, 16), tokens(1, 4)) for _ in range(23)]


@pytest.fixture
def adapted(tiny_llama):
    """Makes the tiny llama in float32 with adapters that already do something."""

    def make(dropout=0.0, rank=4):
        model = methods.attach(
            base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=rank, alpha=8, dropout=dropout, seed=0)
        )
        draw = torch.Generator().manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=draw)
        return model.eval()

    return make
