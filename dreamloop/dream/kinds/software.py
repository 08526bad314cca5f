"""Code, bugs and commands: what an interpreter, or the user's own words, prove.

Expressions come from this package and its phrase books and are evaluated by `arithmetic_of_python`, which knows a
dozen functions and nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, apart, columns, options
from dreamloop.dream.topics import Topics
from dreamloop.errors import ConfigError
from dreamloop.prompts import Phrases

_KNOWN: dict[str, Any] = {
    f.__name__: f for f in (abs, all, any, len, list, max, min, range, reversed, round, set, sorted, str, sum, zip)
}
# What an expression of a phrase book may be made of: no attribute but a few of texts, so nothing leads out.
_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Call, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.IfExp, ast.List, ast.Tuple, ast.Subscript, ast.Slice, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
    ast.Attribute, ast.GeneratorExp, ast.ListComp, ast.comprehension, ast.Store,
)  # fmt: skip
_METHODS = {"lower", "upper", "split", "count", "startswith", "endswith", "replace", "index", "isdigit"}


def arithmetic_of_python(expression: str, names: Mapping[str, object] | None = None) -> object:
    """The value of a Python expression that is made of numbers, texts, lists and a dozen functions.

    Raises:
        ConfigError: it is no expression, is made of something else, or fails.
    """
    try:
        tree = ast.parse(expression, mode="eval")
        for node in ast.walk(tree):
            if not isinstance(node, _NODES) or (isinstance(node, ast.Attribute) and node.attr not in _METHODS):
                raise ConfigError(f"{type(node).__name__} may not stand in the expression {expression!r}.")
        code = compile(tree, "<phrase book>", "eval")
        return eval(code, {"__builtins__": {}, **_KNOWN, **(names or {})})  # noqa: S307 - made of the nodes above only
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"The expression {expression!r} has no value ({error}); mend the phrase book.") from error


def code(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A Python expression and its value; the wrong value has the same type."""
    family = draw.line("case", list(_EXPRESSIONS))
    expression, wrong = _EXPRESSIONS[family](draw, book)
    value = arithmetic_of_python(expression)
    return Seed({"expression": expression}, repr(value), repr(wrong), f"{expression} == {value!r}", "software",
                (expression,))  # fmt: skip


def bugs(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """What a function shall return, and a body; the wrong one is the right body for the opposite purpose."""
    rows = {line: columns(line, 5) for line in book["functions"]}
    line = draw.line("case", list(rows))
    name, purpose, body, opposite, arguments = rows[line]
    wrong = opposite
    names = dict(zip(options(name)[1:], ast.literal_eval(f"({arguments},)"), strict=True))
    value, other = arithmetic_of_python(body, names), arithmetic_of_python(wrong, names)
    if value == other:
        raise ConfigError(f"Both bodies of {line!r} return {value!r}; give arguments that tell them apart.")
    signature = f"{options(name)[0]}({', '.join(options(name)[1:])})"
    called = f"{options(name)[0]}({arguments})"
    truth = f"{called} shall be {value!r}; with 'return {body}' it is, with 'return {wrong}' it is {other!r}"
    values = {"signature": signature, "purpose": purpose}
    return Seed(values, body, wrong, truth, "software", (signature, purpose))


def commands(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """Two things, one to go and one to stay; the wrong command destroys the one that shall stay."""
    rows = {line: columns(line, 3) for line in book["commands"]}
    what, form, names = rows[draw.line("case", list(rows))]
    gone, kept = apart(draw, options(names), 2)
    truth = f"{gone} shall go and {kept} shall stay; the command removes what it names"
    values = {"what": what, "gone": gone, "kept": kept}
    return Seed(values, form.replace("...", gone), form.replace("...", kept), truth, "software", (gone, kept))


def _len_of(draw: Draw, book: Phrases) -> tuple[str, object]:
    word = draw.rng.choice(book["words"])
    return f"len({word!r})", len(word) + draw.rng.choice((-1, 1))


def _index(draw: Draw, book: Phrases) -> tuple[str, object]:
    word = draw.rng.choice(book["words"])
    at = draw.rng.randrange(1, len(word) - 1)
    return f"{word!r}[{at}]", next(letter for letter in (word[at - 1], word[at + 1], "z") if letter != word[at])


def _slice(draw: Draw, book: Phrases) -> tuple[str, object]:
    word = draw.rng.choice(book["words"])
    end = draw.rng.randrange(2, len(word))
    return f"{word!r}[:{end}]", word[: end + draw.rng.choice((-1, 1))]


def _remainder(draw: Draw, _: Phrases) -> tuple[str, object]:
    a, b = draw.rng.randint(20, 99), draw.rng.randint(3, 9)
    return f"{a} % {b}", draw.rng.choice([r for r in range(b) if r != a % b])


def _quotient(draw: Draw, _: Phrases) -> tuple[str, object]:
    a, b = draw.rng.randint(20, 99), draw.rng.randint(3, 9)
    return f"{a} // {b}", a // b + draw.rng.choice((-1, 1))


def _total(draw: Draw, _: Phrases) -> tuple[str, object]:
    numbers = [draw.rng.randint(2, 30) for _ in range(3)]
    return f"sum({numbers})", sum(numbers) + draw.rng.choice((-2, -1, 1, 2))


def _extreme(draw: Draw, _: Phrases) -> tuple[str, object]:
    numbers, which = draw.rng.sample(range(2, 60), 4), draw.rng.choice((max, min))
    return f"{which.__name__}({numbers})", draw.rng.choice([n for n in numbers if n != which(numbers)])


def _sorted(draw: Draw, _: Phrases) -> tuple[str, object]:
    numbers, at = draw.rng.sample(range(2, 60), 4), draw.rng.randrange(4)
    return f"sorted({numbers})[{at}]", draw.rng.choice([n for n in numbers if n != sorted(numbers)[at]])


def _steps(draw: Draw, _: Phrases) -> tuple[str, object]:
    a, b = draw.rng.randint(1, 9), draw.rng.randint(11, 30)
    return f"len(range({a}, {b}))", b - a + draw.rng.choice((-1, 1))


def _counted(draw: Draw, book: Phrases) -> tuple[str, object]:
    text = "".join(draw.rng.sample(list(book["words"]), 2))
    letter = draw.rng.choice(text)
    times = text.count(letter)
    return f"{text!r}.count({letter!r})", draw.rng.choice((times - 1, times + 1))


_EXPRESSIONS = {
    "length": _len_of, "index": _index, "slice": _slice, "remainder": _remainder, "quotient": _quotient,
    "total": _total, "extreme": _extreme, "sorted": _sorted, "range": _steps, "count": _counted,
}  # fmt: skip
