"""``strings.render_template``: Go's templates, filled in with values of Rego.

Numbers are texts, as OPA hands them over (``json.Number``); what is not there shows as ``<undefined>``. There are Go's
functions but ``call``.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import Builtin, as_bytes, contextual, mapping, spend, text
from authorizer.policy.plan.builtins.encoding import measure, query_escape
from authorizer.policy.plan.builtins.gofmt import sprintf
from authorizer.policy.plan.builtins.rendering import number_text
from authorizer.policy.plan.builtins.template_reading import Node, Operand, Pipeline, Reader, malformed
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Set, Value

_MAX_CALLS: Final = 20
_ROOT: Final = "$"


class _Missing:
    """What a key that is not there gives."""


class _Number(str):
    """A number as its text."""

    __slots__ = ()


_MISSING: Final = _Missing()
_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})
_SCRIPT: Final = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    | {chr(point): f"\\u{point:04X}" for point in range(32)}
)


def _given(value: Value) -> Any:
    """Return a variable as Go holds what JSON says. Raises BuiltinError for what JSON cannot say."""
    if type(value) is int or type(value) is float:
        return _Number(number_text(value))
    if type(value) is list:
        return [_given(each) for each in value]
    if type(value) is Set or (type(value) is dict and not all(type(name) is str for name in value)):
        raise BuiltinError("a set, or a key that is no string, is no variable of a template")
    if type(value) is dict:
        return {name: _given(each) for name, each in value.items()}
    return value


def _shown(value: Any, *, within: bool = True) -> str:
    """Return a value as Go prints it."""
    if value is None or value is _MISSING:
        return "<nil>" if within else "<no value>"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is list:
        return f"[{' '.join(map(_shown, value))}]"
    if type(value) is dict:
        return f"map[{' '.join(f'{name}:{_shown(each)}' for name, each in sorted(value.items()))}]"
    if type(value) is float:
        mantissa, _, exponent = f"{value:.6g}".partition("e")
        return repr(value).removesuffix(".0") if not exponent and float(mantissa) == value else f"{value:g}"
    return str(value)


def _true(value: Any) -> bool:
    return value is not _MISSING and bool(value)


def _printed(values: Sequence[Any]) -> str:
    """Return values in a row, with a blank where neither neighbour is a string."""
    made = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            made += " "
        made += _shown(value)
    return made


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise malformed("eq needs two values")
    for other in others:
        nothing = [each is None or each is _MISSING for each in (first, other)]
        if any(nothing):
            same = all(nothing)
        elif _kind(first) != _kind(other) or not _kind(first):
            raise malformed("values of these types cannot be compared")
        else:
            same = first == other
        if same:
            return True
    return False


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(first: Any, second: Any) -> bool:
        if _kind(first) != _kind(second) or _kind(first) in {"", "bool"}:
            raise malformed("values of these types have no order")
        return compare(first, second)

    return check


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(as_bytes(value))
    if type(value) is list or type(value) is dict:
        return len(value)
    raise malformed("len of what has none")


def _index(value: Any, *names: Any) -> Any:
    for name in names:
        if type(value) is dict and type(name) is str:
            value = value.get(name, _MISSING)
        elif type(value) is list and type(name) is int and 0 <= name < len(value):
            value = value[name]
        elif isinstance(value, str) and type(name) is int and 0 <= name < len(as_bytes(value)):
            value = as_bytes(value)[name]
        else:
            raise malformed("an index that there is not")
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str | list) or len(bounds) > 2 or not all(type(each) is int for each in bounds):
        raise malformed("a slice of what has none")
    data: Any = as_bytes(value) if isinstance(value, str) else value
    start, end = [*bounds, 0, len(data)][:1] + ([*bounds[1:], len(data)][:1])
    if not 0 <= start <= end <= len(data):
        raise malformed("a slice out of range")
    part = data[start:end]
    return part.decode("utf-8", "surrogateescape") if isinstance(part, bytes) else part


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "eq": _equal,
    "ge": _ordered(ge),
    "gt": _ordered(gt),
    "html": lambda *values: _printed(values).translate(_HTML),
    "index": _index,
    "js": lambda *values: _printed(values).translate(_SCRIPT),
    "le": _ordered(le),
    "len": _length,
    "lt": _ordered(lt),
    "ne": lambda first, second: not _equal(first, second),
    "not": lambda value: not _true(value),
    "print": lambda *values: _printed(values),
    "println": lambda *values: " ".join(map(_shown, values)) + "\n",
    "slice": _slice,
    "urlquery": lambda *values: query_escape(as_bytes(_printed(values))),
}


class _Rendering:
    """One template that is filled in; variables are a stack of names and values."""

    def __init__(self, context: Context, templates: Mapping[str, list[Node]], data: Any) -> None:
        self.context = context
        self.templates = templates
        self.made: list[str] = []
        self.variables: list[tuple[str, Any]] = [(_ROOT, data)]
        self.calls = 0

    def write(self, made: str) -> None:
        """Add to what is made."""
        spend(self.context, len(made))
        self.made.append(made)

    def nodes(self, nodes: Sequence[Node], dot: Any) -> str:
        """Execute nodes; return ``break`` or ``continue`` if one of these ended them."""
        scope = len(self.variables)
        for node in nodes:
            self.context.budget.charge(20)
            signal = self.node(node, dot)
            if signal:
                del self.variables[scope:]
                return signal
        del self.variables[scope:]
        return ""

    def node(self, node: Node, dot: Any) -> str:
        """Execute one node."""
        if node.kind == "text":
            self.write(node.text)
        elif node.kind in {"break", "continue"}:
            return node.kind
        elif node.kind == "template":
            self.template(node, dot)
        else:
            assert node.pipeline is not None
            if node.kind == "range":
                self.range(node, node.pipeline, dot)
                return ""
            scope = len(self.variables)
            value = self.pipeline(node.pipeline, dot)
            if node.kind == "action":
                if not node.pipeline.variables:
                    self.write(_shown(value, within=False))
                return ""
            taken = _true(value)
            inner = value if node.kind == "with" and taken else dot
            signal = self.nodes(node.body if taken else node.other, inner)
            del self.variables[scope:]
            return signal
        return ""

    def template(self, node: Node, dot: Any) -> None:
        """Execute a template by its name."""
        if node.text not in self.templates:
            raise malformed("a template that is not defined")
        value = _MISSING if node.pipeline is None else self.pipeline(node.pipeline, dot)
        self.calls += 1
        if self.calls > _MAX_CALLS:
            raise BudgetError
        outer, self.variables = self.variables, [(_ROOT, value)]
        self.nodes(self.templates[node.text], value)
        self.variables = outer
        self.calls -= 1

    def range(self, node: Node, pipeline: Pipeline, dot: Any) -> None:
        """Execute a block for every element."""
        names, scope = pipeline.variables, len(self.variables)
        value = self.commands(pipeline, dot)
        if type(value) is int:
            self.context.budget.charge(max(value, 0))
            pairs: list[tuple[Any, Any]] = [(each, each) for each in range(value)]
        elif type(value) is list:
            pairs = list(enumerate(value))
        elif type(value) is dict:
            pairs = sorted(value.items())
        elif value is None or value is _MISSING:
            pairs = []
        else:
            raise malformed("range over what has no elements")
        for name, each in pairs:
            given = [name, each] if len(names) == 2 else [each] * len(names)
            for variable, one in zip(names, given, strict=True):
                self.assign(variable, one, declares=pipeline.declares)
            signal = self.nodes(node.body, each)
            del self.variables[scope:]
            if signal == "break":
                break
        if not pairs:
            self.nodes(node.other, dot)

    def assign(self, name: str, value: Any, *, declares: bool) -> None:
        """Declare a variable, or change the one that was declared last."""
        if declares:
            self.variables.append((name, value))
            return
        place = max(index for index, (known, _) in enumerate(self.variables) if known == name)
        self.variables[place] = (name, value)

    def pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        """Return what a pipeline gives, and put it into its variables."""
        value = self.commands(pipeline, dot)
        for name in pipeline.variables:
            self.assign(name, value, declares=pipeline.declares)
        return value

    def commands(self, pipeline: Pipeline, dot: Any) -> Any:
        """Return what a pipeline gives: each command takes what the one before gave as its last argument."""
        given: list[Any] = []
        for command in pipeline.commands:
            self.context.budget.charge(20)
            given = [self.command(command, dot, given)]
        return given[0]

    def command(self, command: Sequence[Operand], dot: Any, given: list[Any]) -> Any:
        """Return what one command gives."""
        first, *rest = command
        if first.kind != "function":
            if rest or given:
                raise malformed("arguments for what takes none")
            if first.kind == "nil":
                raise malformed("nil is not a command")
            return self.operand(first, dot)
        name = first.value
        if name in {"and", "or"}:
            return self.junction(name, rest, dot, given)
        arguments = [self.operand(each, dot) for each in rest] + given
        if name == "printf":
            return self.printf(arguments)
        if name not in _FUNCTIONS:
            raise malformed(f"function {name} not defined")
        for each in arguments:
            measure(self.context, None if each is _MISSING else each)
        try:
            return _FUNCTIONS[name](*arguments)
        except TypeError:
            raise malformed(f"wrong number of arguments for {name}") from None

    def junction(self, name: str, operands: Sequence[Operand], dot: Any, given: list[Any]) -> Any:
        """Return the value that decides ``and`` or ``or``; what stands behind it is not looked at."""
        value: Any = _MISSING
        for operand in operands:
            value = self.operand(operand, dot)
            if _true(value) is (name == "or"):
                return value
        if not operands and not given:
            raise malformed(f"wrong number of arguments for {name}")
        return given[0] if given else value

    def printf(self, arguments: Sequence[Any]) -> str:
        """Return a text with verbs filled in."""
        if not arguments or not isinstance(arguments[0], str):
            raise malformed("printf needs a layout")
        values = [each if type(each) in {int, float} else str(_shown(each)) for each in arguments[1:]]
        return sprintf(self.context, arguments[0], values)

    def operand(self, operand: Operand, dot: Any) -> Any:
        """Return what an operand stands for."""
        match operand.kind:
            case "constant":
                return operand.value
            case "nil":
                return None
            case "dot":
                value = dot
            case "variable":
                value = next(value for name, value in reversed(self.variables) if name == operand.value)
            case "pipeline":
                value = self.commands(operand.value, dot)
            case _:
                value = self.command([operand], dot, [])
        for name in operand.fields:
            if value is _MISSING:
                return value
            if type(value) is not dict:
                raise malformed(f"no field {name} in what is no object")
            value = value.get(name, _MISSING)
        return value


def _render(context: Context, template: Value, variables: Value) -> str:
    source, given = text(template, 1), mapping(variables, 2)
    context.budget.charge(20 + 10 * len(source))
    measure(context, given)
    try:
        reader = Reader(source)
        nodes = reader.read()
        data = _given(given)
        rendering = _Rendering(context, reader.templates, data)
        if rendering.nodes(nodes, data):
            raise malformed("break or continue outside of range")
    except RecursionError:
        raise BudgetError from None
    return "".join(rendering.made).replace("<no value>", "<undefined>")


BUILTINS: Final[Mapping[str, Builtin]] = {"strings.render_template": contextual(_render)}
