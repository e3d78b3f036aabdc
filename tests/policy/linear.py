"""The algorithm once more, written to be obviously right: a scan over plain dictionaries. No index, no closures."""

from typing import Any

SIZES = ["s", "m", "l"]
PARENTS = {"tenant:t": "", "site:a": "tenant:t", "site:b": "tenant:t", "room:a1": "site:a"}
HELD = {"R": ["r"], "RS": ["r", "s"]}
ACR = ["pwd", "otp", "phr"]


def holds(where: Any, sides: dict[str, dict]) -> bool | None:
    """Evaluate a ``where`` as written, in Kleene's strong logic."""
    if where is None:
        return True
    results: list[bool | None] = []
    for key, value in where.items():
        if key == "any":
            several = [holds(one, sides) for one in value]
            results.append(True if True in several else None if None in several else False)
        elif key == "not":
            one = holds(value, sides)
            results.append(None if one is None else not one)
        else:
            side, name = key.split(".")
            results += [compare(op, sides[side].get(name), right, sides) for op, right in value.items()]
    return False if False in results else None if None in results else True


def compare(op: str, left: Any, right: Any, sides: dict[str, dict]) -> bool | None:
    if op == "exists":
        return (left is not None) == right
    if isinstance(right, str) and right.startswith("$"):
        side, name = right[1:].split(".")
        right = sides[side].get(name)
    if left is None or right is None:
        return None
    if op in {"gt", "gte", "lt", "lte"} and left in SIZES:
        left, right = SIZES.index(left), SIZES.index(right)
    match op:
        case "eq":
            return left == right
        case "ne":
            return left != right
        case "in":
            return left in right
        case "not_in":
            return left not in right
        case "gt":
            return left > right
        case "gte":
            return left >= right
        case "lt":
            return left < right
        case "lte":
            return left <= right
        case "prefix":
            return left.startswith(right)
    raise AssertionError(op)


def decide(
    policies: list[dict], right: str, is_: dict[str, list[str]], point: str, sides: dict, login: dict, now: float
) -> tuple:
    """Return (allow, reason, by, overrode)."""
    points, one = [], point
    while one:
        points.append(one)
        one = PARENTS[one]

    def about(policy: dict) -> bool:
        if "right" in policy or "on" in policy:
            return policy.get("right", policy.get("on")) in {f"app/{right}", "app/*"}
        return right in HELD[policy["role"].removeprefix("app/")]

    def concerns(policy: dict) -> bool:
        to = policy.get("to", {"anyone": True})
        ((kind, name),) = to.items()
        at = policy.get("at")
        here = at is None or next(f"{level}:{where}" for level, where in at.items()) in points
        return about(policy) and (kind == "anyone" or name in is_.get(kind, [])) and here

    def in_time(policy: dict) -> bool:
        return policy.get("from", 0) <= now < policy.get("until", float("inf"))

    def logged_in(policy: dict) -> bool:
        require = policy.get("require", {})
        rank = ACR.index(login["acr"]) if "acr" in login else -1
        young = "max_age" not in require or login.get("auth_age", float("inf")) <= require["max_age"]
        return young and ("acr" not in require or rank >= ACR.index(require["acr"]))

    policies = sorted(policies, key=lambda policy: policy["id"])
    for gate in policies:
        if gate["effect"] == "gate" and about(gate) and in_time(gate) and holds(gate["where"], sides) is not True:
            return False, gate["reason"], (gate["id"],), ()
    live = [policy for policy in policies if policy["effect"] != "gate" and concerns(policy) and in_time(policy)]
    denials = [p for p in live if p["effect"] == "deny" and holds(p.get("where"), sides) is not False]
    true = [p for p in live if p["effect"] == "allow" and holds(p.get("where"), sides) is True]
    holding = [p for p in true if logged_in(p)]
    over = {name for p in holding for name in p.get("overrides", [])}
    standing = denials
    if all(p.get("overridable") for p in denials):
        standing = [p for p in denials if p["id"] not in over]
    if standing:
        sure = [p for p in standing if holds(p.get("where"), sides) is True]
        told = sure or standing
        return False, sure[0]["reason"] if sure else "indeterminate", tuple(p["id"] for p in told), ()
    if holding:
        return True, "allowed", tuple(p["id"] for p in holding), tuple(p["id"] for p in denials)
    if true:
        least = min(
            true,
            key=lambda p: (
                ACR.index(p["require"]["acr"]) if "acr" in p["require"] else -1,
                -p["require"].get("max_age", float("inf")),
                p["id"],
            ),
        )
        return False, "step_up", (least["id"],), ()
    late = [
        p
        for p in policies
        if p["effect"] == "allow" and concerns(p) and not in_time(p) and holds(p.get("where"), sides) and logged_in(p)
    ]
    ended = [p for p in late if p.get("until", float("inf")) <= now]
    if late:
        return False, "expired" if ended else "not_yet", tuple(p["id"] for p in ended or late), ()
    return False, "no_matching_policy", (), ()
