"""A lean HTTP/2 server connection for gRPC: bytes in, events and bytes out. No sockets, no asyncio."""
