import pytest

from authorizer import settings
from authorizer.errors import SettingsError


def refusals(text: str = "", **sources) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        settings.load(text, "a.yaml", **sources)
    return [(problem.code, str(problem.place)) for problem in caught.value.problems]


def test_defaults_are_promises():
    value = settings.load("policies: policies\n")
    assert value.ext_authz.listen == "127.0.0.1:9191"
    assert value.forward_auth.listen == "127.0.0.1:9192"
    assert value.forward_auth.trusted_peers == ("127.0.0.0/8", "::1/128")
    assert value.admin.listen == "127.0.0.1:9193"
    assert value.control_plane.max_age_seconds == 604_800
    assert value.log.decisions == "stdout"


def test_later_sources_win():
    value = settings.load(
        "policies: a\nlog: {level: error}\nrealm: file\n",
        environment={
            "AUTHORIZER__LOG__LEVEL": "debug",
            "AUTHORIZER__REALM": "environment",
            "AUTHORIZER_PORT": "tcp://10.0.0.1:9191",
            "HOME": "/",
        },
        flags=["realm=flag", "forward_auth.trusted_peers=10.0.0.1, ::1"],
    )
    assert (value.log.level, value.realm) == ("debug", "flag")
    assert value.forward_auth.trusted_peers == ("10.0.0.1", "::1")


PATHS = """
policies: ../policies
state: /var/state
control_plane: {token_file: t, keys: {a: {file: keys/a.pem, algorithm: ES256}}}
forward_auth: {shared_secret_file: secret}
log: {decisions: decisions.log}
assertion: {key_files: [k.pem]}
realm: api
"""


def test_paths_in_the_file_are_meant_from_its_directory():
    value = settings.load(PATHS, "/etc/x/a.yaml", flags=["control_plane.ca_file=ca.pem"])
    assert (value.policies, value.state, value.realm) == ("/etc/x/../policies", "/var/state", "api")
    plane = value.control_plane
    assert (plane.token_file, plane.ca_file) == ("/etc/x/t", "ca.pem")
    assert (plane.keys["a"].file, plane.keys["a"].algorithm) == ("/etc/x/keys/a.pem", "ES256")
    assert (value.forward_auth.shared_secret_file, value.log.decisions) == ("/etc/x/secret", "/etc/x/decisions.log")
    assert value.assertion.key_files == ("/etc/x/k.pem",)


@pytest.mark.parametrize("word", ["stdout", '""'])
def test_what_is_no_path_stays(word):
    value = settings.load(f"policies: p\nlog: {{decisions: {word}}}\n", "etc/a.yaml")
    assert (value.policies, value.log.decisions) == ("etc/p", word.strip('"'))


@pytest.mark.parametrize(
    "text",
    [
        "credentials: {dpop: {store: 'redis://127.0.0.1:6379/0'}}",
        "credentials: {dpop: {store: 'rediss://[::1]:6379'}}",
        "credentials: {dpop: {store: 'unix:///run/redis.sock'}}",
        "identity_headers: {x-a: assertion}\nassertion: {issuer: i, key_files: [k]}",
        "identity_headers: {authorization: credential, dpop: credential, x-api-key: credential, x-o: original_token}",
        "credentials: {api_key_header: X-Key}\nidentity_headers: {x-key: credential}",
        "identity_providers: {clients: {a: {id: x, method: private_key_jwt, key_file: k}}}",
    ],
)
def test_what_stands_together(text):
    settings.load(f"policies: p\n{text}\n")


