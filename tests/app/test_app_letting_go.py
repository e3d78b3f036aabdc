"""What was in force goes once nobody uses it; what is in force stays whole."""

import asyncio
import weakref

from authorizer.app import letting_go
from authorizer.app.activation import Activation
from authorizer.app.letting_go import LettingGo
from authorizer.model import KINDS, Request
from authorizer.pdp.snapshot import Options
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

FILES = {
    "api.yaml": b"""
kind: Application
id: api
rego: {entrypoint: acme/allow, input: cloudentity}
http: {hosts: [api.example]}
""",
    "policy.rego": b"package acme\nallow if input.request.path in data.open[_]\n",
    "data.json": b'{"open": {"a": ["/1"]}}',
}
REQUEST = Request(method="GET", target="/1", host="api.example")


async def test_documents_and_snapshots_go(monkeypatch) -> None:
    monkeypatch.setattr(letting_go, "LOOK_SECONDS", 0.01)
    authorizer, going = Authorizer(), LettingGo()
    activation = Activation(authorizer, Options(), lambda _kind, _revision: None, going.keep)
    documents = [compile_documents(FILES).documents() for _ in range(3)]
    first = documents[0]
    rules = []
    for number, made in enumerate(documents):
        await activation.put(made, dict.fromkeys(KINDS, str(number)))
        rules.append(weakref.ref(authorizer.snapshot.rego.rules))
    del made
    del documents[:]
    task = asyncio.create_task(going.run())
    for _ in range(2000):
        await asyncio.sleep(0.01)
        if rules[0]() is None and rules[1]() is None:
            break
    task.cancel()
    assert [each() for each in rules[:2]] == [None, None]
    assert rules[2]() is authorizer.snapshot.rego.rules
    assert authorizer.check(REQUEST).allowed
    assert first["policy"]["rego"][""]["data"] == {"open": {"a": ["/1"]}}
