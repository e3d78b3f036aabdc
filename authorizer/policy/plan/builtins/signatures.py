"""The builtin functions of OPA 1.22 and what they take and return.

One line a function, in OPA's order: ``name(arguments) -> result ; marks``; a line that starts with blanks belongs to
the one before. Types are ``null boolean number string any``, ``[T ...]`` an array of any length, ``[A, B]`` one of two,
``<T>`` a set, ``{K: V}`` an object, ``{name = T, K: V}`` one with known members, and ``A | B``.
Source: OPA's ``capabilities.json``.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

_TABLE = """
abs(number) -> number
all([any ...] | <any>) -> boolean ; deprecated
and(<any>, <any>) -> <any> ; infix &
any([any ...] | <any>) -> boolean ; deprecated
array.concat([any ...], [any ...]) -> [any ...]
array.flatten([any ...]) -> [any ...]
array.reverse([any ...]) -> [any ...]
array.slice([any ...], number, number) -> [any ...]
assign(any, any) -> boolean ; infix :=
base64.decode(string) -> string
base64.encode(string) -> string
base64.is_valid(string) -> boolean
base64url.decode(string) -> string
base64url.encode(string) -> string
base64url.encode_no_pad(string) -> string
bits.and(number, number) -> number
bits.lsh(number, number) -> number
bits.negate(number) -> number
bits.or(number, number) -> number
bits.rsh(number, number) -> number
bits.xor(number, number) -> number
cast_array(any) -> [any ...] ; deprecated
cast_boolean(any) -> boolean ; deprecated
cast_null(any) -> null ; deprecated
cast_object(any) -> {any: any} ; deprecated
cast_set(any) -> <any> ; deprecated
cast_string(any) -> string ; deprecated
ceil(number) -> number
concat(string, [string ...] | <string>) -> string
contains(string, string) -> boolean
count(string | [any ...] | {any: any} | <any>) -> number
crypto.hmac.equal(string, string) -> boolean
crypto.hmac.md5(string, string) -> string
crypto.hmac.sha1(string, string) -> string
crypto.hmac.sha256(string, string) -> string
crypto.hmac.sha512(string, string) -> string
crypto.md5(string) -> string
crypto.parse_private_keys(string) -> [{string: any} ...]
crypto.sha1(string) -> string
crypto.sha256(string) -> string
crypto.x509.parse_and_verify_certificates(string) -> [boolean, [{string: any} ...]]
crypto.x509.parse_and_verify_certificates_with_options(string, {string: any}) -> [boolean, [{string: any} ...]]
crypto.x509.parse_certificate_request(string) -> {string: any}
crypto.x509.parse_certificates(string) -> [{string: any} ...]
crypto.x509.parse_keypair(string, string) -> {string: any}
crypto.x509.parse_rsa_private_key(string) -> {string: any}
div(number, number) -> number ; infix /
endswith(string, string) -> boolean
eq(any, any) -> boolean ; infix =
equal(any, any) -> boolean ; infix ==
floor(number) -> number
format_int(number, number) -> string
glob.match(string, null | [string ...], string) -> boolean
glob.quote_meta(string) -> string
graph.reachable({any: [any ...] | <any>}, [any ...] | <any>) -> <any>
graph.reachable_paths({any: [any ...] | <any>}, [any ...] | <any>) -> <[any ...]>
graphql.is_valid(string | {any: any}, string | {any: any}) -> boolean
graphql.parse(string | {any: any}, string | {any: any}) -> [{any: any}, {any: any}]
graphql.parse_and_verify(string | {any: any}, string | {any: any}) -> [boolean, {any: any}, {any: any}]
graphql.parse_query(string) -> {any: any}
graphql.parse_schema(string) -> {any: any}
graphql.schema_is_valid(string | {any: any}) -> boolean
gt(any, any) -> boolean ; infix >
gte(any, any) -> boolean ; infix >=
hex.decode(string) -> string
hex.encode(string) -> string
http.send({string: any}) -> {any: any} ; nondeterministic
indexof(string, string) -> number
indexof_n(string, string) -> [number ...]
internal.member_2(any, any) -> boolean ; infix in
internal.member_3(any, any, any) -> boolean ; infix in
internal.print([<any> ...])
internal.template_string([any ...]) -> string
internal.test_case([any ...])
intersection(<<any>>) -> <any>
io.jwt.decode(string) -> [{any: any}, {any: any}, string]
io.jwt.decode_verify(string, {string: any}) -> [boolean, {any: any}, {any: any}] ; nondeterministic
io.jwt.encode_sign({string: any}, {string: any}, {string: any}) -> string ; nondeterministic
io.jwt.encode_sign_raw(string, string, string) -> string ; nondeterministic
io.jwt.verify_eddsa(string, string) -> boolean
io.jwt.verify_es256(string, string) -> boolean
io.jwt.verify_es384(string, string) -> boolean
io.jwt.verify_es512(string, string) -> boolean
io.jwt.verify_hs256(string, string) -> boolean
io.jwt.verify_hs384(string, string) -> boolean
io.jwt.verify_hs512(string, string) -> boolean
io.jwt.verify_ps256(string, string) -> boolean
io.jwt.verify_ps384(string, string) -> boolean
io.jwt.verify_ps512(string, string) -> boolean
io.jwt.verify_rs256(string, string) -> boolean
io.jwt.verify_rs384(string, string) -> boolean
io.jwt.verify_rs512(string, string) -> boolean
is_array(any) -> boolean
is_boolean(any) -> boolean
is_null(any) -> boolean
is_number(any) -> boolean
is_object(any) -> boolean
is_set(any) -> boolean
is_string(any) -> boolean
json.filter({any: any}, [string | [any ...] ...] | <string | [any ...]>) -> {any: any}
json.is_valid(string) -> boolean
json.marshal(any) -> string
json.marshal_with_options(any, {indent = string, prefix = string, pretty = boolean, string: any}) -> string
json.match_schema(string | {any: any}, string | {any: any}) -> [boolean, [{desc = string, error = string, field
    = string, type = string} ...]] ; nondeterministic
