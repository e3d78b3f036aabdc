"""Random policies: our compiler with our functions, OPA's plans with our functions, OPA itself, and regopy, agree.

``REGO_CASES`` says how many questions are asked; ``OPA`` names the program unless it is on the path.
"""

import json
import os
import subprocess
import tarfile

import pytest

from authorizer.policy.plan import Budget, BudgetError, Context, EvaluationError, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED, compare, to_json
from authorizer.policy.rego import RegoError, compile_modules, parse
from tests.policy_plan import second_opinion, third_opinion
from tests.policy_plan.random_rego import DATA, inputs, module

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not second_opinion.program(), reason="OPA is not installed (OPA=path, or on the path)"),
]
CASES = int(os.environ.get("REGO_CASES", "5000"))
INPUTS = 20
UNITS = 10_000_000
TYPES = {"rego_type_error", "G4"}
"""What refused types are called by OPA, and the family of our codes."""
CONFLICT = ("eval_conflict_error",)


def answer(compiled, input_):
    """Return the package's document as JSON, or the code of the error, in a tuple."""
    try:
        found = compiled.evaluate("p", input_, Context(10**18, bytes, Budget(UNITS)))
    except EvaluationError as error:
        return (error.code,)
    except BudgetError:
        return ("budget",)
    return to_json(found[0]["result"]) if found else UNDEFINED


def same(ours, theirs):
    if isinstance(ours, tuple) or isinstance(theirs, tuple):
        return ours == theirs
    if ours is UNDEFINED or theirs is UNDEFINED:
        return ours is theirs
    return compare(ours, theirs) == 0


def ours(text):
    """Return our compiled policy, or the families of the codes of what is wrong with it."""
    try:
        plan = compile_modules([parse(text, "p.rego")], entrypoints=["p"])
    except RegoError as error:
        return {problem.code[:2] for problem in error.problems}
    return compile_plan(read(plan), data={"base": DATA})


def opas_plan(folder, text, entrypoint):
    """Return the plan that OPA makes of a module; None where it makes none."""
    (folder / "p.rego").write_text(text)
    command = [second_opinion.program(), "build", "-t", "plan", "-e", entrypoint, "-o", "b.tar.gz", "p.rego"]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        return None
    with tarfile.open(folder / "b.tar.gz") as archive:
        return json.load(archive.extractfile("/plan.json"))


@pytest.fixture
def opa(tmp_path):
    with second_opinion.Opa(tmp_path) as running:
        yield running


def test_opa_gives_the_same_answers(opa, tmp_path):
    asked = policies = seed = 0
    while asked < CASES:
        seed += 1
        text = module(seed)
        refused, compiled = set(opa.load(DATA, text)), ours(text)
        if refused or isinstance(compiled, set):
            # Types are inferred by each in its own way; all else is refused by both or by none.
            ours_refuse = compiled if isinstance(compiled, set) else set()
            assert bool(ours_refuse) == bool(refused) or TYPES & (refused | ours_refuse), (text, refused, ours_refuse)
            continue
        policies += 1
        for input_ in inputs(seed, INPUTS):
            asked += 1
            found, wanted = answer(compiled, input_), opa.evaluate("p", input_)
            if found == CONFLICT != wanted:
                # A function in conflict is no error to OPA where the body that called it fails later; to its plans it is.
                wanted = answer(compile_plan(read(opas_plan(tmp_path, text, "p")), data={"base": DATA}), input_)
            assert same(found, wanted), (seed, text, input_, found, wanted)
    assert policies > CASES // INPUTS // 2


def test_opas_plans_give_the_answers_of_our_plans(tmp_path):
    texts = {}
    seed = 0
    while len(texts) < max(CASES // INPUTS // 10, 20):
        seed += 1
        text = module(seed, f"p{seed}")
        try:
            plan = compile_modules([parse(text, "p.rego")], entrypoints=[f"p{seed}"])
        except RegoError:
            continue
        theirs = opas_plan(tmp_path, text, f"p{seed}")
        if theirs is not None:
            texts[text] = seed, plan, theirs
    for text, (number, plan, theirs) in texts.items():
        for document in (plan, theirs):
            document["plans"]["plans"] = [
                each | {"name": "p"} for each in document["plans"]["plans"] if each["name"] == f"p{number}"
            ]
        mine, other = (compile_plan(read(document), data={"base": DATA}) for document in (plan, theirs))
        for input_ in inputs(number, INPUTS):
            assert same(answer(mine, input_), answer(other, input_)), (text, input_)


def test_regopy_agrees_or_opa_contradicts_it(opa):
    pytest.importorskip("regopy")
    texts = {seed: module(seed) for seed in range(1, CASES // 50 + 1)}
    compiled = {seed: plan for seed, text in texts.items() if not isinstance(plan := ours(text), set)}
    asked = {seed: inputs(seed, 3) for seed in compiled}
    told = third_opinion.answers({seed: (texts[seed], {"base": DATA}, asked[seed]) for seed in compiled})
    agreed = 0
    for seed, results in told.items():
        refused = opa.load(DATA, texts[seed])
        for input_, found in zip(asked[seed], results, strict=True):
            mine = answer(compiled[seed], input_)
            if found is None or same(mine, found):
                agreed += found is not None
                continue
            assert refused or same(mine, opa.evaluate("p", input_)), (seed, texts[seed], input_, mine, found)
    assert agreed > len(told) // 2
