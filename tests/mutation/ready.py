"""A pytest that has collected all tests, and runs some of them on a mutant in a fork of itself.

To start pytest, import everything and collect takes seconds, the tests that notice a mutant mostly
less than one. So the mutant is put into what is loaded already: other code for the functions it
changes, other texts for the statements. One that cannot be put there is left to a new pytest.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import select
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import _lru_cache_wrapper, cache
from itertools import count, zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from .mutant import ELSEWHERE, HANGS, NOTICED, SURVIVES

assert sys.platform != "win32"  # which has no forks


class Serving:
    """A plugin that answers requests, each a line of JSON, where pytest would run all tests.

    Parameters
    ----------
    requests, answers
        File descriptors. The first answer is the tests that there are, and which are slow.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._failed:
            said = [line for line in report.longreprtext.splitlines() if line.startswith("E ")]
            late = any("Failed: Timeout (>" in line for line in said)
            why = " ".join(said[0].split())[:100] if said else ""
            self._failed = [HANGS if late else NOTICED, report.nodeid, why]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        named: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in session.items:
            named[item.nodeid].append(item)
            named[item.nodeid.partition("[")[0]].append(item)
        self._loaded = Loaded()
        gc.freeze()
        with os.fdopen(self._requests) as requests, os.fdopen(self._answers, "w") as answers:
            there = {
                one.nodeid: (bool(one.get_closest_marker("slow")), _on_server(one))
                for one in session.items
            }
            print(json.dumps(there), file=answers, flush=True)
            for line in requests:
                asked = json.loads(line)
                items = list(dict.fromkeys(one for name in asked["tests"] for one in named[name]))
                if not asked["own_server"] and any(map(_on_server, items)):
                    _shared_server()
                print(json.dumps(self._in_fork(asked, items)), file=answers, flush=True)
        return True

    def _in_fork(self, asked: dict[str, Any], items: list[pytest.Item]) -> list[str]:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            os.setpgid(0, 0)
            os.write(writing, json.dumps(self._ran(asked, items)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            ready, _, _ = select.select([answer], [], [], asked["longest"])
            said = answer.read() if ready else json.dumps([HANGS, "", "too long"])
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found: list[str] = json.loads(said or json.dumps([NOTICED, "", "the process is gone"]))
        return found

    def _ran(self, asked: dict[str, Any], items: list[pytest.Item]) -> list[str]:
        try:
            there = (Path(asked["path"]), asked["old"], asked["new"], asked["line"])
            if asked["path"] and not self._loaded.changed(*there):
                return [ELSEWHERE, "", ""]
            self._loaded.renew_parameters(items)
            if asked["own_server"]:  # whatever others share
                sys.modules["conftest"].Server = sys.modules["helpers.servers"].Server  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - whatever it is, importing would fail so too
            return [NOTICED, "", f"{type(error).__name__}: {error}"]
        for item, following in zip_longest(items, items[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return self._failed
        return [SURVIVES, "", ""]


def _on_server(item: pytest.Item) -> bool:
    return item.get_closest_marker("server") is not None


@cache  # which keeps it, also where a fork has one of its own
def _shared_server() -> Any:
    """Start a PostgreSQL server for all forks, in place of that of `tests/conftest.py`."""
    helpers = sys.modules["helpers.servers"]
    shared: Any = helpers.Server()
    shared.make_template()

    def given() -> Any:
        helpers._numbers = count(1000 * os.getpid())  # type: ignore[attr-defined]
        return shared

    def remove() -> None:
        for name, administrator in shared._administrators.items():
            administrator.close()
            shared.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    shared.make_template, shared.remove = (lambda: None), remove
    sys.modules["conftest"].Server = given  # type: ignore[attr-defined]
    return shared


# -- putting it in ---------------------------------------------------------------------


class Loaded:
    """What of the package is in memory and can be changed there."""

    def __init__(self) -> None:
        gc.unfreeze()  # what is frozen is not listed
        objects = gc.get_objects()
        queries = sys.modules["nexuslims_store.queries"].Queries
        self._queries = [one for one in objects if type(one) is queries]
        self._caches = [
            one
            for one in objects
            if isinstance(one, _lru_cache_wrapper)
            and (one.__module__ or "").partition(".")[0] in {"nexuslims_store", "helpers"}
        ]
        self._functions: defaultdict[str, list[FunctionType]] = defaultdict(list)
        for one in objects:
            if isinstance(one, FunctionType):
                self._functions[one.__code__.co_filename].append(one)

    def changed(self, path: Path, old: str, new: str, line: int) -> bool:
        """Have everything be as if loaded from the new text; False where that cannot be done."""
        if path.suffix == ".sql":
            for one in self._queries:
                if one.path == path:
                    one.__init__(path, new)
        elif not self._functions_changed(path, old, new, line):
            return False
        for cached in self._caches:
            cached.cache_clear()
        return True

    def renew_parameters(self, items: list[pytest.Item]) -> None:
        """Have tests whose parameters are statements get the new ones."""
        new = {(one.path, query.name): query for one in self._queries for query in one}
        for item in items:
            given = getattr(item, "callspec", None)
            parameters: dict[str, Any] = given.params if given else {}
            for name, value in parameters.items():
                if type(value).__name__ == "Query":
                    parameters[name] = new.get((value.path, value.name), value)

    def _functions_changed(self, path: Path, old: str, new: str, line: int) -> bool:
        if not _in_function(ast.parse(old), line):
            return False
        pairs = _pairs(*(compile(text, str(path), "exec") for text in (old, new)))
        # Codes that ran already equal no other.
        new_codes = {(one.co_qualname, one.co_firstlineno): other for one, other in pairs}
        for function in self._functions[str(path)]:
            code = function.__code__
            code = new_codes.get((code.co_qualname, code.co_firstlineno), code)
            if len(code.co_freevars) != len(function.__code__.co_freevars):
                return False
            function.__code__ = code
        return True


def _in_function(tree: ast.Module, line: int) -> bool:
    """Whether a line is in the body of a function, which runs when that is called."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
        for node in ast.walk(tree)
    )


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Each function with what becomes of it."""
    inside, inside_new = (
        [one for one in code.co_consts if isinstance(one, CodeType)] for code in (old, new)
    )
    if [one.co_name for one in inside] == [one.co_name for one in inside_new]:
        for before, after in zip(inside, inside_new, strict=True):
            yield before, after
            yield from _pairs(before, after)


if __name__ == "__main__":
    requests, answers, *options = sys.argv[1:]
    pytest.main(options, plugins=[Serving(int(requests), int(answers))])
