"""Finds tests that start a process, a browser or an emulator, which are marked as slow."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest

TESTS = Path(__file__).parent
STARTERS = ("subprocess", "multiprocessing", "playwright", "nbclient", "speciesnet.server.pool")
EMULATORS = {"make_bucket"}  # fixtures that start servers in other ways


def is_slow(item: pytest.Item) -> bool:
    """Whether a test or one of its fixtures, directly or through helpers of the tests, starts one."""
    if not isinstance(item, pytest.Function):
        return False
    if EMULATORS & set(item.fixturenames):
        return True
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(one.func for definitions in fixtures for one in definitions)]
    return any(map(_starts_one, functions))


@cache
def _starts_one(function: object) -> bool:
    seen: set[int] = set()
    waiting = [function]
    while waiting:
        value = waiting.pop()
        value = inspect.unwrap(value) if callable(value) else value
        if not isinstance(value, FunctionType) or id(value) in seen:
            continue
        seen.add(id(value))
        for name in _names(value.__code__):
            used = value.__globals__.get(name)
            module = _module(used)
            if _is_in(module, STARTERS):
                return True
            if callable(used) and _is_of_tests(module):
                waiting += vars(used).values() if inspect.isclass(used) else [used]
    return False


@cache
def _is_of_tests(module: str) -> bool:
    """Whether a module is one of the tests, not one that they test."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and TESTS in Path(file).parents


def _names(code: CodeType) -> Iterator[str]:
    """All names that a function uses, including its inner functions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _module(value: object) -> str:
    """The name of a module, or of that in which a class or function is defined."""
    is_module = isinstance(value, ModuleType)
    return str(value.__name__ if is_module else getattr(value, "__module__", ""))


@cache
def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)
