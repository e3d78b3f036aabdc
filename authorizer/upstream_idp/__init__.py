"""Every call to an identity provider: its metadata, its keys, what it says of a token."""
