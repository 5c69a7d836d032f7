"""The changed network of docs/extending.md is one like those of a library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export.one_format import export_one
from src.export.source import make_source
from src.formats import eager
from src.models import altered_network, builders, own, own_networks
from src.models.any_network import AnyNetwork
from src.models.architecture import Architecture
from src.models.network import NetworkSpec, published_preprocessing
from tests.conftest import ROOT

NAME = "resnet18_cifar"
CLASSES = ["ant", "bee", "cat"]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the example, in a folder of networks."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = [text.partition("```")[0] for text in page.split("```python\n")[1:]]
    [text] = [block for block in blocks if "def build(" in block]
    (tmp_path / f"{NAME}.py").write_text(text, encoding="utf-8")
    assert f"`src/models/own/{NAME}.py`" in page
    monkeypatch.setattr(own, "__path__", [*own.__path__, str(tmp_path)])
    # Imported anew now, and forgotten after the test.
    monkeypatch.setitem(sys.modules, f"{own.__name__}.{NAME}", sys)
    del sys.modules[f"{own.__name__}.{NAME}"]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path / f"{NAME}.py"


@pytest.mark.usefixtures("example")
def test_the_example_is_trained_stored_and_exported_as_itself(tmp_path: Path) -> None:
    images = torch.randn(4, 3, 32, 32)
    model = AnyNetwork(CLASSES, f"own/{NAME}", image_size=32)
    assert model.name == f"own_{NAME}"
    assert altered_network.difference(model, model.network, model.spec, images) is None
    assert NetworkSpec.from_dict(model.spec.to_dict(), 3) == model.spec
    network = model.network.eval()
    assert network.conv1.stride == (1, 1)

    facts = Preprocessing(32).facts()
    (tmp_path / "scratch").mkdir()
    source = make_source(network, model.spec, CLASSES, images, facts, tmp_path / "scratch")
    entry = export_one("eager", source, tmp_path / "eager")
    assert entry.status == "ok", entry.reason
    assert "own" not in (entry.runs_with or [])
    opened = eager.open_network(tmp_path / "eager")
    torch.testing.assert_close(opened(images), network(images))
    usage = eager.Eager().usage_of(model.builder, facts)
    assert "from src.models.builders import construct" in usage
    assert "torchvision.models.get_model" not in usage


@pytest.mark.usefixtures("example")
def test_published_weights_of_an_own_network_are_refused() -> None:
    for use in (
        lambda: NetworkSpec(f"own/{NAME}", 3).build_pretrained(),
        lambda: published_preprocessing(f"own/{NAME}"),
    ):
        with pytest.raises(UsageError, match=rf"own/{NAME}, which has none; .*model.weights=FILE"):
            use()
    with pytest.raises(UsageError, match="weights of own/resnet18_cifar: it has none"):
        Architecture.parse(f"own/{NAME}.IMAGENET1K_V1")


@pytest.mark.parametrize("name", ["none", "../own/none", "__init__", "os", f"{NAME}.build", ""])
def test_a_name_without_a_file_is_no_network(name: str) -> None:
    assert name not in own_networks.names()
    with pytest.raises(ValueError, match="a network that no library has"):
        builders.outline(f"own/{name}", {"num_classes": 3})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "AttributeError: .*build"),
        ("def build(classes): ...", "TypeError: build.*num_classes"),
        ("import no_such_package", "ModuleNotFoundError: .*no_such_package"),
        ("def build(num_classes)", "SyntaxError"),
        ("def build(num_classes): return None", "TypeError: build .* returned a NoneType"),
    ],
)
def test_a_file_that_builds_no_network_says_why(example: Path, text: str, problem: str) -> None:
    example.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        builders.outline(f"own/{NAME}", {"num_classes": 3})
