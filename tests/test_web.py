"""The README's web service, under a real server with many clients at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.readme import block_below

from nexuslims_store import RecordStatus, Store
from nexuslims_store.testing import add_session, make_store

httpx = pytest.importorskip("httpx", reason="needs the extra `web`")
# Not imported here, where each worker would: they take long, and run in another process.
pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("fastapi", "uvicorn"))), reason="needs the extra `web`"
)

CLIENTS = 8
REQUESTS = 4
NO_ANSWER = 0
RUNNING = re.compile(r"running on (http://127\.0\.0\.1:\d+) ")
LONGEST = 60  # seconds


@contextmanager
def serving(app: str, folder: Path, database: Path) -> Iterator[str]:
    """Serve an app by uvicorn in a process of its own; yield its address."""
    (folder / "service.py").write_text(app, encoding="utf-8")
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            # At a port that it finds free itself: one that was free may be another's by now.
            [sys.executable, "-m", "uvicorn", "service:app", "--port", "0"],
            cwd=folder,
            env={**os.environ, "NX_DB_PATH": str(database)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            while (found := RUNNING.search(said := (folder / "log").read_text())) is None:
                assert server.poll() is None, said
                time.sleep(0.05)
            yield found[1]
        finally:
            server.terminate()
            server.wait(LONGEST)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "nexuslims.db"
    with make_store(path=path) as store:
        for number in range(CLIENTS):
            add_session(
                store,
                f"https://nemo.example.com/api/usage_events/?id={number}",
                status=RecordStatus.ERROR,
            )
        withheld = "https://nemo.example.com/api/usage_events/?id=77"
        add_session(store, withheld, status=RecordStatus.NO_CONSENT)
    return path


def ask_all(address: str) -> Counter[tuple[str, int]]:
    """Let eight clients ask for everything at once; return how often each answer came."""

    def ask(number: int) -> list[tuple[str, int]]:
        requests = {
            "counts": ("GET", "/sessions/counts"),
            "session": ("GET", f"/sessions/{number}"),
            "missing": ("GET", "/sessions/999"),
            "reset": ("POST", f"/sessions/{number}/reset"),
            "without consent": ("POST", "/sessions/77/reset"),
        }
        answers = []
        with httpx.Client(base_url=address, timeout=LONGEST) as client:
            for name, request in list(requests.items()) * REQUESTS:
                try:
                    answers.append((name, client.request(*request).status_code))
                except httpx.HTTPError:  # the server hung up
                    answers.append((name, NO_ANSWER))
        return answers

    with ThreadPoolExecutor(CLIENTS) as clients:
        return Counter(answer for found in clients.map(ask, range(CLIENTS)) for answer in found)


@pytest.mark.slow
def test_every_request_of_many_clients_is_answered(tmp_path: Path, database: Path) -> None:
    with serving(block_below("web service"), tmp_path, database) as address:
        found = ask_all(address)
        with httpx.Client(base_url=address, timeout=LONGEST) as client:
            session = client.get("/sessions/3").json()
            counts = client.get("/sessions/counts").json()
            refused = client.post("/sessions/77/reset").json()
    times = CLIENTS * REQUESTS
    assert found == {
        ("counts", 200): times,
        ("session", 200): times,
        ("missing", 404): times,
        ("reset", 200): times,
        ("without consent", 409): times,
    }, (tmp_path / "log").read_text()
    assert counts == {"TO_BE_BUILT": CLIENTS, "NO_CONSENT": 1}
    assert "must not be built without the user's consent" in refused["detail"]
    assert session["session_identifier"].endswith("?id=3")
    assert re.match(r"\d{4}-\d\d-\d\dT09:00:00-05:00", session["dt_from"])
    with Store(database, read_only=True) as store:
        assert store.sessions.counts_by_status() == counts


@pytest.mark.slow
def test_a_lock_that_is_not_given_back_is_a_503(tmp_path: Path, database: Path) -> None:
    app = block_below("web service").replace("any_thread=True", "any_thread=True, timeout=0.1")
    with (
        serving(app, tmp_path, database) as address,
        Store(database) as store,
        store.transaction(),
    ):
        answer = httpx.post(f"{address}/sessions/3/reset", timeout=LONGEST)
    assert answer.status_code == 503
    assert "another program" in answer.json()["detail"]


@pytest.mark.slow
def test_the_clients_would_notice_a_store_for_one_thread(tmp_path: Path, database: Path) -> None:
    app = block_below("web service").replace("Store(any_thread=True)", "Store()")
    with serving(app, tmp_path, database) as address:
        found = ask_all(address)
    assert found["counts", 200] < CLIENTS * REQUESTS
