"""An issuer whose client the settings lack is told of as soon as its documents are read, and not with the first token."""

import json
import logging
from contextlib import AsyncExitStack

import pytest

from authorizer import settings
from authorizer.app import sources
from authorizer.app.activation import Activation
from authorizer.app.tasks import Tasks
from authorizer.cli import main
from authorizer.jose import sign
from authorizer.pdp.snapshot import Options
from authorizer.service import Authorizer
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import Metrics

ISSUERS = """
kind: Issuers
issuers:
  main:
    issuer: https://login.example
    audiences: [api]
    algorithms: [ES256]
    jwks_file: keys.json
    introspection: {endpoint: "https://login.example/introspect", client: gateway}
  partner:
    issuer: https://partner.example
    namespace: partner/
    audiences: [api]
    algorithms: [ES256]
    jwks_file: keys.json
    exchange: {endpoint: "https://login.example/token", client: broker}
"""
CLIENTS = """
identity_providers:
  clients:
    gateway: {id: us, method: client_secret_basic, secret_file: secret}
"""
TOLD = "AZ537: issuer 'partner' is asked as 'broker'"


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "issuers.yaml").write_text(ISSUERS)
    key = sign.public_jwk(sign.generate("ES256"), "ES256", "k")
    (tmp_path / "documents" / "keys.json").write_text(json.dumps({"keys": [key]}))
    (tmp_path / "config.yaml").write_text(CLIENTS)
    return tmp_path


async def test_it_is_told_when_the_documents_come_into_force(directory, caplog):
    text = CLIENTS + f"policies: {directory / 'documents'}"
    found = settings.load(text, "config.yaml", environment={}, flags=[])
    authorizer, metrics, tasks = Authorizer(), Metrics("1"), Tasks()
    activation = Activation(authorizer, Options(), lambda _kind, _revision: None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tasks.cancel)
        with caplog.at_level(logging.ERROR):
            await sources.listen(sources.Hearer(found, activation, authorizer, metrics, tasks), stack)
    assert [record.getMessage() for record in caplog.records if TOLD in record.getMessage()] == [caplog.messages[-1]]
    assert "'gateway'" not in caplog.text
    shown = renderer(metrics, lambda: 0.0)("")[0].decode()
    assert "authorizer_identity_provider_clients_missing 1.0" in shown


@pytest.mark.parametrize(
    ("more", "warned"), [("", True), ("    broker: {id: us, method: client_secret_post, secret_file: s}", False)]
)
def test_config_show_warns_of_it(directory, capsys, more, warned):
    (directory / "config.yaml").write_text(CLIENTS + more)
    asked = ["config", "show", "--config", str(directory / "config.yaml"), "--policies", str(directory / "documents")]
    assert main(asked) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["policies"]
    assert (TOLD in printed.err) is warned
