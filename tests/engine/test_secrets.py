"""Secrets for a bake: read by the bake alone, found nowhere else."""

import json

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
