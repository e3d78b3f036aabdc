"""The language once more: plain, slow, and straight from its description. It shares no code with the engine.

It works on the documents as written (dicts, lists and texts, as YAML gives them without types) and on raw values. No
index, no compiled form, no closures: every policy is looked at, every condition is walked, for every question.
"""

import fnmatch
import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

UNKNOWN = None
BAD = object()


class Reference:
    """A set of documents, ready to be asked."""

    def __init__(self, documents: list[dict]) -> None:
        def of(kind: str) -> list[dict]:
            return [document for document in documents if document["kind"] == kind]

        self.catalog = of("Catalog")[0]
        self.application = of("Application")[0]
        self.id = self.application["id"]
        self.policies = [policy for document in of("Policies") for policy in document["policies"]]
        self.eligibility = [rule for document in of("Eligibility") for rule in document["rules"]]
        for kind in ("right", "role") if "claims" in self.application else ():
            for name in self.application[f"{kind}s"]:
                granted = {
                    "id": f"{self.id}.claims.{kind}.{name}",
                    kind: f"{self.id}/{name}",
                    "to": {kind: f"{self.id}/{name}"},
                }
                self.policies.append(granted)
        self.acr = self.catalog.get("acr", [])
        self.parents: dict[str, str] = {}
        self.trees: dict[str, set[str]] = {}
        for document in of("AssignmentPoints"):
            before = set(self.parents)
            self._plant(document["tree"], "")
            self.trees[document.get("id", "")] = set(self.parents) - before
        self.plans = {name: self._features(name, of("Plans")) for name in (of("Plans") or [{"plans": {}}])[0]["plans"]}
        self.fields = {**self.catalog.get("fields", {}), **self.application.get("fields", {})}
        self.named = {**self.catalog.get("conditions", {}), **self.application.get("conditions", {})}
        acr = {"type": "enum", "values": self.acr, "ordered": "true"} if self.acr else {"type": "string"}
        self.env = {
            "now": {"type": "timestamp"},
            "time": {"type": "timeofday"},
            "source_ip": {"type": "ip"},
            "acr": acr,
            "auth_age": {"type": "duration"},
            "amr": {"type": "string", "many": "true"},
            "mfa": {"type": "bool"},
            "risk": {"type": "decimal"},
        }
        for name, declared in self.catalog.get("env", {}).items():
            self.env[name] = {**self.env.get(name, {}), **declared}

    def _plant(self, tree: Any, parent: str) -> None:
        for point, below in (tree or {}).items():
            self.parents[point] = parent
            self._plant(below, point)

    def _features(self, plan: str, documents: list[dict]) -> set[str]:
        declared = documents[0]["plans"][plan]
        found = set(declared.get("features", []))
        for other in declared.get("includes", []):
            found |= self._features(other, documents)
        return found

    def decide(
        self, right: str, filled: list[str], tokens: set, assignee: dict, resource: dict, env: dict, now: float
    ) -> dict:
        """Answer. ``filled`` are the fields that the route fills; ``tokens`` are (kind, name) pairs."""
        tokens, held = self._scopes(tokens)
        assignee = {**assignee, **held}
        sides = self._sides(right, filled, assignee, resource, env, now)
        if sides is BAD:
            return {"decision": "deny", "reason": "bad_attribute"}
        points = None
        for field in filled:
            if field.split(":")[0] == "point":
                chain = self._chain(resource.get(field), field.partition(":")[2])
                if not chain:
                    return {"decision": "deny", "reason": "unknown_point"}
                points = (points or []) + chain
        in_time = [
            policy
            for policy in self.policies
            if self._about(policy, right) and began(policy, now) and not ended(policy, now)
        ]

        gates = [policy for policy in in_time if policy.get("effect") == "gate"]
        for gate in sorted(gates, key=lambda gate: (gate.get("require_feature") == "true", gate["id"])):
            # A plan is only offered to whom it would let pass this gate.
            holds = self._holds(gate, sides, tokens)
            missing = self._missing(gate, right, sides) if holds is True else []
            if holds is not True or missing:
                return {"decision": "deny", "reason": gate["reason"], "by": [gate["id"]], "missing": missing}

        mine = [policy for policy in self.policies if self._about(policy, right) and self._for(policy, tokens, points)]
        allows = [policy for policy in mine if policy.get("effect", "allow") == "allow"]
        current = [policy for policy in allows if began(policy, now) and not ended(policy, now)]
        true = [policy for policy in current if self._holds(policy, sides, tokens) is True]
        good = [policy for policy in true if self._login(policy, env)]
        weak = [policy for policy in true if not self._login(policy, env)]

        denies = [policy for policy in in_time if policy.get("effect") == "deny" and policy in mine]
        standing = [policy for policy in denies if self._holds(policy, sides, tokens) is not False]
        overridden = {name for policy in good for name in policy.get("overrides", [])}
        if all(policy.get("overridable") == "true" for policy in standing):
            left = [policy for policy in standing if policy["id"] not in overridden]
        else:
            left = standing
        if left:
            sure = [policy for policy in left if self._holds(policy, sides, tokens) is True]
            shown = sorted(sure or left, key=lambda policy: policy["id"])
            reason = shown[0]["reason"] if sure else "indeterminate"
            return {"decision": "deny", "reason": reason, "by": ids(shown)}
        if good:
            return {"decision": "allow", "reason": "allowed", "by": ids(good), "overrode": ids(standing)}
        if weak:
            easiest = min(weak, key=self._demand)
            return {"decision": "deny", "reason": "step_up", "by": [easiest["id"]], "step": easiest["require"]}
        answer = {
            "decision": "deny",
            "reason": "no_matching_policy",
            "by": [],
            "requestable": self._requestable(right, tokens, points),
        }
        late = [
            policy
            for policy in allows
            if policy not in current and self._holds(policy, sides, tokens) is True and self._login(policy, env)
        ]
        over = [policy for policy in late if ended(policy, now)]
        if late:
            answer |= {"reason": "expired" if over else "not_yet", "by": ids(over or late)}
        return answer

    def _sides(self, right: str, filled: list[str], assignee: dict, resource: dict, env: dict, now: float) -> Any:
        """Give every value its type; one that is not of its type spoils the question."""
        typed: dict[str, dict] = {"resource": {}, "assignee": {}, "env": {"now": now}}
        for name, declared in self.fields.items():
            if "assignee" in scopes(declared) and assignee.get(name) is not None:
                typed["assignee"][name] = convert(declared, assignee[name])
        for name in filled:
            if name.split(":")[0] != "point" and resource.get(name) is not None:
                declared = {"type": "string"} if name == "id" else self.fields[name]
                typed["resource"][name] = convert(declared, resource[name])
        for name in self._env_read(right):
            if name == "now":
                continue
            raw = env.get(name, self.env[name].get("default"))
            if raw is not None:
                typed["env"][name] = convert(self.env[name], raw)
        if typed["env"].get("acr") is BAD:  # a login that is not ranked is no login
            del typed["env"]["acr"]
        if any(value is BAD for side in typed.values() for value in side.values()):
            return BAD
        return typed

    def _env_read(self, right: str) -> set[str]:
        """Return the attributes of the moment that the conditions of the right's policies read."""
        return {
            name
            for policy in self.policies
            if self._about(policy, right)
            for name in re.findall(r"env\.([a-z_]+)", repr(self._opened(policy.get("where"))))
        }

    def _opened(self, where: Any) -> Any:
        """Return a condition with the named ones that it uses written out."""
        if isinstance(where, dict):
            return {key: self._opened(self.named[value] if key == "use" else value) for key, value in where.items()}
        if isinstance(where, list):
            return [self._opened(one) for one in where]
        return where

    def _chain(self, point: Any, tree: str) -> list[str]:
        """Return a point and all above it. It is named in full, or by its name alone where only one of its tree has it."""
        if point not in self.trees[tree]:
            named = [one for one in self.trees[tree] if one.split(":", 1)[1] == point]
            point = named[0] if len(named) == 1 else ""
        found = []
        while point:
            found.append(point)
            point = self.parents[point]
        return found

    def _scopes(self, tokens: set) -> tuple[set, dict]:
        """Return the tokens with all that declared scopes imply, and what stands for the ``*`` of those that have one."""
        declared = self.application.get("scopes", {})
        found, fields = set(tokens), {}
        while True:
            more = set()
            for kind, name in found:
                if kind != "scope":
                    continue
                for scope, said in declared.items():
                    match = re.fullmatch("(.+)".join(map(re.escape, scope.split("*"))), name)
                    if match and "*" in scope and (kind, name) in tokens:
                        more.add(("scope", scope))
                        if isinstance(said, dict) and "as" in said:
                            fields.setdefault(said["as"], set()).add(match[1])
                    if scope == name:
                        implied = said.get("implies", []) if isinstance(said, dict) else said or []
                        more |= {("scope", one) for one in implied}
            if more <= found:
                return found, {name: sorted(values) for name, values in fields.items()}
            found |= more

    def _about(self, policy: dict, right: str) -> bool:
        if "role" in policy:
            return right in self.application["roles"][policy["role"].removeprefix(f"{self.id}/")]
        return policy.get("right", policy.get("on")) in {f"{self.id}/{right}", f"{self.id}/*"}

    def _for(self, policy: dict, tokens: set, points: list[str] | None) -> bool:
        ((kind, name),) = policy.get("to", {"anyone": "true"}).items()
        if kind == "business_role_location":
            name = (name["role"], name["location"])
        somebody = True if kind == "anyone" else (kind, name) in tokens
        at = [f"{level}:{where}" for level, where in policy.get("at", {}).items()]
        return somebody and (not at or (points is not None and at[0] in points))

    def _missing(self, gate: dict, right: str, sides: dict) -> list[str]:
        """Return the plans that have the feature which this gate asks for, if the caller's own lacks it."""
        feature = self.application["rights"][right].get("feature")
        if gate.get("require_feature") != "true" or not feature:
            return []
        having = [plan for plan in self.plans if feature in self.plans[plan]]
        return [] if sides["assignee"].get("plan") in having else having or ["none"]

    def _login(self, policy: dict, env: dict) -> bool:
        require = policy.get("require", {})
        acr = env.get("acr", self.env["acr"].get("default"))
        if "acr" in require and (acr not in self.acr or self.acr.index(acr) < self.acr.index(require["acr"])):
            return False
        if "max_age" not in require:
            return True
        age = convert({"type": "duration"}, env.get("auth_age"))
        return age is not BAD and age <= convert({"type": "duration"}, require["max_age"])

    def _demand(self, policy: dict) -> tuple:
        require = policy["require"]
        acr = self.acr.index(require["acr"]) if "acr" in require else -1
        age = convert({"type": "duration"}, require["max_age"]) if "max_age" in require else float("inf")
        return acr, -age, policy["id"]

    def _requestable(self, right: str, tokens: set, points: list[str] | None) -> list[str]:
        fitting = [rule for rule in self.eligibility if self._about(rule, right) and self._for(rule, tokens, points)]
        if any(rule["type"] == "exclusion" for rule in fitting):
            return []
        return ids([rule for rule in fitting if rule["type"] == "eligible"])

    def _holds(self, policy: dict, sides: dict, tokens: set) -> bool | None:
        if "where" not in policy:
            return True
        return self._all(policy["where"], sides, tokens)

    def _all(self, where: dict, sides: dict, tokens: set) -> bool | None:
        answers: list[bool | None] = []
        for key, value in where.items():
            if key == "any":
                answers.append(either([self._all(one, sides, tokens) for one in value]))
            elif key == "all":
                answers.append(both([self._all(one, sides, tokens) for one in value]))
            elif key == "not":
                answer = self._all(value, sides, tokens)
                answers.append(UNKNOWN if answer is UNKNOWN else not answer)
            elif key == "use":
                answers.append(self._all(self.named[value], sides, tokens))
            elif key == "is":
                for kind, one in value.items():
                    answers.append(any((kind, name) in tokens for name in (one if isinstance(one, list) else [one])))
            else:
                answers += [self._compare(key, operator, right, sides) for operator, right in value.items()]
        return both(answers)

    def _compare(self, key: str, operator: str, right: Any, sides: dict) -> bool | None:
        side, name = key.split(".")
        left = sides[side].get(name)
        if operator == "exists":
            return (left is not None) == (right == "true")
        declared = (
            {"type": "string"} if key == "resource.id" else self.env[name] if side == "env" else self.fields[name]
        )
        single = {**declared, "many": "false"}
        if isinstance(right, str) and right.startswith("$"):
            other_side, other = right[1:].split(".")
            right = sides[other_side].get(other)
            if right is None:
                return UNKNOWN
        elif declared["type"] == "ip" and operator in {"in", "not_in"}:
            right = [ipaddress.ip_network(one) for one in right]
        elif isinstance(right, list):
            right = [convert(single, one) for one in right]
        elif operator != "like":
            right = convert(single, right)
        if left is None:
            return UNKNOWN
        if operator in {"gt", "gte", "lt", "lte"} and declared["type"] == "enum":
            left, right = declared["values"].index(left), declared["values"].index(right)
        match operator:
            case "eq":
                return left == right
            case "ne":
                return left != right
            case "gt":
                return left > right
            case "gte":
                return left >= right
            case "lt":
                return left < right
            case "lte":
                return left <= right
            case "in" | "not_in" if declared["type"] == "ip":
                networks = right if isinstance(right, list) else [right]
                return any(left in network for network in networks) == (operator == "in")
            case "in":
                return left in right
            case "not_in":
                return left not in right
            case "prefix":
                return left[: len(right)] == right
            case "like":
                return fnmatch.fnmatchcase(left, right.replace("[", "[[]").replace("?", "[?]"))
            case "has":
                return right in left
            case "has_any":
                return any(one in left for one in right)
            case "has_all":
                return all(one in left for one in right)
            case "between" | "outside":
                low, high = right
                inside = low <= left < high if low < high else left >= low or left < high
                return inside == (operator == "between")
        raise AssertionError(operator)


