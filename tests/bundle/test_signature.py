"""The signature of a bundle: openssl and sha256sum verify it, and find one flipped bit."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from src.bundle import signature
from src.bundle.signature import MODEL_SIGNATURE, SUMS, SUMS_SIGNATURE, Signer
from src.errors import UsageError

pytest.importorskip("cryptography")
CONTENTS = {
    "model.onnx": bytes(range(256)) * 9,
    "predict.py": b"pass\n",
    "B.txt": b"",
    "exam/a": b"1",
}
VERIFY = (
    *("openssl", "dgst", "-sha256", "-verify", "../key.pub"),
    *("-signature", SUMS_SIGNATURE, SUMS),
)


def pem(kind: str, encryption: str | None = None) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if kind == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        curve = ec.SECP256K1 if kind == "secp256k1" else curves[kind]
        key = ec.generate_private_key(curve())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(encryption.encode())
        if encryption
        else serialization.NoEncryption(),
    )


def public(signer: Signer) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return signer._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def packed(folder: Path, kind: str = "P-256") -> Path:
    """Write a signed folder, and the keys beside it."""
    (folder / "key.pem").write_bytes(pem(kind))
    signer = Signer(folder / "key.pem")
    (folder / "key.pub").write_bytes(public(signer))
    contents = {**CONTENTS, SUMS: signature.sums(CONTENTS)}
    contents |= signer.signatures("model", contents)
    for name, content in contents.items():
        (folder / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model" / name).write_bytes(content)
    return folder / "model"


def succeeds(folder: Path, *command: str) -> bool:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521"])
def test_openssl_verifies_the_hashes_and_sha256sum_the_files(kind: str, tmp_path: Path) -> None:
    folder = packed(tmp_path, kind)
    assert succeeds(folder, *VERIFY)
    assert succeeds(folder, "sha256sum", "--strict", "-c", SUMS)
    (tmp_path / "key.pub").write_bytes(public(Signer(key_file(tmp_path, pem("P-256")))))
    assert not succeeds(folder, *VERIFY)


def key_file(folder: Path, content: bytes) -> Path:
    (folder / "other.pem").write_bytes(content)
    return folder / "other.pem"


@pytest.mark.parametrize("bit", [0, 8 * 1000 + 5, 8 * 9 * 256 - 1])
def test_one_flipped_bit_of_a_file_is_found(bit: int, tmp_path: Path) -> None:
    folder = packed(tmp_path)
    flip(folder / "model.onnx", bit)
    assert not succeeds(folder, "sha256sum", "-c", SUMS)


@pytest.mark.parametrize("name", [SUMS, SUMS_SIGNATURE])
def test_one_flipped_bit_of_the_hashes_or_the_signature_is_found(name: str, tmp_path: Path) -> None:
    folder = packed(tmp_path)
    flip(folder / name, 8 * 20)
    assert not succeeds(folder, *VERIFY)


def test_the_signed_statement_lists_every_other_file_with_its_hash(tmp_path: Path) -> None:
    """The format is that of model-signing 1.1: DSSE around an in-toto statement."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = packed(tmp_path, "P-384")
    bundle = json.loads((folder / MODEL_SIGNATURE).read_text())
    hint = bundle["verificationMaterial"]["publicKey"]["hint"]
    assert hint == hashlib.sha256((tmp_path / "key.pub").read_bytes()).hexdigest()
    envelope = bundle["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    key = Signer(tmp_path / "key.pem")._key.public_key()
    sig = base64.b64decode(envelope["signatures"][0]["sig"])
    key.verify(sig, signed, ec.ECDSA(hashes.SHA384()))
    with pytest.raises(InvalidSignature):
        key.verify(sig, signed + b" ", ec.ECDSA(hashes.SHA384()))
    statement = json.loads(payload)
    listed = {part["name"]: part["digest"] for part in statement["predicate"]["resources"]}
    present = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MODEL_SIGNATURE
    }
    assert listed == present
    assert list(listed) == sorted(listed)
    root = hashlib.sha256(b"".join(map(bytes.fromhex, listed.values()))).hexdigest()
    assert statement["subject"] == [{"name": "model", "digest": {"sha256": root}}]


def test_a_signature_of_the_same_files_has_the_same_bytes(tmp_path: Path) -> None:
    signer = Signer(key_file(tmp_path, pem("P-256")))
    contents = {SUMS: b"x"}
    assert signer.signatures("m", contents) == signer.signatures("m", contents)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (pem("Ed25519"), "Ed25519"),
        (pem("secp256k1"), "the curve secp256k1"),
        (pem("P-256", "secret"), "a key that is encrypted"),
        (b"-----BEGIN nothing", "ValueError"),
        (None, "No such file"),
    ],
    ids=["Ed25519", "another curve", "encrypted", "no key", "no file"],
)
def test_a_key_that_cannot_sign_is_refused_in_one_line(
    content: bytes | None, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem" if content is None else key_file(tmp_path, content)
    with pytest.raises(UsageError, match=rf"^sign: expected a private key .*{found}.*openssl"):
        Signer(path)


@pytest.mark.slow
def test_model_signing_verifies_it_and_finds_an_added_file(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv to make an environment with")
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([uv, "venv", tmp_path / "environment"], check=True)
    # Its version 1.1 imports pyopenssl without asking for it.
    install = [uv, "pip", "install", "--python", python, "model-signing>=1.1", "pyopenssl"]
    subprocess.run(install, check=True)
    folder = packed(tmp_path)
    verify = (
        *(str(python), "-m", "model_signing", "verify", "key"),
        *("--signature", MODEL_SIGNATURE, "--public_key", "../key.pub", "."),
    )
    assert succeeds(folder, *verify)
    (folder / "numpy.py").write_text("print('not numpy')")
    assert not succeeds(folder, *verify)
    (folder / "numpy.py").unlink()
    flip(folder / "model.onnx", 77)
    assert not succeeds(folder, *verify)
