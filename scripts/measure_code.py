"""Measures the code of one checkout, or of two side by side.

    python scripts/measure_code.py CHECKOUT [CHECKOUT] [--list]

It counts lines and files, the sizes of functions and classes, what type checkers cannot see, repeated
lines, the functions that put a run together, and imports that run upward. ``--list`` also names them.

For another opinion on repeated lines: ``pip install pylint`` and
``pylint --disable=all --enable=duplicate-code --min-similarity-lines=6 speciesnet``.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONG_FUNCTION = 60  # lines
REPEATED_LINES = 6  # the fewest equal lines that count as a repetition
# A module may import from its own group and from those before it. A package stands for its modules.
LAYERS = (
    ("constants", "errors", "records"),
    ("files",),
    ("images", "geolocation", "display"),
    ("engines",),
    ("ensemble", "detector", "classifier"),
    ("pipeline",),
    ("predictions",),
    ("run",),
    ("run.model",),
    ("survey",),
    ("survey.evaluation",),
    ("export", "survey.ecology", "survey.report", "server", "run.distributed"),
    ("app",),
    ("scripts",),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# These give published names to what is defined elsewhere.
SHIMS = (
    "__init__", "__main__", "utils", "multiprocessing", "taxonomy_utils", "geofence_utils",
    "ensemble_prediction_combiner",
)  # fmt: skip
# Calls that are steps of a run; a function with three of them puts a run together.
STEPS_OF_A_RUN = (
    {"prepare_instances"}, {"resolve_locations"}, {"run_settings", "Run"},
    {"open_predictions", "PredictionsFile", "PredictionsList"}, {"fill", "execute"},
    {"combine_one", "record_of", "decide"},
)  # fmt: skip


def component_of(parts: Sequence[str]) -> str:
    """The longest name in ``LAYERS`` of a module that is named by its parts below ``speciesnet``."""
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if name in RANKS), parts[0] if parts else "")


@dataclass(frozen=True)
class Module:
    """One Python file of the package.

    Attributes:
        path: Relative to the checkout.
        text: Its source.
        tree: Its syntax tree.
    """

    path: Path
    text: str
    tree: ast.Module

    @property
    def component(self) -> str:
        """The module or package of ``LAYERS`` that it belongs to; otherwise that below ``speciesnet``."""
        return component_of(self.path.with_suffix("").parts[1:])


def modules_of(checkout: Path) -> list[Module]:
    """All Python files of the package ``speciesnet``."""
    found = []
    for path in sorted((checkout / "speciesnet").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Module(path.relative_to(checkout), text, ast.parse(text)))
    return found


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yields name and line of everything imported from ``speciesnet``, even inside functions.

    Imports under ``if TYPE_CHECKING`` are left out, because they do not happen at run time.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "speciesnet":
            yield from ((f"speciesnet.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
        else:
            yield from imports_of(node)


def upward_imports(modules: list[Module]) -> list[str]:
    """Imports against the order of ``LAYERS``, each as ``file:line: from -> to``."""
    found = []
    for module in modules:
        rank = RANKS.get(module.component)
        if rank is None:
            continue
        for name, line in imports_of(module.tree):
            package, _, rest = name.partition(".")
            target = component_of(rest.split("."))
            if package == "speciesnet" and RANKS.get(target, -1) > rank:
                found.append(f"{module.path}:{line}: {module.component} -> {target}")
    return found


def sizes(modules: list[Module], *kinds: type[ast.AST]) -> list[tuple[int, str]]:
    """The number of lines and the place of every definition of these kinds, longest first."""
    found = [
        (node.end_lineno - node.lineno + 1, f"{module.path}:{node.lineno} {node.name}")
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, kinds)
        and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.end_lineno is not None
    ]
    return sorted(found, reverse=True)


def uses_of_any(module: Module) -> int:
    """How often ``Any`` occurs outside imports, comments and strings."""
    imported = {
        line
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    return sum(
        token.string in ("Any", '"Any"') and token.start[0] not in imported for token in tokens
    )


def casts(module: Module) -> int:
    """Calls of ``cast``."""
    return sum(
        isinstance(node, ast.Call) and ast.unparse(node.func) in ("cast", "typing.cast")
        for node in ast.walk(module.tree)
    )


def code_lines(module: Module) -> list[tuple[int, str]]:
    """The numbers and texts of lines that are not empty, comments, imports or docstrings."""
    left_out: set[int] = set()
    for node in ast.walk(module.tree):
        is_text = (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        )
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            assert isinstance(node, ast.stmt)
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return [
        (number, line.strip())
        for number, line in enumerate(module.text.splitlines(), start=1)
        if line.strip() and not line.strip().startswith("#") and number not in left_out
    ]


def repetitions(modules: list[Module], length: int = REPEATED_LINES) -> list[str]:
    """Pairs of places with ``length`` or more equal lines, each as ``file:line = file:line``."""
    lines = [code_lines(module) for module in modules]
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for number, one in enumerate(lines):
        for start in range(len(one) - length + 1):
            window = tuple(text for _, text in one[start : start + length])
            places[window].append((number, start))

    def text_before(place: tuple[int, int]) -> str | None:
        number, start = place
        return lines[number][start - 1][1] if start else None

    found = []
    for same in places.values():
        for position, first in enumerate(same):
            for second in same[position + 1 :]:
                before = text_before(first)
                if before is None or before != text_before(second):  # where the run starts
                    shown = [
                        f"{modules[n].path}:{lines[n][start][0]}" for n, start in (first, second)
                    ]
                    found.append(" = ".join(shown))
    return found


def orchestrations(modules: list[Module]) -> list[str]:
    """Functions that call three or more steps of a run."""
    found = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                called = {
                    ast.unparse(call.func).rpartition(".")[2]
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                }
                if sum(bool(called & names) for names in STEPS_OF_A_RUN) >= 3:
                    found.append(f"{module.path}:{node.lineno} {node.name}")
    return found


def measure(checkout: Path) -> dict[str, tuple[int, list[str]]]:
    """Maps each measurement to its number and the places that contribute to it."""
    modules = modules_of(checkout)
    functions = sizes(modules, ast.FunctionDef, ast.AsyncFunctionDef)
    classes = sizes(modules, ast.ClassDef)
    files = sorted(((len(m.text.splitlines()), str(m.path)) for m in modules), reverse=True)
    top = sorted({module.path.parts[1] for module in modules})
    tests = [
        len(p.read_text(encoding="utf-8").splitlines()) for p in (checkout / "tests").rglob("*.py")
    ]
    unplaced = sorted({m.component for m in modules} - set(RANKS) - set(SHIMS))
    ignores = [
        f"{module.path}:{number}"
        for module in modules
        for number, line in enumerate(module.text.splitlines(), start=1)
        if re.search(r"#.*(type: ignore|pyright: ignore|noqa)", line)
    ]

    def places(kept: list[tuple[int, str]]) -> list[str]:
        return [f"{place} ({lines})" for lines, place in kept]

    def named(result: list[str]) -> tuple[int, list[str]]:
        return len(result), result

    long = [one for one in functions if one[0] > LONG_FUNCTION]
    per_module = {str(m.path): (uses_of_any(m), casts(m)) for m in modules}
    return {
        "lines of the package": (sum(lines for lines, _ in files), []),
        "files": (len(files), []),
        "lines of tests": (sum(tests), []),
        "modules and packages at the top": named(top),
        "longest file": (files[0][0], places(files[:3])),
        "longest class": (classes[0][0], places(classes[:3])),
        "longest function": (functions[0][0], places(functions[:3])),
        f"functions over {LONG_FUNCTION} lines": (len(long), places(long)),
        "Any": (
            sum(number for number, _ in per_module.values()),
            [f"{path} ({number})" for path, (number, _) in per_module.items() if number],
        ),
        "casts": (
            sum(number for _, number in per_module.values()),
            [f"{path} ({number})" for path, (_, number) in per_module.items() if number],
        ),
        "type: ignore and noqa": named(ignores),
        f"pairs of {REPEATED_LINES} or more equal lines": named(repetitions(modules)),
        "functions that put a run together": named(orchestrations(modules)),
        "imports that run upward": named(upward_imports(modules)),
        "modules without a layer": named(unplaced),
    }


def main() -> None:
    """Prints a table with a column for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--list", action="store_true", help="name files, classes and functions")
    options = parser.parse_args()
    checkouts = [checkout.resolve() for checkout in options.checkouts]
    columns = [measure(checkout) for checkout in checkouts]
    width = max(map(len, columns[0]))
    print(" " * width, *(f"{checkout.name[-12:]:>12}" for checkout in checkouts))
    for name in columns[0]:
        print(f"{name:<{width}}", *(f"{column[name][0]:>12,}" for column in columns))
    if options.list:
        for checkout, column in zip(checkouts, columns, strict=True):
            for name, (_, details) in column.items():
                if details:
                    print(f"\n{checkout}: {name}", *details, sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
