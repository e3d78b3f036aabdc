"""gRPC servers that describe themselves: real servers, in both versions of reflection; those that fail or lie."""

import socket

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto

from authorizer.discovery import grpc_reflection
from authorizer.discovery.wire import reflection_pb2 as wire
from authorizer.errors import DiscoveryError

FILE = FileDescriptorProto(
    name="shop.proto",
    package="shop.v1",
    service=[
        ServiceDescriptorProto(
            name="Orders",
            method=[
                MethodDescriptorProto(name="Get", input_type=".shop.v1.A", output_type=".shop.v1.A"),
                MethodDescriptorProto(name="Watch", server_streaming=True),
                MethodDescriptorProto(name="no/name"),
            ],
        )
    ],
)


def answers(request: wire.ServerReflectionRequest) -> wire.ServerReflectionResponse:
    response = wire.ServerReflectionResponse()
    if request.WhichOneof("message_request") == "list_services":
        for name in ("shop.v1.Orders", "gone.Service", "../evil", "shop.v1.Other"):
            response.list_services_response.service.add(name=name)
    elif request.file_containing_symbol == "gone.Service":
        response.error_response.error_code = 5
    else:
        response.file_descriptor_response.file_descriptor_proto.append(FILE.SerializeToString())
    return response


class Serving:
    """A gRPC server with one version of reflection, made by ``answer``."""

    def __init__(self, answer, version="v1") -> None:
        async def conversation(requests, _context):
            async for request in requests:
                yield answer(request)

        handler = grpc.stream_stream_rpc_method_handler(
            conversation, wire.ServerReflectionRequest.FromString, wire.ServerReflectionResponse.SerializeToString
        )
        service = f"grpc.reflection.{version}.ServerReflection"
        self.server = grpc.aio.server()
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": handler})]
        )

    async def __aenter__(self) -> str:
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        return f"127.0.0.1:{port}"

    async def __aexit__(self, *_) -> None:
        await self.server.stop(None)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_services_and_methods_are_operations_and_the_rest_is_told(version):
    async with Serving(answers, version) as address:
        found = await grpc_reflection.ask("grpc shop", "orders", address)
    assert [(one.method, one.path, one.id, one.flags) for one in found.operations] == [
        ("POST", "/shop.v1.Orders/Get", "shop.v1.Orders/Get", ()),
        ("POST", "/shop.v1.Orders/Watch", "shop.v1.Orders/Watch", ("streamed",)),
    ]
    assert found.notes == (
        "the service '../evil': no name of a service",
        "the service 'gone.Service': the server does not describe it (status 5)",
        "the service 'shop.v1.Orders': 'no/name' is no name of a method",
        "the service 'shop.v1.Other': the server describes another one in its place",
    )


async def test_a_server_as_others_make_it():
    reflection = pytest.importorskip("grpc_reflection.v1alpha.reflection")
    server = grpc.aio.server()
    reflection.enable_server_reflection([reflection.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        found = await grpc_reflection.ask("grpc shop", "orders", f"localhost:{port}")
    finally:
        await server.stop(None)
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    assert [(one.path, one.flags) for one in found.operations] == [(path, ("streamed",))]


def garbage(request):
    response = answers(request)
    for number, _ in enumerate(response.file_descriptor_response.file_descriptor_proto):
        response.file_descriptor_response.file_descriptor_proto[number] = b"\xff\xff"
    return response


def crowd(_request):
    response = wire.ServerReflectionResponse()
    for number in range(1001):
        response.list_services_response.service.add(name=f"s{number}")
    return response


def heavy(request):
    response = answers(request)
    if response.WhichOneof("message_response") == "file_descriptor_response":
        response.file_descriptor_response.file_descriptor_proto.append(b"\0" * (5 << 20))
    return response


def silent(_request):
    response = wire.ServerReflectionResponse()
    response.error_response.error_code = 7
    return response


def broken(_request):
    raise RuntimeError


@pytest.mark.parametrize(
    ("answer", "code"), [(garbage, "AZ613"), (crowd, "AZ605"), (heavy, "AZ613"), (silent, "AZ613"), (broken, "AZ613")]
)
async def test_servers_that_lie_or_fail_are_coded(answer, code):
    async with Serving(answer) as address:
        with pytest.raises(DiscoveryError) as caught:
            await grpc_reflection.ask("grpc shop", "orders", address)
    assert caught.value.code == code


async def test_a_server_that_offers_none_hangs_or_is_away_is_coded(monkeypatch):
    monkeypatch.setattr(grpc_reflection, "SECONDS", 0.5)
    async with Serving(answers, "v9") as address:
        with pytest.raises(DiscoveryError, match="offers no reflection"):
            await grpc_reflection.ask("grpc shop", "orders", address)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DiscoveryError, match="AZ613"):
            await grpc_reflection.ask("grpc shop", "orders", f"127.0.0.1:{port}")
    with pytest.raises(DiscoveryError, match="AZ613"):
        await grpc_reflection.ask("grpc shop", "orders", f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    "address", ["", "unix:/run/x", "host", "http://h:1", "h:1/x", "dns:///h:1", "h:123456", "xds:///h:1"]
)
async def test_only_a_host_and_a_port_are_asked(address):
    with pytest.raises(DiscoveryError, match="AZ610"):
        await grpc_reflection.ask("grpc shop", "orders", address)
