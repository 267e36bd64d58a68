"""A PostgreSQL server of the tests' own: started once for all processes, thrown away at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from helpers.platforms import is_root
from helpers.support import HEAD, SQL, TABLES

try:
    import psycopg
except ImportError:
    psycopg = None  # type: ignore[assignment]

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "listen_addresses": "''",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "log_timezone": "UTC",
}
LONGEST = 120  # seconds; on a busy machine a server has taken 40 to be there
PATIENTLY = ("-s", "-w", "-t", f"{LONGEST}")
_TEMPLATE = "nxs_template"
# Whoever is still there would be waited for. DELETE, as TRUNCATE makes new files.
_EMPTY = [
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    *(f"DELETE FROM {table}" for table in reversed(TABLES)),
    "ALTER TABLE session_log ALTER COLUMN id_session_log RESTART",
    "ALTER TABLE upload_log ALTER COLUMN id RESTART",
    "ALTER TABLE external_user_identifiers ALTER COLUMN id RESTART",
    "DELETE FROM alembic_version",
    f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')",
]
_SHAPE = """
    SELECT
        (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_constraint),
        (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_proc),
        (SELECT count(*) FROM pg_rewrite),
        (SELECT count(*) FROM pg_class WHERE relpersistence = 'p')
"""
_numbers = count()


def why_none() -> str:
    """Why no server can be started here, empty where one can."""
    if sys.platform == "win32":
        return "Windows has no Unix sockets to reach a PostgreSQL server by"
    if _program("initdb") is None:
        return "there is no initdb of PostgreSQL here"
    return "" if psycopg else "psycopg is not installed"


def _program(name: str) -> str | None:
    """Where a program of the server is: Debian keeps those off the PATH."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or next(map(str, newest), None)


class Server:
    """A server in a folder of its own, reached by a socket there."""

    def __init__(self, **settings: str) -> None:
        # A short name: that of a socket may have some hundred bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="nxs-pg-"))
        self.data = self.folder / "data"
        self.user: str | None = None
        self._free: list[str] = []
        self._administrators: dict[str, psycopg.Connection] = {}
        self._shape: object = None
        if is_root():  # the server refuses to be root's
            self.user = "nobody"
            shutil.chown(self.folder, self.user)
        self.folder.chmod(0o755)
        self._run("initdb", "-D", self.data, "-U", "nexus", "-E", "UTF8", "--locale=C.UTF-8",
                  "-A", "trust", "--no-sync")  # fmt: skip
        lines = [f"{name} = {value}" for name, value in (SETTINGS | settings).items()]
        lines.append(f"unix_socket_directories = '{self.folder}'")
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join(lines))
        # Ends the server and removes its folder when its input ends: here, or with this process,
        # however that is killed.
        self._warden = subprocess.Popen(
            ["/bin/sh", "-c", 'read _; "$0" stop -s -D "$1/data" -m immediate; rm -rf "$1"',
             str(_program("pg_ctl")), str(self.folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd="/",
            start_new_session=True,
        )  # fmt: skip
        self.start()

    def url(self, database: str = "postgres", **options: str) -> str:
        given = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://nexus@/{database}?host={self.folder}{given}"

    def start(self) -> None:
        self._run("pg_ctl", "start", *PATIENTLY, "-D", self.data, "-l", self.folder / "log")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", *PATIENTLY, "-D", self.data, "-m", mode)

    def remove(self) -> None:
        for administrator in self._administrators.values():
            administrator.close()
        self._warden.communicate()

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the server's administrator."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def make_template(self) -> None:
        """Make the empty database at the head revision of which each test gets a copy."""
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        folder = SQL / "postgresql" / "migrations"
        scripts = [*sorted(folder.glob("[0-9]*[a-z].sql")), folder / "post-apply.sql"]
        self.execute(
            *(
                script.read_text(encoding="utf-8")
                for script in scripts
                if not script.name.endswith(".rollback.sql")
            ),
            database=_TEMPLATE,
        )

    def take(self) -> str:
        """Return the URL of a database at the head revision, empty, for the caller alone."""
        number = next(_numbers)
        name = self._free.pop() if self._free else f"nxs_{number}"
        if name not in self._administrators:
            self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
            self._administrators[name] = psycopg.connect(self.url(name), autocommit=True)
            self._shape = self._administrators[name].execute(_SHAPE).fetchone()
        return self.url(name, application_name=f"test{number}")  # no two are the same

    def give_back(self, url: str) -> None:
        """Empty a database for the next to take, which is much less work than a new one."""
        name = url.partition("@/")[2].partition("?")[0]
        administrator = self._administrators[name]
        with contextlib.suppress(psycopg.Error):  # another table refers to these
            administrator.execute(";".join(_EMPTY).encode())
            if administrator.execute(_SHAPE).fetchone() == self._shape:
                self._free.append(name)
                return
        self._administrators.pop(name).close()
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A `with` block that has a database for itself."""
        url = self.take()
        try:
            yield url
        finally:
            self.give_back(url)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [str(_program(program)), *map(str, arguments)],
            user=self.user,
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # which the server keeps, so that a pipe would never end
            stderr=subprocess.DEVNULL,
            timeout=LONGEST + 30,  # so that the program itself gives up first
            check=False,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else ''}")
