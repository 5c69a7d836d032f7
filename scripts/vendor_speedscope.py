#!/usr/bin/env python3
"""Store speedscope, the timeline viewer of the TensorBoard plugin, in this repository.

scripts/vendor_speedscope.py [--tarball FILE]

It fetches the pinned version with npm, checks its hash, and replaces the folder
src/tensorboard_plugin/static/speedscope. For another version, change VERSION and INTEGRITY, which
`npm view speedscope@VERSION dist` prints, run it, and commit the result.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import base64
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.25.0"
INTEGRITY = (
    "sha512-cpf9HWTZf1ijLXBJrk87Ve/54tnYx6rlf0gUThvn3ook"
    "6h63hLXVOQiMf44PT+XoV503cPfvfiT5gP5vojp6Ag=="
)
PACKAGE = f"speedscope@{VERSION}"
TARGET = (
    Path(__file__).resolve().parents[1] / "src" / "tensorboard_plugin" / "static" / "speedscope"
)

# Left out: source maps, the sample profile, icons (a frame shows none), the schema, and the reader
# of Java Flight Recorder files.
KEPT = {
    "LICENSE": r"package/LICENSE",
    "FONT_LICENSE.md": r"package/dist/release/source-code-pro\.LICENSE\.md",
    "release.txt": r"package/dist/release/release\.txt",
    "speedscope.js": r"package/dist/release/speedscope-\w+\.js",
    "speedscope.css": r"package/dist/release/speedscope-\w+\.css",
    "font.woff2": r"package/dist/release/SourceCodePro-Regular\.ttf-\w+\.woff2",
}
# The page may load and ask for nothing that is not of its own server. Its script makes its styles.
INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; connect-src 'self'; \
font-src 'self'; img-src 'self' data:; script-src 'self'; \
style-src 'self' 'unsafe-inline'">
<title>speedscope</title>
<link rel="stylesheet" href="speedscope.css">
</head>
<body>
<script src="speedscope.js"></script>
</body>
</html>
"""
# Code that a Content-Security-Policy forbids, and its replacement:
# - protobufjs looks for modules of Node.js by eval; in a browser the result is always null;
# - a WebAssembly module, loaded in advance, demangles C++ names; torch has demangled them already.
REPLACED = {
    'eval("quire".replace(/^/,"re"))(moduleName)': "null",
    "async demangle(){": "async demangle(){return;",
    "Promise.resolve().then(()=>(Vo(),$o)).then(()=>{});": "",
}


def packed() -> bytes:
    """Return the package as npm downloads it."""
    if shutil.which("npm") is None:
        sys.exit("error: npm: expected it on the PATH, found none; install it, or name --tarball")
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        [file] = Path(folder).iterdir()
        return file.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tarball", type=Path, help="use this file instead of npm's")
    path: Path | None = parser.parse_args().tarball
    content = path.read_bytes() if path is not None else packed()
    found = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")
    if found != INTEGRITY:
        sys.exit(f"error: {path or PACKAGE}: expected the hash {INTEGRITY}, found {found}")
    files = selected(content)
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    for name, text in files.items():
        (TARGET / name).write_bytes(text)
        print(f"{len(text):>9,} bytes  {TARGET / name}")


def selected(tarball: bytes) -> dict[str, bytes]:
    """Return the files to store, by name."""
    files = {"index.html": INDEX.encode()}
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        members = {member.name: member for member in archive.getmembers() if member.isfile()}
        for name, pattern in KEPT.items():
            (member,) = (members[path] for path in members if re.fullmatch(pattern, path))
            stream = archive.extractfile(member)
            assert stream is not None  # noqa: S101  # it is a file
            files[name] = stream.read()
    font = re.compile(rb"\./SourceCodePro-Regular\.ttf-\w+\.woff2")
    files["speedscope.css"] = without_map(replaced(font, files["speedscope.css"], b"./font.woff2"))
    script = without_map(files["speedscope.js"])
    for forbidden, allowed in REPLACED.items():
        script = replaced(re.compile(re.escape(forbidden).encode()), script, allowed.encode())
    files["speedscope.js"] = script
    return files


def replaced(pattern: re.Pattern[bytes], text: bytes, by: bytes) -> bytes:
    """Return a text with the only occurrence of a pattern replaced."""
    text, count = pattern.subn(by, text)
    if count != 1:
        sys.exit(f"error: expected {pattern.pattern!r} once in speedscope, found it {count} times")
    return text


def without_map(text: bytes) -> bytes:
    """Return a script or a style sheet without the comment that names its source map."""
    return re.sub(rb"(//|/\*)# sourceMappingURL=\S+( \*/)?\s*$", b"", text)


if __name__ == "__main__":
    main()
