"""Authorizer: answers a gateway's question "may this request pass?" from signed policies, locally."""

__version__ = "0.1.0"
