"""What a store on a PostgreSQL server has of its own: its URL, how it is opened, what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.servers import Server
from helpers.support import HEAD, SESSION, add_pair, instrument

from nexuslims_store import (
    BackupError,
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
