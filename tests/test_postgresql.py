"""What a store on a PostgreSQL server has of its own: its URL, how it is opened, what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.servers import Server
from helpers.support import HEAD, SESSION, add_pair, instrument

from nexuslims_store import (
    BackupError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    Store,
    StoreError,
    UnknownRevisionError,
    default_path,
)
from nexuslims_store.config import without_password

# -- the URL ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://", "postgresql://"),
        ("postgresql://db.example.com/nexus", "postgresql://db.example.com/nexus"),
        ("postgres://nexus@db/nexus", "postgres://nexus@db/nexus"),
        ("postgresql://nexus:secret@db:5432/nexus", "postgresql://nexus@db:5432/nexus"),
        ("postgresql://nexus:se?cr:et@[::1]:5432/n", "postgresql://nexus@[::1]:5432/n"),
        ("postgresql://:secret@db/n", "postgresql://@db/n"),
        ("postgresql://a,b:1/n?service=x&password=secret", "postgresql://a,b:1/n?service=x"),
        ("postgresql:///n?ssl%70assword=secret", "postgresql:///n"),
        # libpq would take a part of the password for a host, a port or a database, and say so.
        ("postgresql://nexus:secr@et@db/n", None),
        ("postgresql://nexus:secr/et@db/n", None),
        ("postgresql://nexus:sec?r/et@db/n", None),
        ("postgresql://nexus:secret", None),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str | None) -> None:
    if shown is not None:
        assert without_password(url) == shown
        return
    with pytest.raises(StoreError, match="%40") as caught:
        Store(url)
    assert "ec" not in str(caught.value).replace("characters", "")


def test_the_environment_may_say_the_url(
    server_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NX_DB_PATH", server_url)
    assert default_path() == server_url
    with Store() as store:
        assert store.url == server_url
    monkeypatch.delenv("NX_DB_PATH")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"NX_DB_PATH={server_url}\n")
    with Store() as store:
        assert store.url == server_url
    (tmp_path / ".env").write_text("NX_DB_PATH=postgresql://nexus:$secret@db/n\n")
    with pytest.raises(StoreError, match=r"\$") as caught:
        Store()
    assert "secret" not in str(caught.value)


def test_a_path_is_no_url() -> None:
    with pytest.raises(StoreError, match="in a str and no Path"):
        Store(Path("postgresql://db/nexus"))


def test_a_text_that_no_server_takes_is_named(server_url: str) -> None:
    with Store(server_url) as store, store.transaction():
        for text, what in (
            ("a\0", "text with a NUL"),
            ("a\ud800", r"text that is not UTF-8 \(a lone surrogate, after 'a'\)"),
        ):
            with pytest.raises(StoreError, match=f"^{what} cannot be "):
                store.sessions.get(text)
        assert store.sessions.get("a") is None  # the transaction goes on


def given(store: Store) -> dict[str, str]:
    """What libpq was given for the connection of a store."""
    connection: Any = store.connection
    parameters: dict[str, str] = connection.info.get_parameters()
    return parameters


def setting(store: Store, name: str) -> str:
    found: tuple[str] = store.connection.execute(f"SHOW {name}").fetchone()
    return found[0]


# -- opening ---------------------------------------------------------------------------


def test_a_store_of_a_server_has_a_url_and_no_path(server_url: str) -> None:
    with Store(f"{server_url}&password=secret") as store:
        assert (store.path, store.url, store.revision) == (None, server_url, HEAD)
        assert repr(store) == f"<Store {server_url!r}>"
        assert store.connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(BackupError, match=f"pg_dump .*{re.escape(server_url)}"):
            store.backup("anywhere")
    with pytest.raises(StoreError, match="closed; open it again"):
        store.instruments.list()


def test_what_one_computer_stores_another_reads(server_url: str) -> None:
    with Store(server_url) as one, Store(server_url, read_only=True) as other:
        one.instruments.add(instrument())
        with one.transaction():
            add_pair(one)
            assert other.sessions.list_to_build() == []
        (session,) = other.sessions.list_to_build()
        assert session.session_identifier == SESSION


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotFoundError, match="no connection to postgresql://n@/n") as caught:
        Store(f"postgresql://n:secret@/n?host={tmp_path}")
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize(
    ("timeout", "to_connect", "for_a_lock"),
    [(0, "2", "1ms"), (1.2504, "2", "1251ms"), (2.5, "3", "2500ms"), (5000, "3600", "5000s")],
)
def test_a_server_is_waited_for_as_long_as_said(
    server_url: str, timeout: float, to_connect: str, for_a_lock: str
) -> None:
    with Store(server_url, timeout=timeout) as store:
        assert given(store)["connect_timeout"] == to_connect  # libpq takes 1 for 2, 0 for ever
        assert setting(store, "lock_timeout") == for_a_lock


def test_what_is_given_goes_before_what_the_package_gives(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(f"{server_url}&connect_timeout=7&keepalives_idle=9") as store:
        assert (given(store)["connect_timeout"], given(store)["keepalives_idle"]) == ("7", "9")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "8")
    with Store(server_url) as store:
        assert given(store).get("connect_timeout", "8") == "8"


@pytest.mark.parametrize("read_only", [True, False])
def test_how_a_connection_is_set(server: Server, server_url: str, read_only: bool) -> None:
    with Store(server_url.partition("&")[0], read_only=read_only) as store:
        told = given(store)
        assert told["fallback_application_name"] == "nexuslims-store"
        assert [told[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == [
            *("30", "10", "3")
        ]
        assert setting(store, "application_name") == "nexuslims-store"
        assert (setting(store, "TimeZone"), setting(store, "jit")) == ("UTC", "off")
        assert setting(store, "plan_cache_mode") == "force_generic_plan"
        assert setting(store, "default_transaction_read_only") == ("on" if read_only else "off")


def test_a_statement_is_prepared_once_whatever_its_numbers(server_url: str) -> None:
    with Store(server_url) as store:
        prepared = []
        for number in (1, 40_000, 2**40):  # to psycopg each of another type
            assert store.session_logs.remove(number) is False
            connection: Any = store.connection
            found = connection.execute(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%DELETE%'",
                prepare=False,
            )
            prepared += found.fetchone()
        assert prepared == [0, 1, 1]


def test_a_url_with_an_option_that_there_is_none_of_is_not_repeated(server_url: str) -> None:
    with pytest.raises(StoreError, match="cannot be read; see PostgreSQL's manual") as caught:
        Store(f"{server_url}&password=secret&no_such_option=1")
    assert caught.value.__suppress_context__
    assert "secret" not in str(caught.value)


def test_a_store_whose_connection_was_lost(server: Server, server_url: str) -> None:
    with Store(server_url) as store:
        connection: Any = store.connection
        server.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
        for use in (store.instruments.list, lambda: store.connection):
            with pytest.raises(StoreError, match=r"was lost \(.*Open the store again"):
                use()


def test_a_savepoint_takes_the_lock_and_one_to_read_none(server_url: str) -> None:
    with (
        Store(server_url) as one,
        Store(server_url, timeout=0.05) as other,
        Store(server_url, read_only=True, timeout=0.05) as reader,
    ):
        one.connection.execute("BEGIN")
        with one.transaction():
            with pytest.raises(DatabaseLockedError):
                other.instruments.add(instrument())
            with reader.transaction(), reader.transaction():
                assert reader.instruments.list() == []
        one.connection.execute("ROLLBACK")


def test_a_server_that_is_too_old_is_named(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psycopg.ConnectionInfo.server_version", 149_999)
    with pytest.raises(StoreError, match=r"is PostgreSQL \d.*; nexuslims_store needs 15 or newer$"):
        Store(server_url)
    monkeypatch.setattr("psycopg.ConnectionInfo.server_version", 150_000)
    Store(server_url).close()


def test_a_database_that_is_not_ready(server: Server, server_url: str) -> None:
    with pytest.raises(NotANexusLIMSDatabaseError, match=r"has no tables.*migrate"):
        Store(server.url())
    database = re.findall(r"/(nxs_\w+)\?", server_url)[0]
    server.execute("INSERT INTO alembic_version (version_num) VALUES ('v9_9_9')", database=database)
    with pytest.raises(UnknownRevisionError, match="v9_9_9"):
        Store(server_url)


def test_who_has_no_server_needs_no_psycopg() -> None:
    code = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"  # as where it is not installed
        "from nexuslims_store import Store, StoreError\n"
        "Store(':memory:').close()\n"
        "try:\n    Store('postgresql://nexus:secret@db/nexus')\n"
        "except StoreError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'nexuslims-store[postgresql]'" in done.stdout
    assert "secret" not in done.stdout
