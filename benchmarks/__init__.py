"""Measures the gate against its budgets, each beside a peer or a limit in the same run.

    python -m benchmarks                   all of them, about four minutes; writes docs/benchmarks.md and .png
    python -m benchmarks stores imports    some of them, by the name of their file

One file a topic, each with a function `rows()`. Nothing here is a test: whoever times something in the test suite
gets a test that fails on a busy machine.
"""
