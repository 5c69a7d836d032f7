"""The stored copy of speedscope: it is what its script makes, and asks for nothing elsewhere."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import vendor_speedscope as script


def tarball(**changes: bytes) -> bytes:
    """Return a tarball with a file for each that is kept."""
    release = "package/dist/release"
    files = {
        "package/LICENSE": b"MIT",
        f"{release}/source-code-pro.LICENSE.md": b"OFL",
        f"{release}/release.txt": b"speedscope@1",
        f"{release}/speedscope-AB12.js": (
            b'eval("quire".replace(/^/,"re"))(moduleName);async demangle(){}'
            b"Promise.resolve().then(()=>(Vo(),$o)).then(()=>{});\n"
            b"//# sourceMappingURL=speedscope-AB12.js.map\n"
        ),
        f"{release}/speedscope-CD34.css": (
            b'url("./SourceCodePro-Regular.ttf-EF56.woff2")\n'
            b"/*# sourceMappingURL=speedscope-CD34.css.map */\n"
        ),
        f"{release}/SourceCodePro-Regular.ttf-EF56.woff2": b"font",
        f"{release}/perf-vertx-stacks-01-collapsed-all-GH78.txt": b"the sample",
        **changes,
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_the_stored_copy_is_of_the_pinned_version() -> None:
    stored = {path.name: path.read_bytes() for path in script.TARGET.iterdir()}
    assert set(stored) == {"index.html", *script.KEPT}
    assert stored["index.html"].decode() == script.INDEX
    assert stored["release.txt"].decode().startswith(f"speedscope@{script.VERSION}\n")
    for forbidden, allowed in script.REPLACED.items():
        assert (forbidden in stored["speedscope.js"].decode()) == allowed.startswith(forbidden)
    assert b"sourceMappingURL" not in stored["speedscope.js"] + stored["speedscope.css"]
    assert b"./font.woff2" in stored["speedscope.css"]


def test_only_the_needed_files_are_unpacked() -> None:
    files = script.selected(tarball())
    assert set(files) == {"index.html", *script.KEPT}
    assert files["speedscope.js"] == b"null;async demangle(){return;}\n"
    assert files["speedscope.css"] == b'url("./font.woff2")\n'


def test_a_version_without_the_replaced_code_is_refused() -> None:
    changed = {"package/dist/release/speedscope-AB12.js": b"async demangle(){}"}
    with pytest.raises(SystemExit, match="once in speedscope, found it 0 times"):
        script.selected(tarball(**changed))


def test_a_tarball_with_another_hash_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "speedscope.tgz"
    path.write_bytes(tarball())
    monkeypatch.setattr("sys.argv", ["vendor_speedscope.py", "--tarball", str(path)])
    monkeypatch.setattr(script, "TARGET", tmp_path / "untouched")
    with pytest.raises(SystemExit, match="expected the hash sha512-"):
        script.main()
    assert not (tmp_path / "untouched").exists()
