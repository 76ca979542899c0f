"""Secrets for a bake: read by the bake alone, found nowhere else."""

import json

import pytest

from harness.engine.project import Project

WORD = "correct-horse-battery"


def test_a_secret_reaches_the_bake_and_no_state(project: Project) -> None:
    """The bake is handed the secret; no image, generation or output holds it."""
    project.images["app"]["secrets"] = ["token"]
    project.write_settings()
    failed = project.up()
    assert failed.code != 0
    assert "pulumi config set --secret token" in failed.text
    project.pulumi("config", "set", "--secret", "token", WORD, "-s", "dev")
    done = project.up()
    assert done.code == 0, done.text
    (bake,) = [e for e in done.events if e["event"] == "bake" and e["image"] == "app"]
    assert bake["secrets"] == {"token": len(WORD)}
    assert WORD not in done.text
    shown = project.pulumi("stack", "export", "--show-secrets", "-s", "dev").stdout
    resources = json.loads(shown)["deployment"]["resources"]
    holders = [one["type"] for one in resources if WORD in json.dumps(one)]
    # The engine keeps a stack's configuration with the provider, encrypted.
    assert set(holders) <= {"pulumi:providers:pulumi-python"}
    project.ask_three_questions()


@pytest.mark.parametrize("file", ["Pulumi.dev.yaml", "Pulumi.yaml"])
def test_what_the_setting_bake_hands_over_is_in_no_state(
    project: Project, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """A value of the run's environment reaches the bake; a changed one changes nothing.

    So it does where the setting is a default of all stacks.
    """
    monkeypatch.setenv("MIRROR", f"https://{WORD}@packages.example.com")
    project.edit("packer/app/instant.pkr.hcl", 'variable "bake" {\n  default = ""\n}')
    if file == project.stack_file.name:
        project.pulumi("config", "set", "--path", "bake.env.MIRROR", "$MIRROR", "-s", "dev")
    else:
        project.edit(file, "config: {defaults: {value: {bake: {env: {MIRROR: $MIRROR}}}}}")
    done = project.up()
    assert done.code == 0, done.text
    (bake,) = [e for e in done.events if e["event"] == "bake" and e["image"] == "app"]
    assert bake["secrets"].keys() == {"bake"}
    state = project.pulumi("stack", "export", "--show-secrets", "-s", "dev").stdout
    assert "$MIRROR" in state
    assert WORD not in done.text + state
    monkeypatch.setenv("MIRROR", "https://another@packages.example.com")
    assert project.up().changes == {}
    project.ask_three_questions()
