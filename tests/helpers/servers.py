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

from helpers.support import SQL

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
_TEMPLATE = "nxs_template"
_numbers = count()


def why_none() -> str:
    """Why no server can be started here, empty where one can."""
    if sys.platform == "win32":
        return "Windows has no Unix sockets to reach a PostgreSQL server by"
    if _program("initdb") is None:
        return "there is no initdb of PostgreSQL here"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed"
    return ""


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
        if sys.platform != "win32" and os.geteuid() == 0:  # the server refuses to be root's
            self.user = "nobody"
            shutil.chown(self.folder, self.user)
        self.folder.chmod(0o755)
        self._run("initdb", "-D", self.data, "-U", "nexus", "-E", "UTF8", "--locale=C.UTF-8",
                  "-A", "trust", "--no-sync")  # fmt: skip
        lines = [f"{name} = {value}" for name, value in (SETTINGS | settings).items()]
        lines.append(f"unix_socket_directories = '{self.folder}'")
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join(lines))
        self.start()

    def url(self, database: str = "postgres", **options: str) -> str:
        given = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://nexus@/{database}?host={self.folder}{given}"

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-s", "-D", self.data, "-l", self.folder / "log")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-s", "-D", self.data, "-m", mode)

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the server's administrator."""
        import psycopg

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

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A new database at the head revision: its URL."""
        name = f"nxs_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [str(_program(program)), *map(str, arguments)],
            user=self.user,
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # which the server keeps, so that a pipe would never end
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else ''}")
