"""The eight requests that show what an authorizer is for, and the answer that each must get."""

from collections.abc import Mapping

import aiohttp
import orjson
from msgspec import Struct

_TIMEOUT = aiohttp.ClientTimeout(total=10)


class Step(Struct, frozen=True):
    """One request by a caller (None: nobody) and the answer that the demo's own policies promise."""

    method: str
    path: str
    caller: str | None
    status: int
    reason: str
    plans: tuple[str, ...] = ()


STEPS = (
    Step("GET", "/orders/17", "alice", 200, "allowed"),
    Step("GET", "/orders/42", "alice", 403, "wrong_tenant"),
    Step("GET", "/orders/export", "alice", 403, "feature_not_in_plan", plans=("enterprise",)),
    Step("POST", "/payments/9/refunds", "dana", 401, "step_up"),
    Step("GET", "/orders/18", "pat", 403, "contract_ended"),
    Step("GET", "/orders/17", None, 401, "no_credential"),
    Step("GET", "/reports/q3", "alice", 403, "no_route"),
    Step("GET", "/orders/17;v=2", "alice", 403, "path_parameters"),
)


class Answer(Struct, frozen=True):
    """What the gateway answered. ``decision_id`` leads to the decision log; ``challenge`` is WWW-Authenticate."""

    step: Step
    status: int
    reason: str = ""
    decision_id: str = ""
    challenge: str = ""
    plans: tuple[str, ...] = ()
    acr: str = ""

    @property
    def cure(self) -> str:
        """What the caller could do about a denial, as the answer tells."""
        if self.plans:
            return f"in plan {' or '.join(self.plans)}"
        return f"log in with {self.acr}" if self.acr else ""

    @property
    def as_promised(self) -> bool:
        """Whether status, reason and plans are the promised ones, and a 401 brings a challenge."""
        promised = (self.step.status, self.step.reason, self.step.plans)
        return (self.status, self.reason, self.plans) == promised and bool(self.challenge) == (self.status == 401)


async def ask(session: aiohttp.ClientSession, step: Step, tokens: Mapping[str, str]) -> Answer:
    """Send one request through the gateway."""
    headers = {} if step.caller is None else {"authorization": f"Bearer {tokens[step.caller]}"}
    async with session.request(step.method, step.path, headers=headers, timeout=_TIMEOUT) as response:
        body = await response.read()
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    return Answer(
        step,
        response.status,
        reason=str(told.get("reason", "allowed" if response.status == 200 else "")),
        decision_id=str(told.get("decision_id", "")),
        challenge=response.headers.get("www-authenticate", ""),
        plans=tuple(told.get("missing", {}).get("plans", ())),
        acr=str(told.get("step_up", {}).get("acr_values") or ""),
    )
