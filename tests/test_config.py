"""Where the database and the instruments' data are: the environment, `.env`, the default."""

from __future__ import annotations

import os
import re
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

from nexuslims_store import Store, StoreError, default_path
from nexuslims_store.config import data_root

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
    address = f"{scheme}://user:secret@host.invalid/db"
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
