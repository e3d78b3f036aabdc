"""A server's side of one HTTP/2 connection that carries gRPC: bytes in, bytes out, no sockets and no clock.

``Connection`` is the state machine; a door feeds it what it reads, sends what it gives, and lends it the time. Sources:
RFC 9113 (HTTP/2), RFC 7541 (HPACK), the gRPC over HTTP/2 protocol.
"""
