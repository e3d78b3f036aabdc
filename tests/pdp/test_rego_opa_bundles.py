"""Bundles as OPA's own program builds them: each decides here as there, or is refused with a reason."""

import subprocess

import pytest

from authorizer.model import Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests.policy_plan.second_opinion import program

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not program(), reason="OPA is not installed (OPA=path, or on the path)"),
]
ENTRY = "envoy/authz/allow"
FILES = {
    "src/envoy/authz.rego": "package envoy.authz\nimport data.names.deep.users\ndefault allow := false\n"
    "allow if input.parsed_path[0] == users[_]\n",
    "src/names/deep/data.json": '{"users": ["bob"]}',
    "src/names/data.yaml": "other: [1, yes]",
    "old/authz.rego": 'package envoy.authz\ndefault allow = false\nallow { input.parsed_path[0] == "bob" }\n',
    "rooted/.manifest": '{"roots": ["envoy"], "revision": "r7"}',
    "rooted/envoy/authz.rego": 'package envoy.authz\nallow := input.parsed_path[0] == "bob"\n',
}


def problems_or_answers(folder, *arguments):
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    subprocess.run([program(), "build", "-o", "opa.tar.gz", *arguments], cwd=folder, check=True, timeout=60)
    application = (
        "kind: Application\nid: api\nhttp: {hosts: [api.example]}\n"
        f"rego: {{entrypoint: {ENTRY}, input: envoy, bundle: opa.tar.gz, verify: false}}\n"
    )
    sources = compile_documents({"app.yaml": application.encode(), "opa.tar.gz": (folder / "opa.tar.gz").read_bytes()})
    if sources.problems:
        return [problem.message for problem in sources.problems]
    asked = Authorizer(build(sources.documents(), {}, Options()))
    return [
        asked.check(Request(method="GET", target=target, host="api.example", headers={})).allowed
        for target in ("/bob", "/eve")
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        *(["-t", "plan", f"-O={level}", "-e", ENTRY, "-e", "envoy/authz", "src"] for level in (0, 1, 2)),
        ["-t", "plan", "-e", ENTRY, "-b", "rooted"],
        ["-t", "plan", "-e", ENTRY, "--v0-compatible", "old"],
    ],
)
def test_it_decides_as_built(arguments, tmp_path):
    assert problems_or_answers(tmp_path, *arguments) == [True, False]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-t", "plan", "-e", ENTRY, "-b", "--signing-key=secret", "--signing-alg=HS256", "rooted"], "signed"),
        (["-t", "wasm", "-e", ENTRY, "src"], "WebAssembly"),
        (["src"], "no /plan.json"),
    ],
)
def test_it_is_refused(arguments, why, tmp_path):
    (message,) = problems_or_answers(tmp_path, *arguments)
    assert why in message
