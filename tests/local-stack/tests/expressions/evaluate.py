"""Evaluates JSONata expressions, one case as JSON per line, with the package jsonata-python.

Writes a line of JSON per case: {"result": value}, or {"error": text} if the evaluation fails or its
result is undefined.
"""

import json
import sys

from jsonata import jsonata
from jsonata.utils import Utils


def to_engine(value):
    """The engine reads None as undefined, and has a value of its own for null."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, list):
        return [to_engine(item) for item in value]
    if isinstance(value, dict):
        return {name: to_engine(field) for name, field in value.items()}
    return value


def from_engine(value):
    if value is Utils.NULL_VALUE:
        return None
    if isinstance(value, list):
        return [from_engine(item) for item in value]
    if isinstance(value, dict):
        return {name: from_engine(field) for name, field in value.items()}
    return value


def prepared(expression, case):
    """With the functions that Step Functions adds, and the values that $now() and $uuid() gave."""
    engine = jsonata.Jsonata(expression)
    engine.register_lambda("parse", lambda text: to_engine(json.loads(text)))
    engine.register_lambda("now", lambda: case["now"])
    engine.register_lambda("uuid", lambda: case["uuid"])
    return engine


def evaluate(case):
    variables = to_engine(case["variables"])
    expression = case["expression"]
    try:
        result = prepared(expression, case).evaluate(None, variables)
        # The engine returns None for null and for undefined.
        if result is None:
            exists = prepared(f"$exists(({expression}))", case)
            if not exists.evaluate(None, variables):
                return {"error": "undefined"}
        return {"result": from_engine(result)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(evaluate(json.loads(line))))
