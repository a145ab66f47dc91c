"""The topics, in the order of the table, and how one of them is run."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

from benchmarks.harness import Row

TOPICS = (
    "imports",
    "unprotected_asgi",
    "unprotected_wsgi",
    "served",
    "route_table",
    "protected_post",
    "native_challenges",
    "cap",
    "altcha",
    "memory_store",
    "sqlite_store",
    "redis_store",
    "token_search",
    "upload",
    "sidecar",
    "sidecar_uploads",
    "upstream",
    "simulation",
)


def measure(topic: str) -> list[Row]:
    """In a process of its own: no topic finds the heap or the caches that another one left."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(rows_of, topic).result()


def rows_of(topic: str) -> list[Row]:
    logging.getLogger("caputchin_gate").setLevel(logging.ERROR)  # a store in memory is what we want here
    return list(import_module(f"benchmarks.{topic}").rows())