def both(answers: list[bool | None]) -> bool | None:
    return False if False in answers else UNKNOWN if UNKNOWN in answers else True


def either(answers: list[bool | None]) -> bool | None:
    return True if True in answers else UNKNOWN if UNKNOWN in answers else False


def ids(rules: list[dict]) -> list[str]:
    return sorted(rule["id"] for rule in rules)


def scopes(declared: dict) -> list[str]:
    scope = declared.get("scope", "resource")
    return scope if isinstance(scope, list) else [scope]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def began(policy: dict, now: float) -> bool:
    return "from" not in policy or moment(policy["from"]) <= now


def ended(policy: dict, now: float) -> bool:
    return "until" in policy and moment(policy["until"]) <= now


def hour(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%H:%M")


def convert(declared: dict, raw: Any) -> Any:
    """Read a raw text as a type says, or return ``BAD``."""
    if declared.get("many") == "true":
        if not isinstance(raw, (list, tuple)):
            return BAD
        several = [convert({**declared, "many": "false"}, one) for one in raw]
        return BAD if BAD in several else several
    if not isinstance(raw, str):
        return BAD
    try:
        match declared["type"]:
            case "string":
                return raw
            case "enum":
                return raw if raw in declared["values"] else BAD
            case "bool":
                return {"true": True, "false": False}.get(raw, BAD)
            case "int":
                return int(raw) if re.fullmatch("-?[0-9]+", raw) else BAD
            case "decimal":
                return Decimal(raw) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", raw) else BAD
            case "timestamp":
                return moment(raw) if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", raw) else BAD
            case "timeofday":
                found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", raw)
                return int(found[1]) * 60 + int(found[2]) if found else BAD
            case "duration":
                found = re.fullmatch(r"(\d+)([smhd]?)", raw)
                return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]] if found else BAD
            case "ip":
                return ipaddress.ip_address(raw)
            case "cidr":
                return ipaddress.ip_network(raw)
    except (ValueError, InvalidOperation):
        return BAD
    raise AssertionError(declared)
