"""Mutations: small changes of the code, each of which some test should notice.

`python -m tests.mutation --help`, from the checkout, in an environment with the extra `dev`. A tool
of the project's own, because half of what it changes is SQL, sampled by a seed, and run with only
the tests that reach the place.
"""
