"""Exact rewrites: the same logits with the promised layers, for any parameters."""

from __future__ import annotations

import copy
import operator
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from src import graph_passes, models
from src.models.network import NetworkSpec

BUILDERS = sorted({getattr(models, name).builder for name in models.__all__})
# Relative. Rewritten networks differ by 1e-6 from torchvision's because of fp32 rounding. Both are
# run in fp64: the rounding of the products would depend on the processor's kernels.
TOLERANCE = 1e-5


def with_random_parameters(network: nn.Module) -> nn.Module:
    """Change every parameter and statistic from its initial value, so that no term is neutral."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm) and module.weight is not None:
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
            if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
                module.bias.normal_(0, 0.2)
            if hasattr(module, "layer_scale"):
                module.layer_scale.uniform_(-1, 1)
    return network.eval()


def simplified_alike(network: nn.Module, images: Tensor) -> fx.GraphModule:
    """Return the simplified network after checking that both have the same logits."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    simplified = graph_passes.simplify(network)
    with torch.no_grad():
        expected, logits = (
            copy.deepcopy(each).double()(images.double()) for each in (network, simplified)
        )
    assert (logits - expected).abs().max() <= TOLERANCE * expected.abs().max()
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    shared = {value.data_ptr() for value in network.parameters()}
    assert not shared & {value.data_ptr() for value in simplified.parameters()}
    assert not any(module.training for module in simplified.modules())
    assert isinstance(simplified, fx.GraphModule)
    return simplified


def call_counts(simplified: fx.GraphModule) -> Counter[str]:
    """Return how often each class of module and each function is called."""
    names = dict(simplified.named_modules())
    return Counter(
        type(names[node.target]).__name__
        if node.op == "call_module"
        else getattr(node.target, "__name__", str(node.target))
        for node in simplified.graph.nodes
        if node.op.startswith("call")
    )


EXPECTED = {
    "resnet34": {"BatchNorm2d": 0, "Conv2d": 36},
    # 120 convolutions, and the 62 BatchNorms that follow a concatenation or pooling.
    "densenet121": {"BatchNorm2d": 0, "Conv2d": 182},
    "efficientnet_b0": {"BatchNorm2d": 0, "Conv2d": 81, "stochastic_depth": 0, "Dropout": 0},
    # Two linear layers in each of 18 blocks become convolutions; the classifier's stays.
    "convnext_tiny": {"Conv2d": 22 + 36, "Linear": 1, "mul": 0, "LayerNorm": 23, "layer_norm": 0},
}


@pytest.mark.parametrize("random", [False, True], ids=["fresh", "random"])
@pytest.mark.parametrize("builder", BUILDERS)
def test_simplified_networks_keep_logits_with_fewer_layers(builder: str, random: bool) -> None:
    network = NetworkSpec(builder, 5).build().eval()
    if random:
        with_random_parameters(network)
    simplified = simplified_alike(network, torch.randn(3, 3, 64, 64))
    counts = call_counts(simplified)
    assert {name: counts[name] for name in EXPECTED[builder]} == EXPECTED[builder]


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_simplified_network_can_be_scripted_for_any_batch_and_image_size(builder: str) -> None:
    network = with_random_parameters(NetworkSpec(builder, 5).build())
    simplified = graph_passes.simplify(network).double()
    network.double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        scripted = torch.jit.script(simplified)
    for shape in ((1, 3, 64, 64), (2, 3, 96, 64)):
        images = torch.randn(shape, dtype=torch.float64)
        with torch.no_grad():
            expected, logits = network(images), scripted(images)
        assert (logits - expected).abs().max() <= TOLERANCE * expected.abs().max(), shape


def test_convnexts_layer_norms_are_folded_into_following_layers() -> None:
    network = with_random_parameters(NetworkSpec("convnext_tiny", 5).build())
    simplified = simplified_alike(network, torch.randn(2, 3, 64, 64))
    kept = [
        module.elementwise_affine
        for module in simplified.modules()
        if isinstance(module, nn.LayerNorm)
    ]
    # A padded convolution and the residual sum read the stem's, so it keeps its parameters.
    assert Counter(kept) == {False: 22, True: 1}


