"""Where every test starts from, however the tests were started; the options of `.ci/run`."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.database_files import build
from helpers.servers import Server, why_none
from helpers.support import stores_on
from hypothesis import HealthCheck, settings

# What a person or a supervisor may have set for programs of their own, and processes inherit.
OF_A_PERSON = (
    *("NX_DB_PATH", "NX_INSTRUMENT_DATA_PATH", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"),
    *("PYTHONOPTIMIZE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS"),
)
IGNORED_BY_PYTHON = {
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name)
}

# A slow machine is no failure; a function-scoped tmp_path that examples share is meant so.
settings.register_profile(
    "nexuslims",
    deadline=None,
    max_examples=40,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("nexuslims")


def pytest_configure(config: pytest.Config) -> None:
    for name in OF_A_PERSON:
        os.environ.pop(name, None)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Of the hundreds of processes that the tests start each would compile the package anew.
        compiled = TemporaryDirectory()
        config.add_cleanup(compiled.cleanup)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled.name
    os.umask(0o022)
    if threading.current_thread() is threading.main_thread():
        for number in signal.valid_signals():
            # `nohup` and the `&` of scripts start programs that ignore some, and their children do.
            if signal.getsignal(number) is signal.SIG_IGN and number not in IGNORED_BY_PYTHON:
                signal.signal(number, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """With -n, have each worker begin with other files, so that each is compiled once.

    All read all of them, and at the first time pytest rewrites what each file asserts.
    """
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    first = int(worker["workerid"][2:]) * len(names) // worker["workercount"]
    for name in names[first:] + names[:first]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # said when it is collected
            importlib.import_module(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        given = getattr(item, "callspec", None)
        on_server = given is not None and given.params.get("each_store") == "postgresql"
        if on_server or "server" in getattr(item, "fixturenames", ()):
            item.add_marker("server")


def pytest_collection_finish() -> None:
    # Thousands of tests are there to the end: no collection of garbage need look at them again.
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("NexusLIMS")
    for version in ("2.8.0", "2.5.1"):
        group.addoption(
            f"--nexuslims-{version.replace('.', '-')}",
            metavar="PYTHON",
            help=f"interpreter of an environment with NexusLIMS {version} and this package in it "
            f"(.ci/nexuslims-environment makes one)",
        )
    group.addoption(
        "--nexuslims-sources",
        metavar="FOLDER",
        type=Path,
        help="folder with the unpacked source distributions of NexusLIMS 2.3.0, 2.4.1, 2.8.0 "
        "(.ci/nexuslims-sources makes it)",
    )
    group.addoption(
        "--interop-seconds",
        type=float,
        default=15,
        metavar="SECONDS",
        help="how long both programs work on one file at the same time",
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, started for the tests of this process that ask for one."""
    reason = why_none()
    if reason:
        pytest.skip(reason)
    server = Server()
    try:
        server.make_template()
        yield server
    finally:
        server.remove()


@pytest.fixture
def each_store(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test twice: on SQLite, and on PostgreSQL unless it is marked `only_sqlite(reason)`.

    `new_store` and `memory_store` of the helpers then open the one or the other.
    """
    kind: str = request.param
    alone = request.node.get_closest_marker("only_sqlite")
    if alone and kind != "sqlite":
        pytest.skip(f"SQLite only: {alone.args[0]}")
    if kind == "sqlite":
        yield kind
    else:
        with stores_on(request.getfixturevalue("server")):
            yield kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "each_store" in metafunc.fixturenames:
        metafunc.parametrize("each_store", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def server_url(server: Server) -> Iterator[str]:
    """The URL of a new database of the server, at the head revision and empty."""
    with server.database() as url:
        yield url


# -- for the tests of restores ---------------------------------------------------------


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup, in a folder of its own."""
    (tmp_path / "backups").mkdir()
    return build(tmp_path / "backups" / "backup.db", mark="backed up")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of the database, empty yet."""
    home = tmp_path / "home"
    home.mkdir()
    return home
