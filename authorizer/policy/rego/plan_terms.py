"""Terms and unification as plan statements.

Nothing here takes a continuation: a loop is begun and the writer stands in it, so what follows is written into it.
"""

from authorizer.policy.rego.frames import Frame
from authorizer.policy.rego.plan_documents import data_reference
from authorizer.policy.rego.syntax import (
    CONSTANTS,
    PATTERNS,
    ArrayTerm,
    Comprehension,
    Number,
    ObjectTerm,
    Ref,
    Scalar,
    SetTerm,
    Term,
    Var,
)
from authorizer.policy.rego.variables import bare
from authorizer.policy.rego.writing import Operand, boolean, local


def plan_term(frame: Frame, term: Term) -> Operand:
    """Write what makes a term's value; return where it is."""
    writer = frame.writer
    if isinstance(term, Scalar):
        if isinstance(term.value, str):
            return writer.string(term.value)
        if term.value is None:
            target = writer.local()
            writer.emit("MakeNull", target=target)
            return local(target)
        return boolean(value=term.value)
    if isinstance(term, Number):
        target = writer.local()
        index = writer.tables.string(term.text)
        writer.emit("MakeNumberRef", Index=index, index=index, target=target)
        return local(target)
    if isinstance(term, Var):
        return frame.variable(term.name)
    if isinstance(term, Ref):
        return plan_reference(frame, term)
    if isinstance(term, Comprehension):
        return _comprehension(frame, term)
    return _collection(frame, term)


def _collection(frame: Frame, term: Term) -> Operand:
    writer = frame.writer
    target = writer.local()
    if isinstance(term, ArrayTerm):
        writer.emit("MakeArray", capacity=len(term.items), target=target)
        for item in term.items:
            writer.emit("ArrayAppend", value=plan_term(frame, item), array=target)
    elif isinstance(term, SetTerm):
        writer.emit("MakeSet", target=target)
        for item in term.items:
            writer.emit("SetAdd", value=plan_term(frame, item), set=target)
    else:
        assert isinstance(term, ObjectTerm), term
        writer.emit("MakeObject", target=target)
        for key, value in term.pairs:
            name = plan_term(frame, key)
            writer.emit("ObjectInsert", key=name, value=plan_term(frame, value), object=target)
    return local(target)


def _comprehension(frame: Frame, term: Comprehension) -> Operand:
    writer = frame.writer
    target = writer.local()
    if term.kind == "array":
        writer.emit("MakeArray", capacity=0, target=target)
    else:
        writer.emit("MakeSet" if term.kind == "set" else "MakeObject", target=target)
    before = writer.place
    with frame.scope(), writer.block() as inner:
        frame.session.plan_body(frame, term.body)
        head = [plan_term(frame, one) for one in term.head]
        if term.kind == "array":
            writer.emit("ArrayAppend", value=head[0], array=target)
        elif term.kind == "set":
            writer.emit("SetAdd", value=head[0], set=target)
        else:
            writer.emit("ObjectInsertOnce", key=head[0], value=head[1], object=target)
    writer.place = before
    writer.emit("Block", blocks=[inner])
    return local(target)


# -- references --------------------------------------------------------------------------------------------------------


def plan_reference(frame: Frame, ref: Ref) -> Operand:
    """Write the way to what a reference means; return where it is."""
    assert isinstance(ref.head, Var)
    name = ref.head.name
    if name == "data":
        return data_reference(frame, ref, follow)
    operand = frame.document(name) if name == "input" else frame.variable(name)
    if name == "input" and not ref.path:
        frame.writer.emit("IsDefined", source=operand["value"])
    return follow(frame, operand, ref.path)


def follow(frame: Frame, source: Operand, path: tuple[Term, ...]) -> Operand:
    """Go from a value along a path: by key where it is known, else over all of them."""
    for step in path:
        if frame.is_unseen(step):
            key, value = frame.writer.scan(source)
            unify_operand(frame, key, step)
            source = value
        else:
            source = frame.writer.dot(source, plan_term(frame, step))
    return source


# -- unification -------------------------------------------------------------------------------------------------------


def unify(frame: Frame, a: Term, b: Term) -> None:
    """Write ``a = b``: compare what is known, bind what is not."""
    if isinstance(a, Var):
        _unify_variable(frame, a, b)
    elif isinstance(b, Var):
        _unify_variable(frame, b, a)
    elif isinstance(a, ArrayTerm) and isinstance(b, ArrayTerm):
        if len(a.items) != len(b.items):
            frame.writer.emit("Break", index=0)
            return
        for one, other in zip(a.items, b.items, strict=True):
            unify(frame, one, other)
    elif isinstance(a, ObjectTerm) and isinstance(b, ObjectTerm):
        _unify_objects(frame, a, b)
    elif isinstance(a, PATTERNS):
        unify_operand(frame, plan_term(frame, b), a)
    else:
        unify_operand(frame, plan_term(frame, a), b)


def _unify_variable(frame: Frame, var: Var, other: Term) -> None:
    number = frame.seen(var.name)
    if number is not None:
        unify_operand(frame, local(number), other)
        return
    value = plan_term(frame, other)
    number = frame.seen(var.name)  # planning the other side may have bound it: x = input.m[x]
    if number is not None:
        frame.writer.equal(local(number), value)
    else:
        frame.bind(var.name, frame.writer.assign(value))


def _unify_objects(frame: Frame, a: ObjectTerm, b: ObjectTerm) -> None:
    others = {bare(key): value for key, value in b.pairs}
    mine = {bare(key): value for key, value in a.pairs}
    if mine.keys() == others.keys():
        for key, value in mine.items():
            unify(frame, value, others[key])
    elif any(map(_is_dynamic, (key for key, _ in (*a.pairs, *b.pairs)))):
        if frame.is_unseen(a):
            a, b = b, a
        unify_operand(frame, plan_term(frame, a), b)
    else:
        frame.writer.emit("Break", index=0)


def _is_dynamic(term: Term) -> bool:
    return not isinstance(term, CONSTANTS)


def unify_operand(frame: Frame, source: Operand, pattern: Term) -> None:
    """Write the comparison of a value with a term whose variables may be bound by it."""
    writer = frame.writer
    if isinstance(pattern, Var):
        number = frame.seen(pattern.name)
        if number is None:
            frame.bind(pattern.name, writer.assign(source))
        else:
            writer.equal(source, local(number))
    elif isinstance(pattern, ArrayTerm):
        writer.emit("IsArray", source=source)
        writer.length_is(source, len(pattern.items))
        for index, item in enumerate(pattern.items):
            if isinstance(item, Var) and item.name[0] == "$" and frame.seen(item.name) is None:
                continue  # a wildcard that nothing else reads
            unify_operand(frame, writer.dot(source, local(writer.integer(index))), item)
    elif isinstance(pattern, ObjectTerm):
        writer.emit("IsObject", source=source)
        writer.length_is(source, len({bare(key) for key, _ in pattern.pairs}))
        for key, value in pattern.pairs:
            unify_operand(frame, writer.dot(source, plan_term(frame, key)), value)
    else:
        writer.equal(source, plan_term(frame, pattern))