def test_a_network_that_cannot_be_traced_is_copied_with_a_warning() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images: Tensor) -> Tensor:
            return self.norm(images) if images.sum() > 0 else images

    network = Choosing().train()
    with pytest.warns(
        graph_passes.NotSimplifiedWarning, match=r"Choosing is exported as it is.*trace"
    ):
        copied = graph_passes.simplify(network)
    assert copied is not network
    assert isinstance(copied, Choosing)
    assert not copied.training
    assert network.training


class Branches(nn.Module):
    """Two convolutions and a function of their results.

    Args:
        joined: gets the module, its images and both results, (N, 4, H, W).
    """

    def __init__(self, joined: Callable[[Branches, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(inplace=True)
        self.gamma = nn.Parameter(torch.randn(4, 1, 1))
        self.joined = joined

    def forward(self, images: Tensor) -> Tensor:
        return self.joined(self, images, self.first(images), self.second(images))


def then(statement: object, result: Tensor) -> Tensor:
    """Return the result. Its caller has run a statement before."""
    del statement
    return result


def added(value: Tensor, other: Tensor) -> Tensor:
    value += other
    return value


def modified_concatenation(net: Branches, a: Tensor, b: Tensor) -> Tensor:
    modified = torch.cat([a, b], 1).relu_()
    return torch.cat([a, b, net.first(modified[:, :3])], 1) + modified.mean()


def concatenation_modified_through_a_view(a: Tensor, b: Tensor) -> Tensor:
    modified = torch.cat([a, b], 1).flatten(1).relu_()
    return torch.cat([a, b, a], 1) + modified.mean()


def normed_before_it_is_modified(net: Branches, value: Tensor) -> Tensor:
    normed = net.norm(value)
    modified = net.relu(value)
    return net.last(normed) + modified


UNSAFE: dict[str, Callable[[Branches, Tensor, Tensor, Tensor], Tensor]] = {
    "a module as a statement": lambda net, _, a, b: then(net.relu(a), a * b),
    "a method as a statement": lambda net, _, a, b: then(a.clamp_(min=0), a * b),
    "a function as a statement": lambda net, _, a, b: then(torch.relu_(a), a * b),
    "an option by name": lambda net, _, a, b: then(nn.functional.elu(a, inplace=True), a * b),
    "an option by position": lambda net, _, a, b: then(nn.functional.relu(a, True), a * b),
    "a result that is given": lambda net, _, a, b: then(torch.mul(a, 2, out=a), a * b),
    "a view as a statement": lambda net, _, a, b: then(a[:, :2].zero_(), a * b),
    "a module whose result is read": lambda net, _, a, b: net.relu(a) - 2 * a + b,
    "a view whose result is read": lambda net, _, a, b: a.flatten(1).relu_().view_as(b) - 2 * a,
    "a sum in place": lambda net, _, a, b: added(a, b) * net.last(a),
    "a product in place": lambda net, _, a, b: operator.imul(a, b) * net.last(a),
    "a sum in place as a statement": lambda net, _, a, b: then(added(a, b), a * b),
    "before a BatchNorm's result is read": lambda net, _, a, b: normed_before_it_is_modified(
        net, a + b
    ),
    "a parameter": lambda net, _, a, b: then(net.gamma.abs_(), a * net.gamma),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_a_network_that_reads_what_it_modifies_in_place_is_copied_with_a_warning(name: str) -> None:
    network = with_random_parameters(Branches(UNSAFE[name])).requires_grad_(False)
    images = torch.randn(2, 3, 8, 8)
    with pytest.warns(graph_passes.NotSimplifiedWarning, match=r"in place .* read elsewhere"):
        copied = graph_passes.simplify(network)
    assert isinstance(copied, Branches)
    assert copied(images).equal(copy.deepcopy(network)(images))


SAFE: dict[str, Callable[[Branches, Tensor, Tensor, Tensor], Tensor]] = {
    "a chain": lambda net, _, a, b: net.last(net.relu(net.norm(a))) + b,
    "a sum that nothing else reads": lambda net, _, a, b: net.relu(operator.iadd(net.norm(a), b)),
    "an unread pure function": lambda net, _, a, b: then(a.abs(), a * b),
    "unread arithmetic of a shape": lambda net, _, a, b: then(operator.iadd(a.shape[2], 1), a * b),
    "a size that is read again": lambda net, _, a, b: (
        a.flatten(1) * operator.iadd(a.size(2), 1) + a.size(2)
    ),
    "a function that is told to make a copy": lambda net, _, a, b: nn.functional.relu(a, False) + a,
    "sizes of what is modified": lambda net, _, a, b: (
        net.relu(a).reshape(a.size(0), -1).reshape(b.shape).to(a.dtype) * a.ndim
    ),
    "dropout in place": lambda net, _, a, b: net.dropout(a) + a * b,
    "a concatenation that is modified": lambda net, _, a, b: modified_concatenation(net, a, b),
    "a concatenation that is modified through a view": lambda net, _, a, b: (
        concatenation_modified_through_a_view(a, b)
    ),
    "one tensor that is modified through a view": lambda net, _, a, b: (
        nn.Flatten.forward(FLAT, torch.cat([a], 1)).relu_().view_as(b) - a
    ),
    "a factor by name": lambda net, _, a, b: torch.mul(a, other=net.gamma) + b,
    "a factor and a tensor for the result": lambda net, _, a, b: (
        torch.mul(net.last(a), net.gamma, out=torch.empty_like(b)) + b
    ),
    "a LayerNorm of a computed shape": lambda net, _, a, b: nn.functional.layer_norm(
        a, a.shape[-1:], net.gamma.flatten().repeat(2), net.gamma.flatten().repeat(2)
    ),
}
FLAT = nn.Flatten()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAFE)
def test_a_network_that_reads_only_the_results_is_simplified_alike(name: str) -> None:
    network = with_random_parameters(Branches(SAFE[name])).requires_grad_(False)
    simplified_alike(network, torch.randn(2, 3, 8, 8))


class Counting(nn.Module):
    """A network that torch.fx traces as another one: its factor depends on earlier calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(images).mean((2, 3)) * (2 if self.calls > 1 else 1)


def test_a_rewritten_network_with_other_logits_is_copied_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Scaled(nn.Conv2d(3, 4, 1), 4, 1, 1).eval()
    images = torch.randn(2, 3, 8, 8)
    before = images.clone()

    def forget(graph_module: fx.GraphModule) -> int:
        for node in graph_module.graph.find_nodes(op="call_function", target=operator.mul):
            node.replace_all_uses_with(node.args[0])
        return 1

    assert isinstance(graph_passes.simplify(network, images), fx.GraphModule)
    monkeypatch.setattr(graph_passes.identities, "rewrite", forget)
    with pytest.warns(graph_passes.NotSimplifiedWarning, match=r"differ by .* more than 0\.001"):
        copied = graph_passes.simplify(network, images)
    assert isinstance(copied, Scaled)
    assert images.equal(before)


def test_the_comparison_runs_copies_of_the_network() -> None:
    network = Counting().eval()
    graph_passes.simplify(network, torch.randn(2, 3, 8, 8))
    assert network.calls == 0


def test_a_rewrite_that_fails_leaves_a_copy_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(graph_module: fx.GraphModule) -> int:
        raise ValueError("no such call")

    monkeypatch.setattr(graph_passes.permutations, "rewrite", fail)
    with pytest.warns(graph_passes.NotSimplifiedWarning, match="ValueError: no such call"):
        assert isinstance(graph_passes.simplify(Residual().eval()), Residual)


class Residual(nn.Module):
    """A convolution with two readers, into which its BatchNorm cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        value = self.convolution(images)
        return value + self.norm(value)


class Scaled(nn.Module):
    """A layer whose output is multiplied by a constant of the given shape."""

    def __init__(self, layer: nn.Module, *shape: int) -> None:
        super().__init__()
        self.layer = layer
        self.layer_scale = nn.Parameter(torch.randn(shape))

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images) * self.layer_scale


class Permuted(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(self.order)


class Shared(nn.Module):
    """A convolution that is called twice, with a BatchNorm after one of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(self.norm(self.convolution(images)))


class OneConcatenated(nn.Module):
    """A copy of the input that an activation modifies in place, added to the input."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu_(torch.cat([images], 1)) + images


class Concatenated(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        other = images + 1
        first = torch.cat([images, other], 1)
        other_axis = torch.cat([images, other, images], 2)
        other_order = torch.cat([other, images, images], 1)
        return other_order * (first.mean() + other_axis.mean())


def to_last(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(Permuted(0, 2, 3, 1), *layers, Permuted(0, 3, 1, 2))


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "BatchNorm after a convolution with two readers": (Residual, {"Conv2d": 2, "BatchNorm2d": 0}),
    "one convolution called twice": (Shared, {"Conv2d": 2, "BatchNorm2d": 0}),
    "BatchNorm without affine part": (
        lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3, affine=False)),
        {"Conv2d": 1, "BatchNorm2d": 0},
    ),
    "BatchNorm with the batch's statistics": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
        {"Conv2d": 1, "BatchNorm2d": 1},
    ),
    "a transposed convolution": (
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)),
        {"ConvTranspose2d": 1, "Conv2d": 1, "BatchNorm2d": 0},
    ),
    "a factor for each channel": (lambda: Scaled(nn.Conv2d(3, 4, 1), 4, 1, 1), {"mul": 0}),
    "a factor for each channel, and the batch": (
        lambda: Scaled(nn.Conv2d(3, 4, 1), 1, 4, 1, 1),
        {"mul": 0},
    ),
    "a factor for each row": (lambda: Scaled(nn.Conv2d(3, 8, 1), 8, 1), {"mul": 1}),
    "a factor for each channel of a linear layer": (
        lambda: Scaled(to_last(nn.Linear(3, 4)), 4, 1, 1),
        {"mul": 0, "Linear": 0, "Conv2d": 1, "permute": 0},
    ),
    "LayerNorm before a padded convolution": (
        lambda: nn.Sequential(to_last(nn.LayerNorm(3)), nn.Conv2d(3, 4, 3, padding=1)),
        {"LayerNorm": 1},
    ),
    "LayerNorm before a grouped convolution": (
        lambda: nn.Sequential(to_last(nn.LayerNorm(3)), nn.Conv2d(3, 3, 3, groups=3)),
        {"LayerNorm": 1},
    ),
    "LayerNorm before a convolution": (
        lambda: nn.Sequential(to_last(nn.LayerNorm(3)), nn.Conv2d(3, 4, 2, bias=False)),
        {"LayerNorm": 1},
    ),
    "LayerNorm over the width before a linear layer": (
        lambda: nn.Sequential(nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)),
        {"LayerNorm": 1, "Linear": 1},
    ),
    "LayerNorm before a linear layer": (
        lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 2)),
        {"LayerNorm": 1, "Linear": 1},
    ),
    "LayerNorm before the flattening of an image": (
        lambda: nn.Sequential(to_last(nn.LayerNorm(3)), nn.Flatten(1), nn.Linear(3 * 64, 2)),
        {"LayerNorm": 1, "Linear": 1},
    ),
    "LayerNorm over the axis that becomes the channels": (
        lambda: nn.Sequential(nn.LayerNorm(8), Permuted(0, 3, 2, 1), nn.Conv2d(8, 2, 1)),
        {"LayerNorm": 1},
    ),
    "a permutation that does not undo the first": (
        lambda: nn.Sequential(Permuted(0, 2, 3, 1), nn.ReLU(), Permuted(0, 2, 3, 1)),
        {"permute": 2},
    ),
    "a concatenation of one tensor that is modified in place": (OneConcatenated, {"cat": 1}),
    "concatenations that begin differently": (Concatenated, {"cat": 3}),
    "nothing to do": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), {"Conv2d": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_rewritten_only_if_the_result_is_exact(case: str) -> None:
    build, expected = CASES[case]
    simplified = simplified_alike(with_random_parameters(build()), torch.randn(2, 3, 8, 8))
    counts = call_counts(simplified)
    assert {name: counts[name] for name in expected} == expected


def test_a_concatenation_reuses_an_earlier_one_with_the_same_start() -> None:
    network = with_random_parameters(NetworkSpec("densenet121", 5).build())
    simplified = simplified_alike(network, torch.randn(2, 3, 64, 64))
    widths = Counter(
        len(node.args[0]) for node in simplified.graph.nodes if node.target is torch.cat
    )
    # None of the 58 concatenations of the four blocks copies more than two tensors.
    assert widths == {2: 58}


def test_a_subclass_of_a_layer_is_not_rewritten() -> None:
    class Standardized(nn.Conv2d):
        def forward(self, images: Tensor) -> Tensor:
            weight = self.weight - self.weight.mean()
            return nn.functional.conv2d(images, weight, self.bias)

    network = with_random_parameters(nn.Sequential(Standardized(3, 4, 1), nn.BatchNorm2d(4)))
    simplified_alike(network, torch.randn(2, 3, 8, 8))


def test_a_parametrized_layer_is_not_rewritten() -> None:
    convolution = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1))
    network = nn.Sequential(convolution, nn.BatchNorm2d(4)).eval()
    simplified = simplified_alike(network, torch.randn(2, 3, 8, 8))
    assert call_counts(simplified) == {"ParametrizedConv2d": 1, "Conv2d": 1}