def test_every_problem_is_told_at_once_at_its_place():
    found = refusals(
        "policies: p\next_authz:\n  lisen: 1\ncontrol_plane:\n  poll_seconds: soon\n  keys: {a: {fil: x}}\n",
        environment={"AUTHORIZER__LOG__LEVEL": "loud"},
        flags=["nope=1", "bare"],
    )
    assert found == [
        ("AZ102", "--set"),
        ("AZ104", "--set nope"),
        ("AZ104", "a.yaml:3:3"),
        ("AZ105", "a.yaml:5:17"),
        ("AZ104", "a.yaml:6:14"),
        ("AZ105", "environment AUTHORIZER__LOG__LEVEL"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- policies\n", "AZ101"),
        ("policies: p\n---\npolicies: q\n", "AZ101"),
        ("policies: p\nlog: text\n", "AZ103"),
        ("policies: p\nrealm: {a: b}\n", "AZ105"),
        ("policies: p\ndrain_seconds: nan\n", "AZ105"),
        ("policies: p\ndrain_seconds: -1\n", "AZ105"),
        ("policies: p\ndrain_seconds: 1e999\n", "AZ105"),
        ("policies: p\next_authz: {max_message_bytes: 5}\n", "AZ105"),
        ("policies: p\next_authz: {engine: magic}\n", "AZ105"),
        ("policies: p\nidentity_headers: {X-Auth: subject}\n", "AZ105"),
        ("policies: p\nidentity_headers: {x_auth: subject}\n", "AZ105"),
        ("policies: p\nidentity_headers: {x-auth: password}\n", "AZ105"),
        ("policies: p\nidentity_headers: {content-length: subject}\n", "AZ105"),
        ("policies: p\nidentity_headers: {authorization: subject}\n", "AZ105"),
        ("policies: p\nidentity_headers: {x-auth: credential}\n", "AZ105"),
        ("policies: p\nidentity_headers: {cookie: credential}\n", "AZ105"),
        ("policies: p\ncredentials: {dpop: {store: 'http://redis'}}\n", "AZ105"),
        ("policies: p\ncredentials: {dpop: {store: 'redis://user:secret@redis:6379/0'}}\n", "AZ105"),
        ("policies: p\ncredentials: {dpop: {store: 'unix://relative'}}\n", "AZ105"),
        ("policies: p\ncredentials: {dpop: {algorithms: [HS256]}}\n", "AZ105"),
        ("policies: p\ncredentials: {api_key_header: 'a b'}\n", "AZ105"),
        ("policies: p\ncredentials: {api_key_header: Authorization}\n", "AZ105"),
        ("policies: p\nforward_auth: {client_certificate: {form: pem, header: 'a b'}}\n", "AZ105"),
        ("policies: p\nassertion: {algorithm: none}\n", "AZ105"),
        ("policies: p\nidentity_headers: {x-a: assertion}\n", "AZ106"),
        ("policies: p\nidentity_headers: {x-a: assertion}\nassertion: {issuer: i}\n", "AZ106"),
        ("policies: p\nidentity_headers: {x-a: assertion}\nassertion: {key_files: [k]}\n", "AZ106"),
        ("policies: p\nidentity_providers: {clients: {a: {id: x}}}\n", "AZ106"),
        ("policies: p\nidentity_providers: {clients: {a: {id: x, method: tls_client_auth, key_file: k}}}\n", "AZ106"),
        ("policies: p\nforward_auth: {client_certificate: {form: source}}\n", "AZ106"),
        ("policies: p\next_authz: {client_certificate: {form: pem}}\n", "AZ106"),
        ("policies: p\nforward_auth: {hops: 0}\n", "AZ105"),
        ("realm: x\n", "AZ106"),
        ("policies: p\nworkers: 0\n", "AZ105"),
        ("policies: p\nworkers: 257\n", "AZ105"),
        ("policies: p\next_authz: {tls: {certificate: c.pem}}\n", "AZ106"),
        ("policies: p\next_authz: {tls: {key: k.pem}}\n", "AZ106"),
        ("policies: p\next_authz: {tls: {client_ca: ca.pem}}\n", "AZ106"),
        ("policies: p\next_authz: {tls: {certificate: c.pem, key: k.pem, client_names: [a]}}\n", "AZ106"),
        ("policies: p\next_authz: {engine: grpcio, tls: {certificate: c.pem, key: k.pem}}\n", "AZ106"),
        ("policies: p\ncontrol_plane: {url: 'http://c'}\n", "AZ106"),
        ("policies: p\ndiscovery: {described: {a: {api: a}}}\n", "AZ106"),
        ("policies: p\ndiscovery: {described: {a: {api: a, file: f, url: 'http://u'}}}\n", "AZ106"),
        ("policies: p\ndiscovery: {described: {a: {url: 'http://u/o.json'}}}\n", "AZ106"),
        ("policies: p\ndiscovery: {annotated: true}\n", "AZ106"),
        ("policies: p\next_authz: {listen: ''}\nforward_auth: {listen: ''}\n", "AZ106"),
    ],
)
def test_refused(text, code):
    assert code in {found for found, _place in refusals(text)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("log: {level: waring}", "14: log.level must be one of debug, info, warning, error (did you mean 'warning'?)"),
        ("log: {drop: [{decision: no}]}", '25: log.drop.0.decision must be one of "", allow, deny'),
        ("log: {drop: [{reasn: x}]}", "15: unknown setting 'log.drop.0.reasn' (did you mean 'reason'?)"),
        ("identity_headers: {x-a: subject, x-b: subjekt}", "39: identity_headers.x-b must be one of subject, client, "),
        ("workers: many", "10: workers must be a whole number from 1 to 256"),
        ("drain_seconds: soon", "16: drain_seconds must be a number from 0 to 31,536,000"),
        ("discovery: {annotated: perhaps}", "24: discovery.annotated must be true or false"),
        ("discovery: {described: x}", "24: discovery.described must be a mapping"),
        ("forward_auth: {trusted_peers: 10.0.0.0/8}", "31: forward_auth.trusted_peers must be a list: [10.0.0.0/8]"),
        ("realm: {a: b}", "8: realm must be text"),
    ],
)
def test_a_refusal_says_what_would_do(text, told):
    with pytest.raises(SettingsError) as caught:
        settings.load(f"policies: p\n{text}\n", "a.yaml")
    (problem,) = caught.value.problems
    column, _, message = told.partition(": ")
    assert str(problem).partition(": error ")[2].partition(": ")[2].startswith(message)
    assert (problem.place.line, problem.place.column) == (2, int(column))


