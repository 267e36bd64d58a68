# What people do here; `just` lists it. In an environment made by: pip install -e '.[dev]'

python := `[ -x .venv/bin/python ] && echo .venv/bin/python || echo python3`

_list:
    @just --list --unsorted

# the tests, as the README's test command runs them
test *arguments:
    {{ python }} -m pytest -q -n 3 {{ arguments }}

# the tests without the slow ones and without a server, a minute and a half
fast *arguments:
    {{ python }} -m pytest -q -n 3 \
        -m "not slow and not server and not soak and not interop and not workshop" {{ arguments }}

# style and types, for Linux, macOS and Windows
lint:
    {{ python }} -m ruff check
    {{ python }} -m ruff format --check
    {{ python }} -m mypy --platform linux
    {{ python }} -m mypy --platform darwin --no-warn-unreachable
    {{ python }} -m mypy --platform win32 --no-warn-unreachable

# everything that must hold before a change is accepted, from a fresh checkout of HEAD
ci:
    .ci/run

# the tests of what only developers use: the wheel, benchmarks, the walk to a next revision, types, nohup
workshop *arguments:
    {{ python }} -m pytest -q -n 3 -m workshop {{ arguments }}

# the tests with the real NexusLIMS, in environments that are kept in build/
interop *arguments:
    [ -d build/nexuslims-2.8.0 ] || .ci/nexuslims-environment 2.8.0 build/nexuslims-2.8.0 whole
    [ -d build/nexuslims-2.5.1 ] || .ci/nexuslims-environment 2.5.1 build/nexuslims-2.5.1
    [ -d build/nexuslims-sources ] || .ci/nexuslims-sources build/nexuslims-sources 2.3.0 2.4.1 2.8.0
    {{ python }} -m pytest -q -n 3 -m interop tests/interop \
        --nexuslims-2-8-0=build/nexuslims-2.8.0/bin/python \
        --nexuslims-2-5-1=build/nexuslims-2.5.1/bin/python \
        --nexuslims-sources=build/nexuslims-sources {{ arguments }}

# each row of the README table "How fast" beside the same work by hand, about eight minutes
bench *arguments:
    {{ python }} -m tests.benchmarks {{ arguments }}

# how many lines stand where
house:
    {{ python }} -m tests.house

# changes the code in small ways and names the changes that no test notices
mutate *arguments:
    {{ python }} -m tests.mutation {{ arguments }}

# the pages of the Python interface, from the docstrings, into build/docs; without compat, whose
# instrument_db shows the instruments of the user's own database
docs:
    {{ python }} -m pdoc --docformat numpy --output-directory build/docs nexuslims_store \
        nexuslims_store.migrations nexuslims_store.repository nexuslims_store.testing

# a release: .ci/release says its steps
release version:
    .ci/release {{ version }}
