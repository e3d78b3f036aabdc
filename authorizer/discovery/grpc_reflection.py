"""What a gRPC server says of itself by reflection: its services and methods, each an operation.

Source: grpc/grpc ``doc/server-reflection.md``; ``grpc.reflection.v1`` is asked first, then ``v1alpha``, which is the
same under another name. A call is ``POST /package.Service/Method``, case-sensitive (gRPC over HTTP/2, "Requests").
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, ServiceDescriptorProto
from google.protobuf.message import DecodeError, Message

from authorizer.discovery.refining import Described, Operation
from authorizer.discovery.wire.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from authorizer.errors import DiscoveryError

SECONDS = 10.0
"""For the whole conversation."""
MAX_ANSWER = 4 << 20
MAX_BYTES = 32 << 20
MAX_SERVICES = 1_000
MAX_METHODS = 20_000
VERSIONS = ("v1", "v1alpha")

_ADDRESS = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)

_Stream = grpc.aio.StreamStreamCall[Message, ServerReflectionResponse]


async def ask(source: str, api: str, address: str, ca_file: str = "") -> Described:
    """Return the methods of the server at ``HOST:PORT``, over TLS if ``ca_file`` names the PEM file of its authority.

    Raises DiscoveryError: AZ610 for another address or file, AZ613 when nothing usable answers in SECONDS, AZ605 for
    more than this program keeps.
    """
    options = [("grpc.max_receive_message_length", MAX_ANSWER), ("grpc.enable_http_proxy", 0)]
    target = f"dns:///{checked(address)}"
    if ca_file:
        credentials = grpc.ssl_channel_credentials(_authority(ca_file))
        channel = grpc.aio.secure_channel(target, credentials, options=options)
    else:
        channel = grpc.aio.insecure_channel(target, options=options)
    async with channel:
        for version in VERSIONS:
            try:
                return await _ask(channel, version, source, api)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED and version != VERSIONS[-1]:
                    continue
                unknown = error.code() is grpc.StatusCode.UNIMPLEMENTED
                what = "offers no reflection" if unknown else f"did not answer ({error.code().name})"
                raise DiscoveryError("AZ613", f"the gRPC server at {address} {what}") from None
            except DecodeError:
                raise DiscoveryError("AZ613", f"the gRPC server at {address} sent what is no descriptor") from None
    raise AssertionError


def checked(address: str) -> str:
    """Return an address if it is HOST:PORT. Raises DiscoveryError AZ610."""
    if not _ADDRESS.fullmatch(address):
        raise DiscoveryError("AZ610", f"{address[:200]!r} is not HOST:PORT")
    return address


async def _ask(channel: grpc.aio.Channel, version: str, source: str, api: str) -> Described:
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    stream = call(timeout=SECONDS)
    try:
        listed = await _answer(stream, ServerReflectionRequest(list_services="*"))
        if not listed.HasField("list_services_response"):
            raise DiscoveryError("AZ613", "the gRPC server does not list its services")
        names = sorted({each.name for each in listed.list_services_response.service})
        if len(names) > MAX_SERVICES:
            raise DiscoveryError("AZ605", f"the gRPC server has more than {MAX_SERVICES} services")
        found: list[Operation] = []
        notes: list[str] = []
        async for name, service in _services(stream, names):
            if isinstance(service, str):
                notes.append(f"the service {name[:200]!r}: {service}")
                continue
            found += _operations(name, service, notes)
            if len(found) > MAX_METHODS:
                raise DiscoveryError("AZ605", f"the gRPC server has more than {MAX_METHODS} methods")
        await stream.done_writing()
    finally:
        stream.cancel()
    return Described(source, api, tuple(found), tuple(notes))


async def _services(stream: _Stream, names: Sequence[str]) -> AsyncIterator[tuple[str, ServiceDescriptorProto | str]]:
    """Yield each service by its full name with its descriptor, or with why there is none."""
    known: dict[str, ServiceDescriptorProto] = {}
    room = MAX_BYTES
    for name in names:
        if not _NAME.fullmatch(name):
            yield name, "no name of a service"
            continue
        if name not in known:
            answer = await _answer(stream, ServerReflectionRequest(file_containing_symbol=name))
            if answer.HasField("error_response"):
                yield name, f"the server does not describe it (status {answer.error_response.error_code})"
                continue
            for data in answer.file_descriptor_response.file_descriptor_proto:
                room -= len(data)
                if room < 0:
                    raise DiscoveryError("AZ605", f"the gRPC server's descriptors are larger than {MAX_BYTES} bytes")
                file = FileDescriptorProto.FromString(data)
                known |= {f"{file.package}.{one.name}".lstrip("."): one for one in file.service}
        if (service := known.get(name)) is not None:
            yield name, service
        else:
            yield name, "the server describes another one in its place"


async def _answer(stream: _Stream, request: ServerReflectionRequest) -> ServerReflectionResponse:
    await stream.write(request)
    answer = await stream.read()
    if isinstance(answer, ServerReflectionResponse):
        return answer
    await stream.code()  # an ending with an error is raised by read(); this one is early and without any
    raise DiscoveryError("AZ613", "the gRPC server ended the conversation too early")


def _operations(service: str, described: ServiceDescriptorProto, notes: list[str]) -> Iterator[Operation]:
    for method in described.method:
        if not _NAME.fullmatch(method.name) or "." in method.name:
            notes.append(f"the service {service!r}: {method.name[:200]!r} is no name of a method")
            continue
        streamed = method.client_streaming or method.server_streaming
        yield Operation(
            "POST", f"/{service}/{method.name}", f"{service}/{method.name}", flags=("streamed",) if streamed else ()
        )


def _authority(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise DiscoveryError("AZ610", f"{file} cannot be read: {error.strerror}") from None
