"""Combined adapters against the updates B A of their sources, against PEFT, and against the papers' definitions."""

import numpy as np
import pytest
import torch
from honed.tune import base, methods
from honed.tune.combine import Source, combine
from honed.tune.methods import lora
from peft import PeftModel

WEIGHTS = [0.7, -0.4, 1.5]


def source(seed, rank=2, scale=2.0, weight=1.0, inputs=5, outputs=7):
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(rank, inputs, generator=draw), torch.randn(outputs, rank, generator=draw)
    return Source({"x.lora_A.weight": a, "x.lora_B.weight": b}, scale, weight)


def parts(parameters):
    return parameters["x.lora_A.weight"].double().numpy(), parameters["x.lora_B.weight"].double().numpy()


def update(parameters, scale=1.0):
    a, b = parts(parameters)
    return scale * b @ a


@pytest.fixture
def three():
    """Adapters of ranks 2, 3 and 1 with scales of their own."""
    return [
        source(seed, rank, scale, weight)
        for seed, rank, scale, weight in zip(range(3), (2, 3, 1), (2.0, 0.5, 1.0), WEIGHTS, strict=True)
    ]


@pytest.fixture
def weighted_sum(three):
    return sum(each.weight * update(each.parameters, each.scale) for each in three)


def test_cat_is_the_weighted_sum_of_the_updates(three, weighted_sum):
    combined = combine(three, "cat", 6, None, 0)
    assert combined["x.lora_A.weight"].shape == (6, 5)
    np.testing.assert_allclose(update(combined), weighted_sum, rtol=1e-5, atol=1e-6)  # float32


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_svd_is_the_nearest_update_of_its_rank(three, weighted_sum, rank):
    combined = combine(three, "svd", rank, None, 0)
    assert combined["x.lora_B.weight"].shape == (7, rank)
    u, s, vh = np.linalg.svd(weighted_sum)  # of the whole matrix, which the code never forms
    np.testing.assert_allclose(update(combined), (u[:, :rank] * s[:rank]) @ vh[:rank], rtol=1e-4, atol=1e-5)


def test_svd_of_a_rank_above_the_layers_width_is_the_sum_itself(three, weighted_sum):
    combined = combine(three, "svd", 6, None, 0)  # of a layer of width 5
    assert combined["x.lora_A.weight"].shape == (6, 5)
    np.testing.assert_allclose(update(combined), weighted_sum, rtol=1e-4, atol=1e-5)


def test_linear_sums_a_and_b_apart():
    sources = [source(seed, weight=weight) for seed, weight in enumerate(WEIGHTS)]
    combined = combine(sources, "linear", 2, None, 0)
    pairs = [parts(each.parameters) for each in sources]
    a = sum(np.sign(w) * np.sqrt(abs(w) * 2.0) * a for w, (a, _) in zip(WEIGHTS, pairs, strict=True))
    b = sum(np.sqrt(abs(w) * 2.0) * b for w, (_, b) in zip(WEIGHTS, pairs, strict=True))
    np.testing.assert_allclose(update(combined), b @ a, rtol=1e-4, atol=1e-5)


def test_linear_of_one_adapter_against_itself_is_nothing():
    combined = combine([source(0, weight=1.0), source(0, weight=-1.0)], "linear", 2, None, 0)
    assert np.abs(update(combined)).max() == 0


def by_the_paper(tensors, weights, density):
    """TIES, algorithm 1 of arXiv 2306.01708, value by value; the weights stand in the mean."""
    trimmed = []
    for each in tensors:
        kept = int(density * each.size)
        lowest = np.sort(np.abs(each), axis=None)[each.size - kept]
        trimmed.append(np.where(np.abs(each) >= lowest, each, 0))
    merged = np.zeros_like(tensors[0])
    for place in np.ndindex(merged.shape):
        values = [each[place] for each in trimmed]
        sign = 1 if sum(values) >= 0 else -1
        chosen = [w * value for w, value in zip(weights, values, strict=True) if value * sign > 0]
        merged[place] = sum(chosen) / len(chosen) if chosen else 0
    return merged


@pytest.mark.parametrize("density", [0.2, 0.5, 0.9])
def test_ties_is_that_of_the_paper(density):
    weights = [1.0, 0.5, 2.0]
    sources = [source(seed, weight=weight) for seed, weight in enumerate(weights)]
    combined = parts(combine(sources, "ties", 2, density, 0))
    roots = np.sqrt(np.array(weights) * 2.0)
    for place in (0, 1):  # A and B
        expected = by_the_paper([parts(each.parameters)[place] for each in sources], roots, density)
        np.testing.assert_allclose(combined[place], expected, rtol=1e-5, atol=1e-6)


def test_dare_drops_values_and_scales_the_others_up():
    # 200 x 300 values: the share kept is within 0.02 of the density, at more than 9 standard deviations
    big = source(0, rank=200, scale=1.0, inputs=300)
    nothing = Source({name: torch.zeros_like(each) for name, each in big.parameters.items()}, 1.0, 1.0)
    for method in ("dare_linear", "dare_ties"):
        a = combine([big, nothing], method, 200, 0.3, 0)["x.lora_A.weight"]
        kept = a != 0
        assert abs(kept.float().mean().item() - 0.3) < 0.02
        torch.testing.assert_close(a[kept], big.parameters["x.lora_A.weight"][kept] / 0.3)


def test_dare_hangs_on_the_seed_alone():
    sources = [source(0), source(1)]

    def a(seed):
        return combine(sources, "dare_linear", 2, 0.5, seed)["x.lora_A.weight"]

    assert torch.equal(a(1), a(1))
    assert not torch.equal(a(1), a(2))


def adapter(tiny_llama, folder, seed, rank):
    model = lora.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank, alpha=3 * rank, seed=seed))
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=draw)
    folder.mkdir()
    methods.save(model, "lora", folder, "ab" * 32)
    return folder


@pytest.mark.parametrize(
    ("method", "ranks"),
    [("linear", (4, 4)), ("cat", (4, 2)), ("svd", (4, 2)), ("ties", (4, 4))],
)
def test_a_combined_model_is_pefts_own(tiny_llama, tmp_path, method, ranks):
    folders = [adapter(tiny_llama, tmp_path / str(seed), seed, rank) for seed, rank in enumerate(ranks)]
    weights, density = [0.8, 0.6], 0.5 if method == "ties" else None
    rank = sum(ranks) if method == "cat" else ranks[0]
    sources = [
        Source(lora.values(folder), lora.scale(folder), weight) for folder, weight in zip(folders, weights, strict=True)
    ]
    ours = lora.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank, alpha=rank, seed=9))
    lora.fill(ours, combine(sources, method, rank, density, 0))
    theirs = PeftModel.from_pretrained(base.load(tiny_llama, torch.float32), str(folders[0]), adapter_name="first")
    theirs.load_adapter(str(folders[1]), adapter_name="second")
    theirs.add_weighted_adapter(
        ["first", "second"], weights, "both", combination_type=method, svd_rank=rank, density=density
    )
    theirs.set_adapter("both")
    ids = torch.arange(3, 60).reshape(3, 19)
    with torch.inference_mode():
        expected, found = (model.eval()(input_ids=ids).logits for model in (theirs, ours))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)  # float32, products in another order
