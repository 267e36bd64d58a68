"""Mutations: small changes of the code, each of which some test should notice.

`python -m tests.mutation --help`, from the checkout, in an environment with the extra `dev`. Known
tools change Python alone, and none takes a sample by a seed or knows which tests reach a line; so
this one is the project's own.
"""