json.patch(any, [{op = string, path = any, any: any} ...]) -> any
json.remove({any: any}, [string | [any ...] ...] | <string | [any ...]>) -> {any: any}
json.unmarshal(string) -> any
json.verify_schema(string | {any: any}) -> [boolean, null | string] ; nondeterministic
lower(string) -> string
lt(any, any) -> boolean ; infix <
lte(any, any) -> boolean ; infix <=
max([any ...] | <any>) -> any
min([any ...] | <any>) -> any
minus(number | <any>, number | <any>) -> number | <any> ; infix -
mul(number, number) -> number ; infix *
neq(any, any) -> boolean ; infix !=
net.cidr_contains(string, string) -> boolean
net.cidr_contains_matches(string | [string | [any ...] ...] | {string: string | [any ...]} | <string | [any
    ...]>, string | [string | [any ...] ...] | {string: string | [any ...]} | <string | [any ...]>) -> <[any, any]>
net.cidr_expand(string) -> <string>
net.cidr_intersects(string, string) -> boolean
net.cidr_is_valid(string) -> boolean
net.cidr_merge([string ...] | <string>) -> <string>
net.cidr_overlap(string, string) -> boolean ; deprecated
net.lookup_ip_addr(string) -> <string> ; nondeterministic
numbers.range(number, number) -> [number ...]
numbers.range_step(number, number, number) -> [number ...]
object.filter({any: any}, [any ...] | {any: any} | <any>) -> {any: any}
object.get({any: any}, any, any) -> any
object.keys({any: any}) -> <any>
object.remove({any: any}, [any ...] | {any: any} | <any>) -> {any: any}
object.subset([any ...] | {any: any} | <any>, [any ...] | {any: any} | <any>) -> boolean
object.union({any: any}, {any: any}) -> {any: any}
object.union_n([{any: any} ...]) -> {any: any}
opa.runtime() -> {string: any} ; nondeterministic
or(<any>, <any>) -> <any> ; infix |
plus(number, number) -> number ; infix +
print(any ...)
product([number ...] | <number>) -> number
providers.aws.sign_req({string: any}, {string: any}, number) -> {any: any}
rand.intn(string, number) -> number ; nondeterministic
re_match(string, string) -> boolean ; deprecated
regex.find_all_string_submatch_n(string, string, number) -> [[string ...] ...]
regex.find_n(string, string, number) -> [string ...]
regex.globs_match(string, string) -> boolean
regex.is_valid(string) -> boolean
regex.match(string, string) -> boolean
regex.replace(string, string, string) -> string
regex.split(string, string) -> [string ...]
regex.template_match(string, string, string, string) -> boolean
rego.metadata.chain() -> [any ...]
rego.metadata.rule() -> any
rego.parse_module(string, string) -> {string: any}
rem(number, number) -> number ; infix %
replace(string, string, string) -> string
round(number) -> number
semver.compare(string, string) -> number
semver.is_valid(any) -> boolean
set_diff(<any>, <any>) -> <any> ; deprecated
sort([any ...] | <any>) -> [any ...]
split(string, string) -> [string ...]
sprintf(string, [any ...]) -> string
startswith(string, string) -> boolean
strings.any_prefix_match(string | [string ...] | <string>, string | [string ...] | <string>) -> boolean
strings.any_suffix_match(string | [string ...] | <string>, string | [string ...] | <string>) -> boolean
strings.count(string, string) -> number
strings.render_template(string, {string: any}) -> string
strings.replace_n({string: string}, string) -> string
strings.reverse(string) -> string
strings.split_n(string, string, number) -> [string ...]
substring(string, number, number) -> string
sum([number ...] | <number>) -> number
time.add_date(number, number, number, number) -> number
time.clock(number | [number, string]) -> [number, number, number]
time.date(number | [number, string]) -> [number, number, number]
time.diff(number | [number, string], number | [number, string]) -> [number, number, number, number, number, number]
time.format(number | [number, string] | [number, string, string]) -> string
time.now_ns() -> number ; nondeterministic
time.parse_duration_ns(string) -> number
time.parse_ns(string, string) -> number
time.parse_rfc3339_ns(string) -> number
time.weekday(number | [number, string]) -> string
to_number(null | boolean | number | string) -> number
trace(string) -> boolean
trim(string, string) -> string
trim_left(string, string) -> string
trim_prefix(string, string) -> string
trim_right(string, string) -> string
trim_space(string) -> string
trim_suffix(string, string) -> string
type_name(any) -> string
union(<<any>>) -> <any>
units.parse(string) -> number
units.parse_bytes(string) -> number
upper(string) -> string
uri.is_valid(string) -> boolean
uri.parse(string) -> {string: string}
urlquery.decode(string) -> string
urlquery.decode_object(string) -> {string: [string ...]}
urlquery.encode(string) -> string
urlquery.encode_object({string: string | [string ...] | <string>}) -> string
uuid.parse(string) -> {string: any}
uuid.rfc4122(string) -> string ; nondeterministic
walk(any) -> [[any ...], any] ; relation
yaml.is_valid(string) -> boolean
yaml.marshal(any) -> string
yaml.unmarshal(string) -> any
"""


class Signature(Struct, frozen=True):
    """A function's type: arguments and result as in ``capabilities.json`` without names, ``result`` None for none.

    ``variadic`` is the type of any number of further arguments; ``infix`` the operator that calls the function, or
    empty. A ``relation`` has any number of results.
    """

    name: str
    arguments: tuple[dict[str, Any], ...]
    result: dict[str, Any] | None
    variadic: dict[str, Any] | None
    infix: str
    nondeterministic: bool
    relation: bool
    deprecated: bool

    def declaration(self) -> dict[str, Any]:
        """Return the declaration as plan IR holds it in ``static.builtin_funcs``."""
        function: dict[str, Any] = {"type": "function"}
        if self.arguments:
            function["args"] = list(self.arguments)
        if self.result is not None:
            function["result"] = self.result
        if self.variadic is not None:
            function["variadic"] = self.variadic
        return {"name": self.name, "decl": function}


_LINE = re.compile(r"(?P<name>[\w.]+)\((?P<arguments>.*?)\)(?: -> (?P<result>[^;]+?))?(?: ; (?P<marks>.+))?")
_TOKEN = re.compile(r"\.\.\.|[\w]+|[\[\]{}<>|,:=]")


class _Types:
    """A reader of types; ``tokens`` is what is left, the next one last."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)[::-1]

    def next_is(self, mark: str) -> bool:
        """Take the next token if it is ``mark``."""
        found = bool(self.tokens) and self.tokens[-1] == mark
        if found:
            self.tokens.pop()
        return found

    def arguments(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Read types up to the end or a ``]``: those in order, and the one that repeats."""
        ordered: list[dict[str, Any]] = []
        while self.tokens and not self.next_is("]"):
            one = self.type()
            if self.next_is("..."):
                self.next_is("]")
                return ordered, one
            ordered.append(one)
            self.next_is(",")
        return ordered, None

    def type(self) -> dict[str, Any]:
        """Read one type, a union of types included."""
        found = [self.single()]
        while self.next_is("|"):
            found.append(self.single())
        return found[0] if len(found) == 1 else {"type": "any", "of": found}

    def single(self) -> dict[str, Any]:
        """Read one type that is no union."""
        match self.tokens.pop():
            case "[":
                static, dynamic = self.arguments()
                told: dict[str, Any] = {"type": "array"}
                return told | ({"static": static} if static else {}) | ({} if dynamic is None else {"dynamic": dynamic})
            case "<":
                inner = self.type()
                self.next_is(">")
                return {"type": "set", "of": inner}
            case "{":
                return self.members()
            case name:
                return {"type": name}

    def members(self) -> dict[str, Any]:
        """Read the inside of an object type and its end."""
        told: dict[str, Any] = {"type": "object"}
        while not self.next_is("}"):
            if self.tokens[-2] == "=":
                name = self.tokens.pop()
                self.next_is("=")
                told.setdefault("static", []).append({"key": name, "value": self.type()})
            else:
                kind = self.type()
                self.next_is(":")
                told["dynamic"] = {"key": kind, "value": self.type()}
            self.next_is(",")
        return told


def _read(line: str) -> Signature:
    found = _LINE.fullmatch(line)
    assert found, line
    arguments, variadic = _Types(found["arguments"]).arguments()
    marks = (found["marks"] or "").split(", ")
    return Signature(
        name=found["name"],
        arguments=tuple(arguments),
        result=_Types(found["result"]).type() if found["result"] else None,
        variadic=variadic,
        infix=next((mark.removeprefix("infix ") for mark in marks if mark.startswith("infix ")), ""),
        nondeterministic="nondeterministic" in marks,
        relation="relation" in marks,
        deprecated="deprecated" in marks,
    )


SIGNATURES: Final[Mapping[str, Signature]] = {
    signature.name: signature for signature in map(_read, re.sub(r"\n +", " ", _TABLE).strip().split("\n"))
}
"""Every function that a policy may name, whether it can be evaluated here or not."""
