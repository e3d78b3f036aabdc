"""TLS to the control plane: only who the configured authority vouches for is talked to."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import test_utils, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authorizer.control_plane import client
from authorizer.control_plane.client import Endpoint
from authorizer.errors import ControlPlaneError


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=False, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    crt, pem = tmp_path / "tls.crt", tmp_path / "tls.key"
    crt.write_bytes(made.public_bytes(Encoding.PEM))
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return crt, pem


@pytest.fixture
async def port(certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    async def reply(_: web.Request) -> web.Response:
        return web.json_response({"problems": []})

    app = web.Application()
    app.router.add_post("/v1/status", reply)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    server = test_utils.TestServer(app, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=context)
    yield server.port
    await server.close()


async def test_a_configured_authority_is_trusted(port: int, certificate: tuple[Path, Path]) -> None:
    async with client.connect(Endpoint(url=f"https://127.0.0.1:{port}", ca_file=str(certificate[0]))) as link:
        assert await client.report_status(link, {"id": "one"}, []) == ()


@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", False), ("localhost", True)])
async def test_others_are_not(port: int, certificate: tuple[Path, Path], host: str, trusted: bool) -> None:
    """Not an unknown authority, and not a certificate of the right one for another name."""
    ca_file = str(certificate[0]) if trusted else ""
    async with client.connect(Endpoint(url=f"https://{host}:{port}", ca_file=ca_file)) as link:
        with pytest.raises(ControlPlaneError) as caught:
            await client.report_status(link, {"id": "one"}, [])
    assert caught.value.code == "AZ508"


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_an_authority_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ControlPlaneError) as caught:
        async with client.connect(Endpoint(url="https://127.0.0.1:1", ca_file=str(file))):
            pass
    assert caught.value.code == "AZ500"
