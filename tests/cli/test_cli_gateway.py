"""``authorizer gateway``: what is printed follows the settings of ``serve``."""

import io
import json
import re

import pytest
import yaml

from authorizer.cli import main
from authorizer.gateways.kinds import KINDS
from tests.gateways.examples import examples


@pytest.fixture
def said(capsys):
    """Return what a command wrote to standard output, to standard error, and its exit status."""

    def run(*arguments: str) -> tuple[str, str, int]:
        status = main(["gateway", *arguments])
        written = capsys.readouterr()
        return written.out, written.err, status

    return run


def test_without_settings_it_prints_what_deploy_has(said):
    assert said("envoy") == (examples()["envoy/envoy.yaml"], "", 0)
    out, _, _ = said("haproxy")
    first, second = out.split("\n-- file: authorizer.lua\n")
    assert first == "# file: haproxy.cfg\n" + examples()["haproxy/haproxy.cfg"]
    assert second == examples()["haproxy/authorizer.lua"]


def test_it_writes_files(said, tmp_path):
    out, _, status = said("nginx", "--output", str(tmp_path / "etc"))
    assert (status, sorted(path.name for path in (tmp_path / "etc").iterdir())) == (
        0,
        ["authorizer.conf", "nginx.conf"],
    )
    assert out.splitlines() == [str(tmp_path / "etc" / name) for name in ("authorizer.conf", "nginx.conf")]


def test_where_credentials_come_is_told_by_the_settings(said, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "policies: .\ncredentials: {api_key_header: X-Key}\n"
        "forward_auth: {client_certificate: {form: pem, header: X-Cert}}\n"
    )
    config = ("--config", str(tmp_path / "a.yaml"))
    for more, expected in ((config, (2, 0, 0)), ((), (0, 2, 3))):
        said("nginx", *more, "--output", str(tmp_path))
        text = (tmp_path / "authorizer.conf").read_text()
        out, _, code = said("nginx", *config, "--check", str(tmp_path / "nginx.conf"))
        found = text.count("proxy_set_header X-Cert $ssl_client_escaped_cert;"), out.count(" AZ920"), code
        assert found == expected
    route = yaml.safe_load(said("apisix", *config)[0])["routes"][0]["plugins"]
    assert "X-Key" in route["forward-auth"]["request_headers"]
    assert "X-Cert" in route["proxy-rewrite"]["headers"]["remove"]


def test_each_worker_is_an_endpoint(said, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "policies: .\nworkers: 3\nidentity_headers: {x-who: subject}\n"
        "ext_authz: {listen: '0.0.0.0:9191'}\nforward_auth: {listen: 'unix:/run/h.sock'}\n"
    )
    config = ("--config", str(tmp_path / "a.yaml"))
    out, _, _ = said("envoy", *config, "--host", "auth.example", "--timeout", "0.2", "--body-bytes", "1000")
    cluster = yaml.safe_load(out)["static_resources"]["clusters"][0]
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    found = [each["endpoint"]["address"]["socket_address"] for each in endpoints["lb_endpoints"]]
    # 9193 is the port of the probes.
    assert found == [{"address": "auth.example", "port_value": port} for port in (9191, 9192, 9194)]
    assert "timeout: 0.200s" in out
    assert "max_request_bytes: 1000" in out
    out, _, _ = said("nginx", *config, "--listen", "127.0.0.1:80", "--api", "10.0.0.9:81", "--host", "x")
    assert out.count("server unix:/run/h-") == 3
    assert "proxy_set_header X-Who " in out
    assert "listen 127.0.0.1:80;" in out
    assert "server 10.0.0.9:81;" in out
    assert said("envoy", *config)[1:] == (
        "error AZ906: 0.0.0.0:9191 is no address to connect to (say by which: --host NAME)\n", 3,
    )  # fmt: skip


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_headers_of_policies_are_listed_like_those_of_identity(said, kind):
    def named(name: str, text: str) -> int:
        return len(re.findall(name.replace("-", "[-_]"), text, re.IGNORECASE))

    listed = said(kind, "--header", "X-Authz-Filter", "--header", "x-plan")[0]
    if kind in {"envoy", "envoy-gateway", "istio"}:  # by gRPC the answer itself says what is taken off
        assert listed == said(kind)[0]
        return
    assert named("x-authz-filter", listed) == named("x-plan", listed) == named("x-auth-client", listed) > 0


def test_a_header_of_policies_is_looked_for(said, tmp_path):
    file = tmp_path / "authorizer.yaml"
    file.write_text(said("traefik")[0])
    assert said("traefik", "--check", str(file))[2] == 0
    out, _, status = said("traefik", "--check", str(file), "--header", "x-authz-filter")
    assert (status, "AZ921" in out) == (3, True)
    file.write_text(said("traefik", "--header", "x-authz-filter")[0])
    assert said("traefik", "--check", str(file), "--header", "x-authz-filter")[2] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["envoy", "--body-bytes", "4194304"], "AZ905"),
        (["envoy", "--body-bytes", "-1"], "AZ905"),
        (["envoy", "--listen", "unix:/a"], "AZ903"),
        (["traefik", "--set", "forward_auth.listen="], "AZ902"),
        (["envoy", "--config", "/nowhere.yaml"], "AZ107"),
    ],
)
def test_what_cannot_be_is_said(said, arguments, code):
    out, err, status = said(*arguments)
    assert (out, status) == ("", 3)
    assert code in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["apache"],
        ["envoy", "--timeout", "0"],
        ["envoy", "--timeout", "60"],
        ["nginx", "--header", "x y"],
        ["nginx", "--header", "host"],
    ],
)
def test_what_nobody_can_mean_is_a_matter_of_usage(arguments):
    with pytest.raises(SystemExit) as caught:
        main(["gateway", *arguments])
    assert caught.value.code == 2


def test_it_says_what_is_unsafe(said, tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(examples()["envoy/envoy.yaml"])
    bad.write_text(good.read_text().replace("failure_mode_allow: false", "failure_mode_allow: true"))
    assert said("envoy", "--check", str(good)) == ("0 unsafe, 0 to look at\n", "", 0)
    out, _, status = said("envoy", "--check", str(good), str(bad))
    assert status == 3
    assert out == (
        f"{bad}: error AZ911: envoy listener gateway routes gateway: requests pass when no answer comes"
        " (let no answer mean no)\n1 unsafe, 0 to look at\n"
    )
    out, _, status = said("envoy", "--check", str(bad), "--json", "--bodies")
    assert [(each["code"], each["severity"]) for each in json.loads(out)["findings"]] == [
        ("AZ911", "error"), ("AZ927", "error"),
    ]  # fmt: skip
    bad.write_text(good.read_text().replace("encode_raw_headers: true", "encode_raw_headers: false"))
    assert said("envoy", "--check", str(bad))[2] == 0


def test_it_reads_standard_input(said, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(examples()["nginx/authorizer.conf"].replace("internal;", "")))
    out, _, status = said("nginx", "--check", "-")
    assert (out.partition(":")[0], status) == ("-", 3)
    assert "AZ929" in out


@pytest.mark.parametrize(
    ("arguments", "code"), [(["kong", "--check", "-"], "AZ907"), (["nginx", "--check", "/nowhere"], "AZ901")]
)
def test_what_cannot_be_checked_is_said(said, arguments, code):
    out, err, status = said(*arguments)
    assert (out, status) == ("", 3)
    assert code in err
