"""OPA's plan IR (https://www.openpolicyagent.org/docs/ir) turned into Python functions.

``values`` and ``context`` are what the functions and the builtins share.
"""
