"""regopy in a process of its own, since it may end its process: ``python third_opinion.py`` reads questions, one a line.

A question is ``[number, module, data, inputs]``; an answer ``[number, results]``, null where regopy had none.
"""

import json
import subprocess
import sys


def answers(questions):
    """Return what regopy answers, by the number of the question; a question that ends it has no answer."""
    found, left = {}, dict(questions)
    while left:
        lines = "".join(json.dumps([number, *rest]) + "\n" for number, rest in left.items())
        done = subprocess.run(
            [sys.executable, __file__], input=lines, capture_output=True, text=True, timeout=600, check=False
        )
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]
        found |= {number: results for (number,), results in told if results is not None}
        started = [number for (number,), _ in told]
        for number in started or list(left)[:1]:
            left.pop(number, None)
        if done.returncode and started and left:
            left.pop(next(iter(left)))
    return found


def _answer(interpreter, bundle, input_):
    interpreter.set_input(input_)
    shown = str(interpreter.query_bundle(bundle))
    return json.loads(shown)["expressions"][0] if shown.startswith("{") else None


def main():
    from regopy import Interpreter, RegoError

    for line in sys.stdin:
        number, module, data, inputs = json.loads(line)
        try:
            interpreter = Interpreter()
            interpreter.add_module("p", module)
            interpreter.add_data(data)
            bundle = interpreter.build("data.p")
            results = [_answer(interpreter, bundle, each) for each in inputs]
        except RegoError:
            results = None
        print(json.dumps([[number], results]), flush=True)


if __name__ == "__main__":
    main()
