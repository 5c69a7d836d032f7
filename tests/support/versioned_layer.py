"""A layer that refuses weights without its version, as torchvision's MNASNet does."""

from __future__ import annotations

from typing import Any

from torch import nn


class VersionedLinear(nn.Linear):
    """Linear layer of version 2, which asks for it in a state."""

    _version = 2

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *others: Any
    ) -> None:
        if local_metadata.get("version") != self._version:
            raise ValueError(f"expected version 2 of {prefix}, found {local_metadata}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)
