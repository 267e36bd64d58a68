"""Runs inside NexusLIMS's environment and starts NexusLIMS programs quickly, one by one.

NexusLIMS takes half a second to import, and the tests run it more than a thousand times. So one
process imports it once, and forks for each program: every program runs in a process of its own
that has opened nothing yet. `nexuslims.py` is the other end of the pipe.

A request is a line of JSON: script, argv, env, stdout, stderr (the last two are files to write).
The answer is a line with the exit status, negative for a signal, as in `subprocess`.
"""

import json
import os
import runpy
import sys
import traceback
from typing import Any, Never

import alembic.command  # noqa: F401 -- like the others, only to be there after the fork
import nexusLIMS.cli.migrate
import nexusLIMS.db.session_handler
import nexusLIMS.instruments  # noqa: F401

assert sys.platform != "win32"


def run(request: dict[str, Any]) -> Never:
    """Become the program. Never returns."""
    status = 1
    try:
        os.environ.update(request["env"])
        for number, name in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
            opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY)
            os.dup2(opened, number)
            os.close(opened)
        sys.argv = [request["script"], *request["argv"]]
        runpy.run_path(request["script"], run_name="__main__")
        status = 0
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 -- as the interpreter does at the end of a program
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(json.loads(line))
    _, wait_status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(wait_status), flush=True)
