"""Rego's builtin functions."""