def test_files_that_cannot_be_used_are_told(tmp_path):
    (tmp_path / "here").write_text("")
    text = (
        "policies: here\nstate: made/later\ncredentials: {pepper_file: gone}\nassertion: {key_files: [here, away]}\n"
        "log: {decisions: none/log, upload: {url: 'https://l', buffer: here/x}}\ndiscovery: {ca_file: here}\n"
    )
    value, warnings = settings.look(text, str(tmp_path / "a.yaml"), flags=["control_plane.ca_file=/nowhere"])
    assert value.policies == str(tmp_path / "here")
    assert [(one.code, one.severity) for one in warnings] == [("AZ108", "warning")] * 5
    shown = [f"{one.place.line} {one.message}".replace(f"{tmp_path}/", "") for one in warnings]
    assert shown == [
        "0 control_plane.ca_file: '/nowhere' cannot be read: No such file or directory",
        "3 credentials.pepper_file: 'gone' cannot be read: No such file or directory",
        "4 assertion.key_files.1: 'away' cannot be read: No such file or directory",
        "5 log.decisions: 'none/log' cannot be written: No such file or directory",
        "5 log.upload.buffer: 'here/x' cannot be written: Not a directory",
    ]


def test_a_control_plane_needs_keys_and_a_state_directory():
    assert len(refusals("control_plane: {url: 'http://c'}\n")) == 2


def test_the_published_reference_is_current(request):
    page = request.config.rootpath / "docs" / "configuration.md"
    assert settings.reference() in page.read_text()
