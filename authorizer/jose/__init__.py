"""Signed tokens and keys, read strictly: JWS compact form (RFC 7515), JWK sets (RFC 7517), algorithms (RFC 7518, 9864).

A bad key raises ``KeyMaterialError``; a bad token is a ``Reason``, never an exception.
"""
