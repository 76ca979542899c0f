"""What the tests of the program share: they declare more in one process than any program does."""

import gc
import pickle
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def plain_pickler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what Pulumi does to `pickle` for each dynamic resource, around what it did last.

    Classes that are stored by value, such as those of the instant target, would run out of stack.
    https://github.com/pulumi/pulumi/blob/sdk/v3.259.0/sdk/python/lib/pulumi/dynamic/dynamic.py
    """
    pickler: Any = pickle._Pickler
    monkeypatch.setattr(pickler, "_batch_setitems", pickler._batch_setitems)


@pytest.fixture(scope="session", autouse=True)
def _collected() -> Iterator[None]:
    """Have tasks that failed, and that nobody asked, say so before pytest imports more.

    What they say needs Python's parser. In Python 3.11 that ends the parsing of a module during
    which they are collected: https://github.com/python/cpython/issues/106905
    """
    yield
    gc.collect()
