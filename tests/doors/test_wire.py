"""The committed protobuf classes: current, and the same on the wire as Envoy's own."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from authorizer.doors.wire import ext_authz_pb2, health_pb2

PROTOS = Path(__file__).parents[2] / "protos"

auth = pytest.importorskip("envoy_data_plane.envoy.service.auth.v3")
core = pytest.importorskip("envoy_data_plane.envoy.config.core.v3")
http = pytest.importorskip("envoy_data_plane.envoy.type.v3")
rpc = pytest.importorskip("envoy_data_plane.google.rpc")
grpc_health = pytest.importorskip("grpclib.health.v1.health_pb2")

PAIRS = [
    (ext_authz_pb2.CheckRequest, auth.CheckRequest),
    (ext_authz_pb2.CheckResponse, auth.CheckResponse),
    (ext_authz_pb2.AttributeContext, auth.AttributeContext),
    (ext_authz_pb2.AttributeContext.Peer, auth.AttributeContextPeer),
    (ext_authz_pb2.AttributeContext.Request, auth.AttributeContextRequest),
    (ext_authz_pb2.AttributeContext.HttpRequest, auth.AttributeContextHttpRequest),
    (ext_authz_pb2.AttributeContext.TLSSession, auth.AttributeContextTlsSession),
    (ext_authz_pb2.DeniedHttpResponse, auth.DeniedHttpResponse),
    (ext_authz_pb2.OkHttpResponse, auth.OkHttpResponse),
    (ext_authz_pb2.HeaderMap, core.HeaderMap),
    (ext_authz_pb2.HeaderValue, core.HeaderValue),
    (ext_authz_pb2.HeaderValueOption, core.HeaderValueOption),
    (ext_authz_pb2.QueryParameter, core.QueryParameter),
    (ext_authz_pb2.Metadata, core.Metadata),
    (ext_authz_pb2.Address, core.Address),
    (ext_authz_pb2.SocketAddress, core.SocketAddress),
    (ext_authz_pb2.Pipe, core.Pipe),
    (ext_authz_pb2.EnvoyInternalAddress, core.EnvoyInternalAddress),
    (ext_authz_pb2.HttpStatus, http.HttpStatus),
    (ext_authz_pb2.Status, rpc.Status),
]
LEFT_OUT = {"resolver_name", "ipv4_compat", "network_namespace_filepath"}


def test_committed_classes_are_current():
    pytest.importorskip("grpc_tools")
    check = subprocess.run([sys.executable, PROTOS / "generate.py", "--check"], capture_output=True, check=False)
    assert (check.returncode, check.stdout) == (0, b"")


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda message: message.__name__)
def test_fields_have_the_names_and_numbers_of_envoy(ours, theirs):
    expected = {
        field.name: field.metadata["betterproto"].number
        for field in dataclasses.fields(theirs)
        if field.name not in LEFT_OUT
    }
    assert {field.name: field.number for field in ours.DESCRIPTOR.fields} == expected


def test_header_actions_have_the_numbers_of_envoy():
    ours = ext_authz_pb2.HeaderValueOption.HeaderAppendAction.items()
    assert dict(ours) == {action.name: action.value for action in core.HeaderValueOptionHeaderAppendAction}


def test_health_has_the_fields_and_numbers_of_grpc():
    for name in ("HealthCheckRequest", "HealthCheckResponse"):
        ours, theirs = getattr(health_pb2, name), getattr(grpc_health, name)
        assert [(f.name, f.number, f.type) for f in ours.DESCRIPTOR.fields] == [
            (f.name, f.number, f.type) for f in theirs.DESCRIPTOR.fields
        ]
    theirs = dict(grpc_health.HealthCheckResponse.ServingStatus.items())
    assert theirs.items() <= dict(health_pb2.HealthCheckResponse.ServingStatus.items()).items()


def test_no_name_of_ours_is_in_a_package_of_envoy_or_grpc():
    assert ext_authz_pb2.DESCRIPTOR.package == "authorizer.ext_authz.v3"
    assert health_pb2.DESCRIPTOR.package == "authorizer.health.v1"
    assert {f.name.partition("/")[0] for f in (ext_authz_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR)} == {"authorizer"}
