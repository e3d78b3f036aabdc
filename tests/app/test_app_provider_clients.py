"""As whom providers are asked: the files that prove it are read and judged once, when the process starts."""

import pytest

from authorizer.app.needs import Needs
from authorizer.errors import IdentityProviderError
from authorizer.jose import sign
from authorizer.settings import IdentityProviders, ProviderClient
from authorizer.upstream_idp.calls import open_session


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
