"""Writes plans by hand, in the form of OPA's plan.json, for tests that need no compiler."""

from authorizer.policy.plan import Budget, Context, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED


def local(number):
    return {"type": "local", "value": number}


def truth(value):
    return {"type": "bool", "value": value}


def stmt(kind, **fields):
    return {"type": f"{kind}Stmt", "stmt": {**fields, "file": 0, "row": 1, "col": 1}}


def block(*statements):
    return {"stmts": list(statements)}


class Strings:
    """The table of strings of one plan; a string is looked up by calling this."""

    def __init__(self):
        self.known = {}

    def index(self, value):
        return self.known.setdefault(value, len(self.known))

    def __call__(self, value):
        return {"type": "string_index", "value": self.index(value)}


def document(blocks, strings=None, functions=(), builtins=()):
    """Return a plan with one entry point, ``test``."""
    return {
        "static": {
            "strings": [{"value": each} for each in (strings.known if strings else ())],
            "files": [{"value": "test.rego"}],
            "builtin_funcs": [{"name": each} for each in builtins],
        },
        "plans": {"plans": [{"name": "test", "blocks": list(blocks)}]},
        "funcs": {"funcs": list(functions)},
    }


def function(name, blocks, parameters=(0, 1), result=2, path=()):
    return {"name": name, "path": list(path), "params": list(parameters), "return": result, "blocks": list(blocks)}


def context(units=1_000_000):
    return Context(1_700_000_000_000_000_000, bytes, Budget(units))


def ask(plan, input_=UNDEFINED, data=None, *, units=1_000_000, strict=False):
    """Compile a plan bound to data and return the values of its results."""
    compiled = compile_plan(read(plan), data={} if data is None else data, strict=strict)
    return compiled.evaluate("test", input_, context(units))
