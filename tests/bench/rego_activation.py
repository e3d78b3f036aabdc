"""What decisions notice of a bundle that is put in force beside them: 50 MB of data; and the time from 1,000 rules.

Decisions are asked for each millisecond on the event loop, while threads of the same process read a signed bundle, put it
in force, and let go of the one before. How late a decision is counts as far as this process was busy meanwhile: what other
processes take of the cores is not its doing. Baseline: the same without a bundle, beside another process that is as busy.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time, thread_time
from typing import Any

from authorizer import bundle
from authorizer.app.activation import Activation
from authorizer.app.answering import SWITCH_SECONDS, YOUNG_OBJECTS
from authorizer.app.letting_go import LettingGo
from authorizer.bundle import Signer, Verifier, pieces
from authorizer.jose import jwk, sign
from authorizer.model import KINDS, Kind, Request
from authorizer.pdp.snapshot import Options
from authorizer.pdp.sources import compile_documents
from authorizer.policy.plan import compile_plan, read
from authorizer.policy.rego import compile_modules, parse
from authorizer.service import Authorizer
from tests.bench.report import Row, lower_is_better

ROUNDS = 3
ALLOWED = 5.0
SETTLING = 4.0
BUSY = "import time\nend = time.time() + 10\nwhile time.time() < end: pass"
PEM = sign.generate("ES256")
SIGNER = Signer(private_pem=PEM, key_id="bench")
VERIFIER = Verifier(keys={"bench": jwk.read_pem(sign.public_pem(PEM), "ES256", "bench")})
REQUEST = Request(method="GET", target="/open", host="api.example")
FILES = {
    "api.yaml": b"""
kind: Application
id: api
rego: {entrypoint: bench/allow, input: cloudentity}
http: {hosts: [api.example]}
""",
    "policy.rego": b"""package bench
allow if data.groups[input.request.path][_].id == 3
allow if input.request.path == "/open"
""",
    "data.json": b'{"groups": {}}',
}


def run() -> dict[str, Row]:
    """Measure once: how long the source takes, then how late decisions are while the bundle is put in force."""
    taken = _compiling()
    packed, size = _bundles()
    switching, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        late, beside = asyncio.run(_measure(packed))
    finally:
        sys.setswitchinterval(switching)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    return {
        "rego.compile": Row(
            value=round(taken, 2),
            unit="s",
            baseline="1,000 rules from source: 3 s are allowed",
            ratio=lower_is_better(taken, 3.0),
        ),
        "rego.activation_pause": Row(
            value=round(late[-1], 2),
            unit="ms",
            baseline=f"5 ms are allowed; without a bundle {beside[-1]:.2f} ms",
            ratio=lower_is_better(late[-1], ALLOWED),
            note=f"the longest of {len(late)}, {size / 1e6:.0f} MB, {ROUNDS} times; 99th percentile"
            f" {late[len(late) * 99 // 100]:.2f} ms against {beside[len(beside) * 99 // 100]:.2f}",
        ),
    }


def _compiling() -> float:
    rules = "".join(
        f'allow if {{ input.a == "{n}"; data.users[input.u].roles[_] == "r{n}"; not input.x[{n}] }}\n'
        for n in range(1000)
    )
    started = thread_time()
    plan = compile_modules([parse(f"package bench\n{rules}", "policy.rego")], entrypoints=["bench/allow"])
    compile_plan(read(plan), data={})
    return thread_time() - started


def _bundles() -> tuple[list[dict[Kind, bytes]], int]:
    """Return what is pulled each time, and how large the document with the data is."""
    documents: dict[str, Any] = compile_documents(FILES).documents()
    documents["policy"]["rego"][""]["data"] = {"groups": {f"g{group}": _users(group) for group in range(50)}}
    made = [
        {kind: bundle.write(kind, documents[kind], serial=serial, signer=SIGNER) for kind in KINDS}
        for serial in range(1, ROUNDS + 1)
    ]
    return made, sum(map(len, pieces.split(documents["policy"])))


def _users(group: int) -> dict[str, object]:
    return {
        f"user-{group}-{n}": {
            "id": n,
            "name": f"name {n}",
            "roles": ["a", "b", f"r{n % 50}"],
            "attributes": {"x": 1.5, "y": [n]},
        }
        for n in range(10_000)
    }


async def _measure(packed: list[dict[Kind, bytes]]) -> tuple[list[float], list[float]]:
    authorizer, letting_go = Authorizer(), LettingGo()
    activation = Activation(authorizer, Options(), lambda _kind, _revision: None, letting_go.keep)
    task = asyncio.create_task(letting_go.run())

    async def activate() -> None:
        for number, files in enumerate(packed):
            found = [
                await asyncio.to_thread(bundle.read, data, kind=kind, verifier=VERIFIER) for kind, data in files.items()
            ]
            revisions = {one.kind: f"{one.revision}-{number}" for one in found}
            await activation.put({one.kind: one.document for one in found}, revisions)
            del found
            await asyncio.sleep(SETTLING)

    async def busy() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY)
        await process.wait()

    late = await _lateness(authorizer, activate)
    beside = await _lateness(authorizer, busy)
    task.cancel()
    return late, beside


async def _lateness(authorizer: Authorizer, work: Callable[[], Awaitable[None]]) -> list[float]:
    """Return in order, in milliseconds, what a decision each millisecond takes beyond that while ``work`` is done."""
    late = []
    working = asyncio.ensure_future(work())
    while not working.done():
        started, used = perf_counter(), process_time()
        await asyncio.sleep(0.001)
        authorizer.check(REQUEST)
        late.append(min(perf_counter() - started - 0.001, process_time() - used) * 1000)
    await working
    return sorted(late)
