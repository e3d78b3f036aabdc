"""As whom providers are asked: the files that prove it are read and judged once, when the process starts."""

from hashlib import sha256
from types import SimpleNamespace

import pytest

from authorizer.app.needs import Needs
from authorizer.errors import IdentityProviderError
from authorizer.jose import sign
from authorizer.model import Identity
from authorizer.pdp.needs import Introspect
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.settings import IdentityProviders, ProviderClient
from authorizer.upstream_idp.calls import open_session
from tests.forge.world import ISSUER, world


async def client(directory, content, algorithm):
    file = directory / "client.pem"
    file.write_bytes(content)
    file.chmod(0o600)
    told = ProviderClient(id="us", method="private_key_jwt", key_file=str(file), algorithm=algorithm)
    async with open_session() as session:
        return await Needs(None, lambda: 0.0)._client(told, IdentityProviders(), session)


async def test_a_key_is_loaded_once_and_not_for_each_call(tmp_path):
    pem = sign.generate("ES256")
    made = await client(tmp_path, pem, "ES256")
    assert made.key.private_numbers() == sign.load_private(pem, "ES256").private_numbers()


@pytest.mark.parametrize(
    ("content", "algorithm", "code"),
    [(b"no key", "ES256", "AZ410"), (None, "RS256", "AZ403"), (None, "HS256", "AZ411"), (b"", "ES256", "")],
)
async def test_a_key_of_no_use_is_told_at_the_start(tmp_path, content, algorithm, code):
    with pytest.raises(IdentityProviderError, match=f"AZ530.*'us'.*{code}"):
        await client(tmp_path, sign.generate("ES256") if content is None else content, algorithm)


async def test_tokens_that_were_good_are_told_from_strange_ones():
    snapshot = build(compile_documents(world(1_795_000_000.0).documents).documents(), {"policy": "1"}, Options())
    needs, asked = Needs(None, lambda: 0.0), []

    async def ask(_issuer, _how, token, *, known):
        asked.append((token, known))

    needs._activation = SimpleNamespace(snapshot=snapshot)
    needs._introspector = needs._exchanger = SimpleNamespace(ask=ask)
    snapshot.memo.keep(sha256(b"good").digest(), 4, Identity(expires=0.0))
    for token in ("good", "strange"):
        await needs.meet(Introspect(ISSUER, token))
    assert asked == [("good", True), ("strange", False)]
    assert snapshot.memo.successor().holds("good")
