"""Protobuf classes of gRPC reflection, written by protos/generate.py; nothing here is edited by hand."""
