"""The export source: its simplified network answers as the trained one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import fx, nn

from src import graph_passes
from src.data.preprocessing import Preprocessing
from src.export.source import make_source
from src.models.network import NetworkSpec


def test_a_source_keeps_a_network_that_its_rewritten_form_does_not_answer_as(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 8), nn.ReLU(), nn.Flatten()).eval()

    def source_of() -> nn.Module:
        return make_source(
            network,
            NetworkSpec("resnet34", 2),
            ["a", "b"],
            torch.randn(8, 3, 8, 8),
            Preprocessing(8).facts(),
            tmp_path,
        ).simplified

    def forget(graph_module: fx.GraphModule) -> int:
        for node in graph_module.graph.find_nodes(op="call_module", target="1"):
            node.replace_all_uses_with(node.args[0])
        return 1

    assert isinstance(source_of(), fx.GraphModule)
    monkeypatch.setattr(graph_passes.identities, "rewrite", forget)
    with pytest.warns(graph_passes.NotSimplifiedWarning, match="logits that differ"):
        kept = source_of()
    assert type(kept) is nn.Sequential
    assert kept is not network