class NormInLast(nn.Module):
    """A convolution with a BatchNorm between permutations that cancel, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3, groups=3)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        last = self.convolution(images).permute(0, 2, 3, 1)
        normed = self.norm(last.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        logits: Tensor = self.linear(normed).mean((1, 2))
        return logits


def test_a_batch_norm_between_permutations_is_folded_into_the_convolution_before_it() -> None:
    network = with_random_parameters(NormInLast())
    simplified = simplified_alike(network, torch.randn(2, 3, 8, 8))
    kinds = Counter(type(module) for module in simplified.modules())
    assert kinds[nn.BatchNorm2d] == 0
    assert kinds[nn.Conv2d] == 2  # the linear layer is the second one; none is a depthwise scale


class NormBefore(nn.Module):
    """A sum, a BatchNorm and a convolution that reads it.

    Args:
        padding: of the convolution.
    """

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 1)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 5, 2, stride=2, padding=padding)

    def forward(self, images: Tensor) -> Tensor:
        value = self.first(images)
        logits: Tensor = self.last(self.norm(value + value.relu())).mean((2, 3))
        return logits


@pytest.mark.parametrize(("padding", "convolutions"), [(0, 2), (1, 3)])
def test_a_batch_norm_is_folded_into_its_reader_unless_that_pads(
    padding: int, convolutions: int
) -> None:
    network = with_random_parameters(NormBefore(padding))
    simplified = simplified_alike(network, torch.randn(2, 3, 8, 8))
    kinds = Counter(type(module) for module in simplified.modules())
    assert kinds[nn.BatchNorm2d] == 0
    assert kinds[nn.Conv2d] == convolutions


@pytest.mark.parametrize("flushes", [False, True])
def test_denormal_weights_are_zeros_those_of_folded_layers_included(flushes: bool) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2)
    ).eval()
    convolution, norm, _, head = network
    with torch.no_grad():
        convolution.weight[0] = 1e-30
        norm.weight[0] = 1e-10  # their product is denormal
        head.weight[0, 0] = -1e-40
        head.weight[1, 0] = 1.2e-38  # normal
        head.bias[1] = 1e-45
    try:
        torch.set_flush_denormal(flushes)  # a training does; an export by itself does not
        simplified = graph_passes.simplify(network)
    finally:
        torch.set_flush_denormal(False)
    values = torch.cat([value.detach().flatten() for value in simplified.parameters()]).numpy()
    bits = values.view("int32") & 0x7FFFFFFF
    assert not ((bits > 0) & (bits < 1 << 23)).any()
    assert (bits == 0).sum() >= 3 + 1 + 1
    assert (values == torch.tensor(1.2e-38).numpy()).sum() == 1
    assert head.weight[0, 0] != 0  # the trained network stays as it is
