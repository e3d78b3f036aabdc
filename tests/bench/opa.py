"""OPA-Envoy with the estate's policy in Rego, where ``opa-envoy`` is on the path: token verified, roles as data."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import load
from tests.bench import world as estate

PROGRAM = "opa-envoy"

_POLICY = f"""\
package bench

default allow := false

path := input.parsed_path

claims := payload if {{
    [scheme, token] := split(input.attributes.request.http.headers.authorization, " ")
    scheme == "Bearer"
    expected := {{"cert": data.jwks, "iss": "{estate.ISSUER}", "aud": "orders", "time": data.now}}
    [valid, _, payload] := io.jwt.decode_verify(token, expected)
    valid
}}

allow if {{
    count(path) == 4
    path[0] == "tenants"
    path[1] == claims.tenant
    some group in claims.groups
    some grant in data.roles[group]
    grant.method == input.attributes.request.http.method
    grant.resource == path[2]
}}
"""


def present() -> bool:
    """Tell whether the program is there."""
    return shutil.which(PROGRAM) is not None


def files(world: estate.World) -> dict[str, str]:
    """Return the policy and its data by file name."""
    data = {"jwks": json.dumps({"keys": [world.jwk]}), "now": (estate.NOW + 1) * 10**9, "roles": estate.roles()}
    return {"policy.rego": _POLICY, "data.json": json.dumps(data)}


@contextmanager
def server(folder: Path, world: estate.World) -> Iterator[load.Server]:
    """Run it on one core until the block ends, as ``load.server`` runs ours."""
    for name, text in files(world).items():
        (folder / name).write_text(text)
    port = load.free_port()
    plugin = "plugins.envoy_ext_authz_grpc"
    settings = [f"{plugin}.addr=127.0.0.1:{port}", f"{plugin}.path=bench/allow", "decision_logs.console=false"]
    command = [PROGRAM, "run", "--server", "--addr", "127.0.0.1:0", "--log-level", "error"]
    flags = [item for setting in settings for item in ("--set", setting)]
    process = subprocess.Popen(
        [*load.pinned(0), *command, *flags, *(str(folder / name) for name in files(world))],
        env={**os.environ, "GOMAXPROCS": "1"},
    )
    try:
        load.wait_for(port, process)
        yield load.Server(port, process.pid)
    finally:
        process.kill()
        process.wait(10)
