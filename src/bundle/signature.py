"""Hashes of all files of a bundle, and their signature by a key of the user.

``SHA256SUMS`` is read by ``sha256sum -c``. ``SHA256SUMS.sig`` is an ECDSA signature of it, which
openssl verifies. ``model.sig`` is a signature of all files in the format of OpenSSF Model Signing.
``model_signing verify key`` reads it, and refuses a file that was added:
https://github.com/sigstore/model-transparency

Nothing is asked over the network, and the same files and key give the same bytes (RFC 6979).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import UsageError, describe
from src.system.packages import missing_packages

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SUMS = "SHA256SUMS"
SUMS_SIGNATURE = "SHA256SUMS.sig"
MODEL_SIGNATURE = "model.sig"
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_PAYLOAD = "application/vnd.in-toto+json"
_REMEDY = (
    "make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem && "
    "openssl pkey -in key.pem -pubout -out key.pub"
)


def sums(contents: Mapping[str, bytes]) -> bytes:
    """Return the content of ``SHA256SUMS``."""
    return "".join(f"{_hash(contents[name])}  {name}\n" for name in sorted(contents)).encode()


class Signer:
    """A private key.

    Args:
        path: of the key in PEM, on one of the curves P-256, P-384 and P-521, not encrypted.

    Raises:
        UsageError: it is no such key, or the package cryptography is not installed.
    """

    def __init__(self, path: Path) -> None:
        if missing_packages(["cryptography"]):
            raise UsageError(
                "sign",
                expected="the package cryptography, which signs",
                found="none installed",
                remedy="pip install cryptography, or leave out sign=FILE",
            )
        self._key = _private_key(path)

    @property
    def public_sha256(self) -> str:
        """SHA-256 of the public key's file, as ``openssl pkey -pubout`` writes it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key.public_key()
        return _hash(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def signatures(self, name: str, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the files with the signatures.

        Args:
            name: of the folder.
            contents: all other files in it, ``SHA256SUMS`` among them.
        """
        of_sums = {SUMS_SIGNATURE: self._sign(contents[SUMS], bits=256)}
        return {**of_sums, MODEL_SIGNATURE: self._envelope(name, {**contents, **of_sums})}

    def _envelope(self, name: str, contents: Mapping[str, bytes]) -> bytes:
        """Return the content of ``model.sig``: a Sigstore bundle with an in-toto statement."""
        statement = json.dumps(_statement(name, contents), indent=1).encode()
        signed = b"DSSEv1 %d %b %d %b" % (
            len(_PAYLOAD),
            _PAYLOAD.encode(),
            len(statement),
            statement,
        )
        signature = self._sign(signed, bits=self._key.curve.key_size)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "publicKey": {"hint": self.public_sha256},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(statement).decode(),
                "payloadType": _PAYLOAD,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }
        return (json.dumps(bundle) + "\n").encode()

    def _sign(self, content: bytes, bits: int) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        algorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[bits]
        return self._key.sign(content, ec.ECDSA(algorithm, deterministic_signing=True))


def _statement(name: str, contents: Mapping[str, bytes]) -> dict[str, object]:
    digests = {file: _hash(contents[file]) for file in sorted(contents)}
    root = hashlib.sha256(b"".join(map(bytes.fromhex, digests.values()))).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [MODEL_SIGNATURE],
            },
            "resources": [
                {"name": file, "algorithm": "sha256", "digest": digest}
                for file, digest in digests.items()
            ],
        },
    }


def _private_key(path: Path) -> EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except TypeError:
        problem = "a key that is encrypted"
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        problem = describe(error)
    else:
        if isinstance(key, EllipticCurvePrivateKey):
            if key.curve.name in _CURVES:
                return key
            problem = f"a key on the curve {key.curve.name}"
        else:
            problem = f"an {type(key).__name__}"
    raise UsageError(
        "sign",
        expected="a private key in PEM on the curve P-256, P-384 or P-521, not encrypted",
        found=f"{path}: {problem}",
        remedy=_REMEDY,
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
