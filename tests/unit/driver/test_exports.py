"""What `immutable_servers.driver` offers to a user's own Python."""

from importlib import import_module

import pytest

from immutable_servers import driver


@pytest.mark.parametrize("name", driver.__all__)
def test_each_public_name_can_be_imported(name: str) -> None:
    """The table of modules that are imported late names each one where it lies."""
    assert sorted(driver.__all__) == sorted(driver.MODULES)
    found = getattr(driver, name)
    assert found.__module__ == f"immutable_servers.driver.{driver.MODULES[name]}"
    assert getattr(import_module(found.__module__), name) is found
