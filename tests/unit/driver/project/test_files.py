"""What is read of a stack's file."""

from pathlib import Path

import pytest

from immutable_servers.driver.project.files import read_values
from immutable_servers.errors import SettingsError


def test_the_values_of_a_stack_lose_their_namespace(project: Path) -> None:
    """The namespace is the project's name, whatever the user called it; others are not ours."""
    text = "config:\n  shop:target: local\n  aws:region: eu\n  services: {web: {}}\n"
    (project / "Pulumi.dev.yaml").write_text(text)
    assert read_values(project, "dev") == {"target": "local", "services": {"web": {}}}


def test_a_stack_file_that_is_no_yaml_is_a_settings_error(project: Path) -> None:
    """A user's slip shows the line, not a traceback."""
    (project / "Pulumi.dev.yaml").write_text("config: [")
    with pytest.raises(SettingsError, match="line 1"):
        read_values(project, "dev")
