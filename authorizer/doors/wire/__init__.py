"""Protobuf classes of the gRPC door, written by protos/generate.py; nothing here is edited by hand."""
