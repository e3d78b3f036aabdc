"""A ``.manifest`` beside documents tells the version of Rego files, as in OPA's bundles."""

import pytest

from authorizer.pdp.rego_manifest import rego_versions
from authorizer.pdp.sources import compile_documents

OLD = b"package old\nallow { input.x }\n"
NEW = b"package new\nallow if input.x\n"


@pytest.mark.parametrize(
    ("manifest", "versions"),
    [
        (b"{}", {"new.rego": 1, "a/old.rego": 1}),
        (b'{"rego_version": 0}', {"new.rego": 0, "a/old.rego": 0}),
        (b'{"rego_version": 0, "file_rego_versions": {"/new.rego": 1}}', {"new.rego": 1, "a/old.rego": 0}),
        (b'{"file_rego_versions": {"*old.rego": 0}, "roots": [""], "revision": "7"}', {"new.rego": 1, "a/old.rego": 0}),
        (b'{"file_rego_versions": {"a/old.rego": 0}}', {"new.rego": 1, "a/old.rego": 1}),
    ],
)
def test_a_manifest_tells_the_version(manifest, versions):
    for folder in ("", "policies/", "/abs/"):
        files = {f"{folder}{name}": b"" for name in versions} | {f"{folder}.manifest": manifest}
        assert rego_versions(files) == ({f"{folder}{name}": version for name, version in versions.items()}, [])


def test_it_is_about_its_own_folder():
    files = {"a/.manifest": b'{"rego_version": 0}', "a/x.rego": b"", "ab/x.rego": b""}
    assert rego_versions(files) == ({"a/x.rego": 0, "ab/x.rego": 1}, [])
    assert rego_versions({"x.rego": b""}, 0) == ({"x.rego": 0}, [])


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b'{"rego_version": 2}',
        b'{"rego_version": "0"}',
        b'{"rego_version": 0, "rego_version": 1}',
        b'{"rego_versions": 0}',
        b'{"wasm": []}',
        b'{"file_rego_versions": {"[": 0}}',
        b'{"file_rego_versions": {"/*.rego": 0, "/new.rego": 1}}',
        b'{"file_rego_versions": {"%s": 0}}' % (b"*a" * 500),
        b'{"file_rego_versions": {%s}}' % b", ".join(b'"%d*": 0' % n for n in range(101)),
    ],
)
def test_what_cannot_be_told_is_refused(manifest):
    problems = compile_documents({".manifest": manifest, "new.rego": NEW}).problems
    assert problems[0].code == "AZ215"


def test_both_versions_stand_beside_documents():
    files = {"new.rego": NEW, "a/old.rego": OLD}
    assert {problem.code for problem in compile_documents(files).problems} == {"G104"}
    told = {**files, ".manifest": b'{"file_rego_versions": {"/a/*": 0}}'}
    assert compile_documents(told).problems == ()
