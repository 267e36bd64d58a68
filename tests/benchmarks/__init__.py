"""How far this package is from the floor: the same work by hand with sqlite3 and tuples.

Run it from the checkout with `python -m tests.benchmarks`; `--help` lists the options. It
reports, and never fails because something is slow.
"""
