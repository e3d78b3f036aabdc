"""Rego from its source to plan IR, the form that ``policy.plan`` evaluates and that OPA's tools read and write."""

from authorizer.policy.rego.compile import compile_modules
from authorizer.policy.rego.modules import parse, parse_query
from authorizer.policy.rego.problems import RegoError

__all__ = ["RegoError", "compile_modules", "parse", "parse_query"]
