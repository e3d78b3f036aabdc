"""Configuration of gateways: what they need to ask the authorizer and to fail closed, and what is unsafe in theirs."""
