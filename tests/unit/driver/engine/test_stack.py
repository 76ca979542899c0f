"""How `pulumi` is called for a stack."""

from pathlib import Path

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
