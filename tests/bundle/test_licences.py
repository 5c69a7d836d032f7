"""The licences in a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.bundle import licences
from src.errors import UsageError
from tests.conftest import ROOT


def test_the_program_has_its_licence_and_the_model_that_of_the_user(tmp_path: Path) -> None:
    ours = {"LICENSE-predict.txt": (ROOT / "LICENSE").read_bytes()}
    assert licences.texts(None) == ours
    (tmp_path / "terms").write_bytes("Ask first. ©\n".encode())
    assert licences.texts(str(tmp_path / "terms")) == {
        **ours,
        "LICENSE-model.txt": "Ask first. ©\n".encode(),
    }


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (b" \n", "an empty file"),
        (b"x" * 1_000_001, "more than 1000000 bytes"),
    ],
    ids=["no file", "no text", "empty", "large"],
)
def test_a_licence_that_is_no_text_is_refused(
    content: bytes | None, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "terms"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"^licence: expected a text file .*{found}"):
        licences.texts(str(path))
