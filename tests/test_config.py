"""Where the database and the instruments' data are: the environment, `.env`, the default."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from helpers.platforms import no_root
from helpers.support import file_of, instrument, memory_store
from hypothesis import given, settings
from hypothesis import strategies as st
from platformdirs import user_data_path

from nexuslims_store import Store, StoreError, config, default_path
from nexuslims_store.config import (
    data_root,
    dump_line,
    hide_passwords,
    is_url,
    origin_of_default_path,
    require_file,
    restore_line,
    sql_folder,
)

FOUND = {"NX_DB_PATH": default_path, "NX_INSTRUMENT_DATA_PATH": data_root}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with neither variable set."""
    for variable in FOUND:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_env(text: str) -> None:
    Path(".env").write_bytes(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("variable", FOUND)
def test_the_environment_goes_before_the_file(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(f"{variable}=/from/file\n")
    assert FOUND[variable]() == Path("/from/file")
    monkeypatch.setenv(variable, "")
    assert FOUND[variable]() == Path("/from/file")
    monkeypatch.setenv(variable, "/from/environment")
    assert FOUND[variable]() == Path("/from/environment")


LINES = [
    ("{}=/data/n.db", "/data/n.db"),
    ("{}=/data/n.db # mine", "/data/n.db"),
    ("{}=/data/n#1.db", "/data/n#1.db"),
    ("{}=#1.db", "#1.db"),
    ("  export  {} = /data/n.db  ", "/data/n.db"),
    ("export\t{}=n.db", "n.db"),
    ("'{}'='/data/it\\'s # \"n\".db' # mine", '/data/it\'s # "n".db'),
    ('{}="/data/\\"n\\" # 1.db"', '/data/"n" # 1.db'),
    ('{}="tab\\tnew\\n\\q"', "tab\tnew\n\\q"),
    ('{}="over\nlines"', "over\nlines"),
    ("{}=/with a space/n.db", "/with a space/n.db"),
    ("{}=/data/a=b.db", "/data/a=b.db"),
    ("{}=/first.db\n{}=/last.db", "/last.db"),
    ("{}=/data/\udcff.db", "/data/\udcff.db"),
    ("\ufeff{}=/after/a/mark.db", "/after/a/mark.db"),
    ("{}=/dos.db\r\nNEXT=1\r\n", "/dos.db"),
    ("{}=n\u00e4chste/\u6b21.db", "n\u00e4chste/\u6b21.db"),
    ("BAD LINE\n=\n'x\n{}=/data/n.db\n\"", "/data/n.db"),
    ('COST="$5"\nUNTIDY=${{\n{}=/data/n.db', "/data/n.db"),
    ('# {}=/not.db\nOTHER="\n{}=/not.db\n"\n{}=/data/n.db', "/data/n.db"),
    ('OTHER="x" y\n{}=/data/n.db', "/data/n.db"),
]


@pytest.mark.parametrize(("text", "value"), LINES)
@pytest.mark.parametrize("variable", FOUND)
def test_what_a_file_says(variable: str, text: str, value: str) -> None:
    write_env(text.format(*[variable] * 3))
    assert str(FOUND[variable]()) == value
    write_env(text.format(*[variable.lower()] * 3))
    assert str(FOUND[variable]()) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "# NX_DB_PATH=/x", "OTHER=/x", "NX_DB_PATH=", "NX_DB_PATH", "NX_DB_PATH= # x"),
        *("NX_DB_PATH=''", 'NX_DB_PATH=""', "NX_DB_PATH=/x\nNX_DB_PATH=", "XNX_DB_PATH=/x"),
        *("export\n", "'", "NX_DB_PATH_=/x", '"NX_DB_PATH"=/x', "export NX DB_PATH=/x"),
    ],
)
def test_a_file_that_says_nothing_of_the_database(text: str) -> None:
    write_env(text)
    assert Path(default_path()).name == "nexuslims.db"


@pytest.mark.parametrize(
    "text",
    [
        *("{}=$HOME/n.db", "{}=${{HOME}}/n.db", "{}='$HOME/n.db'", '{}="a$b"'),
        *('{}="/data', "{}='/data\nOTHER=1", '{}="/data" and more', "{} /data", "{}='a'b"),
    ],
)
@pytest.mark.parametrize("variable", FOUND)
def test_what_cannot_be_meant_is_refused(variable: str, text: str) -> None:
    write_env("COST=$5\n" + text.format(variable))
    with pytest.raises(StoreError, match=f"\\.env sets {variable}") as caught:
        FOUND[variable]()
    assert str(Path.cwd() / ".env") in str(caught.value)
    if "$" in text:
        assert f"export {variable}" in str(caught.value)
    for word in {"HOME", "more"} & set(re.findall(r"\w+", text)):
        assert word in str(caught.value)


