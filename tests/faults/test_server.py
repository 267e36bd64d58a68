"""A PostgreSQL server that goes away, says no, is full, or is asked by many at once."""

# ruff: noqa: PT012, PT017, SIM117 -- what goes wrong inside a block is the point

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from helpers.interruptions import alarm, interrupted
from helpers.platforms import needs_posix, posix
from helpers.servers import Server, why_none
from helpers.support import (
    PID,
    SESSION,
    Clock,
    add_pair,
    contents,
    instrument,
    log,
    stores_on,
)
from test_transactions import MUTATORS, filled

from nexuslims_store import (
    DatabaseLockedError,
    DatabaseNotFoundError,
    DuplicateError,
    ReadOnlyError,
    StorageFullError,
    Store,
    StoreError,
    UnknownInstrumentError,
)

psycopg = pytest.importorskip("psycopg")
postgresql = pytest.importorskip("nexuslims_store.postgresql")


# -- the connection --------------------------------------------------------------------


def _unix_socket() -> socket.socket:
    if sys.platform == "win32":
        needs_posix()
    return socket.socket(socket.AF_UNIX)


class Proxy:
    """Stands between a client and the server, and cuts the connection when told.

    Attributes
    ----------
    cut_after
        How many messages of the client still go to the server.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.folder = folder
        self.cut_after = 10**9
        self._target = str(server.folder / ".s.PGSQL.5432")
        self._listener = _unix_socket()
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, _unix_socket() as server, contextlib.suppress(OSError):
            server.connect(self._target)
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if source is client:
                        self.cut_after -= 1
                    if not data or self.cut_after < 0:
                        return
                    (server if source is client else client).sendall(data)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="nxs-") as folder:  # short, as a socket's name must be
        proxy = Proxy(server, Path(folder))
        yield proxy
        proxy.close()


@pytest.fixture
def url(server: Server, tmp_path: Path) -> Iterator[str]:
    """A database with something for every method to change."""
    with stores_on(server):
        yield str(filled(tmp_path))


SEVERAL_STATEMENTS = [
    *("instruments.rename", "instruments.store_many", "session_logs.insert_many", "sessions.add"),
    *("sessions.delete", "sessions.reset", "sessions.claim", "sessions.finish, claimed"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVERAL_STATEMENTS)
def test_a_connection_cut_anywhere_leaves_all_or_nothing(
    server: Server, url: str, proxy: Proxy, name: str
) -> None:
    before = contents(url)
    for messages in range(100):
        with Store(url.replace(str(server.folder), str(proxy.folder)), clock=Clock()) as store:
            proxy.cut_after = messages
            try:
                MUTATORS[name](store)
            except StoreError as error:
                assert "connection to the server was lost" in str(error)
                with pytest.raises(StoreError, match="was lost"):  # and no silent second try
                    store.instruments.list()
            else:
                break
            finally:
                proxy.cut_after = 10**9
        wait_until_alone(server, url)
        # What was cut off while it was committed may be stored; half of it never is.
        if contents(url) != before:
            break
    assert messages > 2
    assert contents(url) != before


def wait_until_alone(server: Server, url: str) -> None:
    """Wait for the server to notice that a client is gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(1000):
            (others,) = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle'"
            ).fetchone() or (0,)
            if not others:
                return
            time.sleep(0.01)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that nobody else is hurt by; what it has committed it keeps."""
    reason = why_none()
    if reason:
        pytest.skip(reason)
    server = Server(synchronous_commit="on", fsync="on")
    try:
        server.make_template()
        yield server
    finally:
        server.remove()


@pytest.mark.slow
def test_a_server_that_is_stopped_and_started(own_server: Server) -> None:
    url = own_server.take()
    with Store(url, clock=Clock()) as store:
        store.instruments.add(instrument())
        add_pair(store)
        before = contents(url)
        events = store.session_logs.iter_all()
        next(events)
        with pytest.raises(StoreError, match="was lost"), store.transaction():
            store.sessions.claim()
            own_server.stop()
            store.sessions.claim()
        with pytest.raises(StoreError, match="was lost"):
            list(events)
        with pytest.raises(DatabaseNotFoundError, match="see that the server runs"):
            Store(url)
        own_server.start()
        with pytest.raises(StoreError, match="Open the store again"):
            store.sessions.claim()
    with Store(url, clock=Clock()) as store:
        assert contents(url) == before
        assert store.sessions.claim() is not None


@pytest.mark.parametrize("bad", ["an encoding", "a version"])
def test_a_server_that_will_not_do_keeps_no_connection(
    server: Server, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"bad_{os.getpid()}"
    encoding = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0" if bad == "an encoding" else ""
    server.execute(f"CREATE DATABASE {name} {encoding}")
    try:
        if bad == "a version":
            with psycopg.connect(server.url()) as here:
                monkeypatch.setattr(
                    postgresql.connection, "_MINIMUM_SERVER", here.info.server_version
                )
                connect = partial(postgresql.connection.connect, read_only=True, timeout=30)
                with contextlib.closing(connect(server.url(name))):
                    pass
                newer = here.info.server_version + 1
                monkeypatch.setattr(postgresql.connection, "_MINIMUM_SERVER", newer)
        says = "keeps its texts as LATIN1" if encoding else "needs 15 or newer"
        with pytest.raises(StoreError, match=says) as caught:  # whose traceback keeps all
            Store(server.url(name))
        assert caught.value.__cause__ is None
        server.execute(f"DROP DATABASE {name}")  # which waits for some seconds, and is refused
    finally:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


# -- what the server says --------------------------------------------------------------


def test_a_lock_is_waited_for_as_long_as_said(url: str) -> None:
    with Store(url) as one, Store(url, timeout=0.3) as other:
        with one.transaction():
            began = time.monotonic()
            with pytest.raises(DatabaseLockedError, match=r"still after 0\.3 s"):
                other.sessions.claim()
            assert 0.2 < time.monotonic() - began < 20
            other.instruments.list()  # nobody waits to read
        assert other.sessions.claim() is not None


def test_a_statement_that_takes_too_long_for_the_server(url: str) -> None:
    with Store(url) as one, Store(url) as other:
        other.connection.execute("SET statement_timeout = 100")
        with one.transaction(), pytest.raises(StoreError, match="statement_timeout"):
            other.sessions.claim()
        other.connection.execute("SET statement_timeout = 0")
        assert other.sessions.claim() is not None


def test_a_server_that_only_reads(url: str) -> None:
    with Store(f"{url}&options=-c%20default_transaction_read_only%3Don") as store:
        assert store.sessions.list_to_build() != []
        before = contents(url)
        for mutate in (MUTATORS["sessions.claim"], MUTATORS["instruments.add"]):
            with pytest.raises(ReadOnlyError, match="replica"):
                mutate(store)
        assert contents(url) == before


def test_a_role_without_rights(server: Server, url: str) -> None:
    name = f"reader_{os.getpid()}"
    reader = url.replace("nexus@", f"{name}@")
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {name} LOGIN")
        try:
            with pytest.raises(ReadOnlyError, match="have the owner of the database GRANT"):
                Store(reader)
            administrator.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
            with Store(reader) as store:
                assert store.sessions.list_to_build() != []
                with pytest.raises(ReadOnlyError, match="GRANT"), store.transaction():
                    store.instruments.add(instrument("New"))
                with store.transaction():
                    with pytest.raises(ReadOnlyError):
                        store.instruments.add(instrument("New"))
                    store.instruments.list()  # the transaction goes on
        finally:
            administrator.execute(f"DROP OWNED BY {name}")
            administrator.execute(f"DROP ROLE {name}")


@pytest.mark.slow
def test_a_full_disk_of_the_server(own_server: Server) -> None:
    small = own_server.folder / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m,mode=777", "tmpfs", str(small)]
    if (
        own_server.user is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("a small file system can be mounted by root alone")
    try:
        ballast = small / "ballast"
        ballast.write_bytes(bytes(8_000_000))
        folder = small / "tables"
        folder.mkdir()
        shutil.chown(folder, own_server.user)
        own_server.execute(
            f"CREATE TABLESPACE small LOCATION '{folder}'",
            "CREATE DATABASE small TEMPLATE nxs_template TABLESPACE small",
        )
        with Store(own_server.url("small")) as store:
            store.instruments.add(instrument())
            add_pair(store)
            number = count()
            with pytest.raises(StorageFullError, match="free"):
                while True:
                    store.session_logs.insert_many(
                        log(session_identifier=f"{next(number)} {'x' * 500}") for _ in range(1000)
                    )
            ballast.unlink()
            # The last thousand is not there, whole or in part; and it goes on.
            assert store.session_logs.count() % 1000 == 2
            assert len(store.session_logs.list_for_session(SESSION)) == 2
            add_pair(store, "afterwards")
    finally:
        own_server.stop()
        subprocess.run(["umount", str(small)], check=True)


# -- many at once, and interrupted -----------------------------------------------------

BUILDER = """
import sys
from datetime import UTC, datetime
from nexuslims_store import SessionLog, Store
with Store(sys.argv[1]) as store:
    input()
    for number in range(5):  # the same for all
        for event in ("START", "END"):
            store.session_logs.insert(SessionLog(
                session_identifier=f"same {number}", instrument=sys.argv[2], event_type=event,
                timestamp=datetime(2026, 1, 1, tzinfo=UTC), record_status="COMPLETED"))
        store.external_ids.store("ned", "nemo", "43")
    while (session := store.sessions.claim()) is not None:
        print(session.session_identifier)
        store.sessions.finish(session, "COMPLETED")
