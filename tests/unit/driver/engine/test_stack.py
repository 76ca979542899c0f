"""How `pulumi` is called for a stack."""

from pathlib import Path

import pytest

from immutable_servers.driver.engine.stack import load_stack


def test_the_cli_gets_a_stack_file_without_salt_unless_it_holds_secrets(project: Path) -> None:
    """A salt belongs to one passphrase; a secret needs the one that it was made with."""
    file = project / "Pulumi.dev.yaml"
    file.write_text("config:\n  shop:target: local\nencryptionsalt: v1:abc\n")
    words = load_stack(project, "dev").render_command(["up"], config=True)
    copy = Path(words[words.index("--config-file") + 1])
    assert copy.read_text() == "config:\n  shop:target: local\n"
    file.write_text("config:\n  shop:word:\n    secure: v1:xyz\nencryptionsalt: v1:abc\n")
    words = load_stack(project, "dev").render_command(["up"], config=True)
    assert "--config-file" not in words


def test_pulumi_s_variables_for_flags_have_no_part(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`PULUMI_OPTION_EXPECT_NO_CHANGES` fails a run that deploys; a backend is the user's."""
    monkeypatch.setenv("PULUMI_OPTION_EXPECT_NO_CHANGES", "true")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///state")
    environment = load_stack(project, "dev").environment
    assert not [name for name in environment if name.startswith("PULUMI_OPTION_")]
    assert environment["PULUMI_BACKEND_URL"] == "file:///state"