def test_a_home_folder_is_written_out(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    write_env("NX_DB_PATH=~/n.db")
    assert default_path() == folder / "n.db"
    write_env("NX_DB_PATH=~no-such-user/n.db")
    with pytest.raises(StoreError, match=r"~no-such-user.*\.env"):
        default_path()


def test_what_is_no_file_is_not_read() -> None:
    if sys.platform == "win32":
        pytest.skip("named pipes are a thing of POSIX")
    os.mkfifo(".env")
    assert Path(default_path()).name == "nexuslims.db"
    os.remove(".env")
    os.mkdir(".env")  # many have a virtual environment of this name
    assert Path(default_path()).name == "nexuslims.db"


@no_root
def test_a_file_that_may_not_be_read_is_named(folder: Path) -> None:
    write_env("NX_DB_PATH=/data/n.db")
    os.chmod(".env", 0)
    with pytest.raises(StoreError, match=r"\.env.*NX_DB_PATH.*permissions"):
        default_path()


def test_a_store_and_a_command_find_it(folder: Path) -> None:
    (folder / "data").mkdir()
    write_env("NX_DB_PATH=data/n.db\n")
    done = subprocess.run(
        [sys.executable, "-m", "nexuslims_store", "migrate"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with Store() as store:
        assert os.path.samefile(file_of(store), folder / "data" / "n.db")


def test_the_instrument_of_a_file_is_found_with_it(folder: Path) -> None:
    write_env(f"NX_INSTRUMENT_DATA_PATH='{folder}'")
    titan = instrument(filestore_path="Titan")
    with memory_store(titan) as store:
        assert store.instruments.find_by_path(folder / "Titan" / "a.dm3") == titan


def test_nothing_is_imported_for_those_who_have_no_file() -> None:
    code = (
        "import sys; from nexuslims_store import default_path; default_path();"
        "assert 'nexuslims_store.dotenv' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


UNSET = user_data_path("nexuslims") / "nexuslims.db"

pieces = st.sampled_from(
    [
        *("NX_DB_PATH", "export ", "OTHER", "=", " = ", "'", '"', "#", " #", "\\", "\\n", "\\'"),
        *("\n", "\r\n", "\t", " ", "/data/n.db", "a", "export", "\x0b", "\u2028", "\ufeff"),
    ]
)


@settings(max_examples=300)
@given(st.lists(pieces, max_size=12).map("".join))
def test_it_is_read_as_python_dotenv_reads_it(text: str) -> None:
    write_env(text)
    with open(".env", encoding="utf-8-sig") as file:
        bindings = list(parse_stream(file))
    expected = dotenv_values(".env", interpolate=False).get("NX_DB_PATH")
    try:
        found: str | None = str(default_path())
    except StoreError:
        # What python-dotenv passes over with a warning, where the path is in that line.
        assert any(one.error and "NX_DB_PATH" in one.original.string for one in bindings)
    else:
        assert found == str(Path(expected or UNSET)), bindings


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_the_password_of_a_server_is_not_shown(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is asked where it is, and there is none.
    address = f"{scheme}://user:secret@host.invalid:1/db?hostaddr=127.0.0.1"
    monkeypatch.setenv("NX_DB_PATH", address)
    done = subprocess.run(
        [sys.executable, "-m", "nexuslims_store", "--db", address, "status"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    for path in (None, address):
        with pytest.raises(StoreError, match=f"{scheme}://user@host|psycopg") as caught:
            Store(path)
        assert "secret" not in str(caught.value)
    assert "secret" not in done.stdout + done.stderr


# -- addresses of servers --------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        *("postgresql://db/n", "POSTGRES://db/n", "postgresql:n", "postgres:n", "\t mysql:/db/n"),
        *("host=db", "hostaddr=::1", "port=1", "user=x", "dbname=n", "Password=x", "x+y.z-1://n"),
    ],
)
def test_an_address_is_no_path_of_a_file_and_is_not_repeated(given: str) -> None:
    with pytest.raises(StoreError) as caught:
        require_file(given, "the backup")
    assert str(caught.value).startswith(
        "the backup is no path of an SQLite file, but the address of a server; that of a Postgr"
    )
    assert given not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        *("nexuslims.db", "C:/data/n.db", "C:\\data\\n.db", "postgresql", "postgresqlx:n", "a:b"),
        *("myhost=db", "hosts=1", "x/postgresql:n", "host =db", "9x:/n", "sslmode=x", "x_y:/n"),
    ],
)
def test_a_file_may_be_called_nearly_so(given: str) -> None:
    require_file(given, "the backup")
    require_file(Path(given), "the backup")


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("postgresql://", True),
        ("postgres://db", True),
        ("postgresql:/db", False),
        ("Postgres://db", False),
        (" postgres://db", False),
        (b"postgres://db", False),
        (Path("postgres://db"), False),
        (None, False),
    ],
)
def test_a_url_is_a_text_that_begins_as_one(path: object, is_one: bool) -> None:
    assert is_url(path) is is_one


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no postgresql://ada:se:cr@et@db/n!", "no postgresql://ada@db/n!"),
        ("postgres:/ada:secret@db", "postgres:/ada@db"),
        ("postgresql://:secret@db", "postgresql://@db"),
        ("postgresql://ada@db:1/n", "postgresql://ada@db:1/n"),
        ("http://ada:known@db", "http://ada:known@db"),
        ("password=secret user=ada", "password=… user=ada"),
        ("'?sslpassword=secret&x=1'", "'?sslpassword=…&x=1'"),
        ('"password=secret"', '"password=…"'),
        ("password=", "password="),
        ("postgresql://a:b@x postgresql://c:d@y", "postgresql://a@x postgresql://c@y"),
    ],
)
def test_a_message_shows_no_password(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown


def test_a_command_for_a_server_has_its_address_in_quotes_and_no_password() -> None:
    url = "postgresql://ada:secret@db/it's?password=secret"
    shown = shlex.quote("postgresql://ada@db/it's")
    assert dump_line(url) == (f"pg_dump --format=custom --file=nexuslims.dump --dbname={shown}")
    assert restore_line(url) == (
        f"pg_restore --clean --if-exists --single-transaction --dbname={shown} nexuslims.dump"
    )


# -- where things are ------------------------------------------------------------------


def test_where_the_default_is_from_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert origin_of_default_path() == "the user's data folder, as NX_DB_PATH is not set"
    write_env("NX_DB_PATH=/data/n.db")
    assert origin_of_default_path() == f"NX_DB_PATH in {Path.cwd() / '.env'}"
    monkeypatch.setenv("NX_DB_PATH", "~no-such-user/n.db")
    assert origin_of_default_path() == "NX_DB_PATH in the environment"
    with pytest.raises(StoreError, match=r"is '~no-such-user/n.db' in the environment, and there"):
        default_path()


def test_only_the_database_may_be_on_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, found in (
        ("NX_DB_PATH", "postgresql://db/n"),
        ("NX_INSTRUMENT_DATA_PATH", Path("postgresql:/db/n")),
    ):
        monkeypatch.setenv(variable, "postgresql://db/n")
        assert FOUND[variable]() == found


def test_who_has_no_folder_for_the_data_is_told_what_to_set() -> None:
    with pytest.raises(StoreError, match=r"is not known: set .* NX_INSTRUMENT_DATA_PATH, or give"):
        data_root()


def test_who_has_no_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_data_path", none)
    with pytest.raises(StoreError) as caught:
        default_path()
    says = "this user has no home folder to keep the database in; set NX_DB_PATH, or give a path"
    assert str(caught.value) == says
    assert caught.value.for_command == f"{says} (--db)"
    monkeypatch.setenv("NX_DB_PATH", "n.db")
    assert default_path() == Path("n.db")


def test_the_sql_is_in_the_package_or_beside_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    package = folder / "package"
    monkeypatch.setattr(config, "__file__", str(package / "config.py"))
    find = sql_folder.__wrapped__
    inside, beside = package / "sql", folder / "sql"
    with pytest.raises(StoreError) as caught:
        find()
    assert f"looked in {inside} and {beside}; install the package again" in str(caught.value)
    for place in (beside, inside):
        place.mkdir(parents=True)
        with pytest.raises(StoreError) if place == beside else contextlib.nullcontext():
            find()
        (place / "migrations").mkdir()
        assert find() == place