"""


@pytest.mark.slow
def test_eight_processes_do_everything_once(server_url: str) -> None:
    with Store(server_url) as store:
        store.instruments.add(instrument())
        with store.transaction():
            for number in range(24):
                add_pair(store, f"session {number}")
        builders = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", BUILDER, server_url, PID],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(8)
        ]
        for builder in builders:
            assert builder.stdin is not None
            builder.stdin.write("\n")
            builder.stdin.flush()
        built = [line for one in builders for line in one.communicate(timeout=120)[0].splitlines()]
        assert [one.returncode for one in builders] == [0] * 8
        assert sorted(built) == sorted(f"session {number}" for number in range(24))
        assert store.session_logs.count() == 24 * 3 + 5 * 2
        assert len(store.external_ids.list()) == 1


@posix
@pytest.mark.parametrize("inside", [True, False], ids=["in a transaction", "alone"])
def test_a_signal_that_raises_while_a_lock_is_waited_for(url: str, inside: bool) -> None:
    def ring() -> None:
        raise InterruptedError("the alarm of this program")

    with alarm(ring) as set_alarm, Store(url) as one, Store(url) as other:
        with one.transaction():
            with pytest.raises(InterruptedError):
                set_alarm(0.2)
                if inside:
                    with other.transaction():
                        raise AssertionError
                other.sessions.claim()
            assert other.instruments.list() != []
        with one.transaction():  # no lock is left
            one.instruments.add(instrument("New"))
        assert other.sessions.claim() is not None


@pytest.mark.slow
def test_a_transaction_interrupted_anywhere_leaves_nothing_open(url: str) -> None:
    def nested() -> None:
        with store.transaction():
            store.instruments.add(instrument("A"))
            with contextlib.suppress(ZeroDivisionError), store.transaction():
                store.instruments.add(instrument("B"))
                raise ZeroDivisionError
            with store.transaction():
                store.instruments.add(instrument("C"))

    with Store(url) as store, Store(url, timeout=0.5) as other:
        before = len(other.instruments.list())
        for at in count(step=3):
            going_on = interrupted(nested, at)
            assert not store._database.in_transaction
            stored = [one.name for one in other.instruments.list() if len(one.name) == 1]
            assert stored in ([], ["A", "C"])
            for pid in stored:
                other.instruments.remove(pid)  # which waits for no lock
            if not going_on:
                break
        assert at > 50
        assert len(other.instruments.list()) == before


@pytest.mark.slow
def test_the_outer_transaction_goes_on_wherever_the_inner_was_interrupted(url: str) -> None:
    """PostgreSQL ends a whole transaction that would go back to a savepoint which is not there."""

    def inner() -> None:
        with store.transaction():
            store.instruments.add(instrument("A"))

    with Store(url) as store:
        for at in count():
            with store.transaction():
                going_on = interrupted(inner, at)
                store.instruments.add(instrument("B"))
            store.instruments.remove("B")
            if not going_on:
                break
            with contextlib.suppress(UnknownInstrumentError):
                store.instruments.remove("A")  # the interrupt came after its end
        assert at > 20


def test_what_runs_in_the_midst_of_a_statement_waits_for_none(url: str) -> None:
    """A handler of a signal, or the garbage collector: psycopg would wait for itself, for ever."""
    if sys.platform == "win32":
        needs_posix()
    told: list[str] = []
    rung = threading.Event()
    here = threading.get_ident()

    def suspended(store: Store) -> Iterator[None]:
        with store.transaction():
            store.instruments.add(instrument("Lost"))
            yield

    def ring() -> None:
        try:
            with pytest.raises(StoreError, match="in whose midst") as caught:
                store.instruments.list()
            told.append(str(caught.value))
            generators.clear()  # which ends its transaction, or would
        finally:
            rung.set()

    def interrupt() -> None:
        """Ring while the statement waits for a lock, then let it go on."""
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while other.execute(waits).fetchone() == (0,):
            pass
        signal.pthread_kill(here, signal.SIGALRM)
        rung.wait(60)
        other.execute("SELECT pg_advisory_unlock(1)")

    with alarm(ring), Store(url) as store, psycopg.connect(url, autocommit=True) as other:
        before = contents(url)
        generators = [suspended(store)]
        next(generators[0])
        other.execute("SELECT pg_advisory_lock(1)")
        with warnings.catch_warnings(), ThreadPoolExecutor(1) as executor:
            warnings.simplefilter("ignore")  # the generator's error has nowhere to go
            interrupting = executor.submit(interrupt)
            store.connection.execute("SELECT pg_advisory_lock(1)")
        interrupting.result()
        assert len(told) == 1
        assert not store._database.in_transaction
        store.instruments.add(instrument("New"))
        assert store.instruments.get("Lost") is None
    assert len(contents(url)["instruments"]) == len(before["instruments"]) + 1


def test_an_error_in_one_of_many_is_told_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with Store(url) as store:
        logs = [log(session_identifier=str(number), instrument="Nobody's") for number in range(9)]
        with pytest.raises(UnknownInstrumentError):
            store.session_logs.insert_many(logs)
    assert caplog.records == []


def test_an_error_inside_a_transaction_of_the_users_own(url: str) -> None:
    with Store(url) as store:
        store.connection.execute("BEGIN")
        with pytest.raises(DuplicateError):
            store.instruments.add(instrument())
        store.instruments.add(instrument("New"))
        store.connection.execute("COMMIT")
        assert store.instruments.get("New") is not None
        with pytest.raises(StoreError, match="rolled the open transaction back"):
            with store.transaction():
                with contextlib.suppress(psycopg.Error):
                    store.connection.execute("SELECT 1 / 0")
                store.instruments.list()
        with (
            pytest.raises(StoreError, match="rolled the open transaction back"),
            store.transaction(),
        ):
            with contextlib.suppress(psycopg.Error):
                store.connection.execute("SELECT 1 / 0")
        assert store.instruments.list() != []
