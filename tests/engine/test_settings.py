"""Driver, program and engine see the same settings, or a run stops before it begins."""

import json
from itertools import islice

import pytest

from harness.checkout import Outcome
from harness.engine.project import Project
from harness.stack_texts import make_values
from immutable_servers.errors import SettingsError
from immutable_servers.settings.stack_files import parse_text, read_stack_values

SEED, VALUES = 13, 400
WORD = "hunter2s3cr3t"
READING = (
    ("status", "dev"),
    ("preview", "dev", "--offline"),
    ("preview", "dev"),
    ("up", "dev"),
    ("rollback", "dev", "web", "--why", "slow", "--yes"),
    ("resume", "dev", "web"),
    ("replace", "dev", "web", "--why", "slow", "--yes"),
    ("retire", "dev", "--yes"),
    ("sweep", "dev", "--yes"),
    ("verify", "web", "--stack", "dev"),
    ("logs", "web", "--stack", "dev"),
    ("update", "dev"),
)


def assert_refused(done: Outcome, *words: str) -> None:
    """Assert that a command said all of this, as a mistake in the settings."""
    assert done.code == 2, done.text
    assert not [word for word in words if word not in done.text], done.text


def refuse_plainly(project: Project, *words: str) -> None:
    """Assert that `pulumi up` says all of this, and registers nothing."""
    done = project.up()
    done.assert_failed("SettingsError", *words)
    assert {step.split()[1] for step in done.steps} <= {"pulumi:Stack", "Stack"}, done.steps
    assert not (project.world / "fleets").exists()


def test_both_readers_read_a_file_alike(project: Project) -> None:
    """What our reader takes is what the engine hands over, for texts that people and fuzz write.

    Texts that ours refuses are left out: nothing is run with them.
    """
    taken: list[str] = []
    for text in islice(make_values(SEED), VALUES):
        project.stack_file.write_text(f"config:\n  key:{text}")
        try:
            read = read_stack_values(project.root, "dev")
        except SettingsError:
            continue
        if read:  # the engine warns of keys without a value, before its JSON
            taken.append(text)
    assert len(taken) > VALUES // 3
    body = "".join(f"  key-{number}:{text}" for number, text in enumerate(taken))
    project.stack_file.write_text(f"config:\n{body}")
    asked = json.loads(project.pulumi("config", "--json", "-s", "dev").stdout)
    handed = {key.partition(":")[2]: parse_text(one["value"]) for key, one in asked.items()}
    ours = read_stack_values(project.root, "dev")
    assert json.dumps(ours, sort_keys=True) == json.dumps(handed, sort_keys=True)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_every_command_refuses_what_readers_read_differently(
    project: Project, words: tuple[str, ...]
) -> None:
    """With path and value, and before it asks the engine for anything."""
    text = project.stack_file.read_text().replace("GREETING: hello", "GREETING: yes")
    project.stack_file.write_text(text.replace("web:", "no:"))
    facts = (
        "services.no.env.GREETING: 'yes' means true or false",
        "services.no: means true or false",
    )
    assert_refused(project.drive(*words), *facts, "in quotes for the text")


def test_the_program_refuses_what_readers_read_differently(project: Project) -> None:
    """Also when `pulumi up` is run plainly: the program reads the stack's file too."""
    text = project.stack_file.read_text().replace("GREETING: hello", "GREETING: 2026-01-31")
    project.stack_file.write_text(text)
    refuse_plainly(project, "services.web.env.GREETING: '2026-01-31' is a time to some")


def test_a_service_no_is_one_service_everywhere(project: Project) -> None:
    """Quoted it is a name as any other, for the engine and for each command."""
    project.services = {"no": project.services["web"]}
    project.write_settings()
    assert "'no':" in project.stack_file.read_text()
    done = project.drive("up", "dev")
    assert done.code == 0, done.text
    for words in (("status", "dev"), ("verify", "no", "--stack", "dev")):
        done = project.drive(*words)
        assert (done.code, "no" in done.text) == (0, True), done.text


def test_settings_as_json_text_are_settings(project: Project) -> None:
    """`pulumi config set KEY '{…}'` writes text; engine and driver take it alike."""
    images = json.dumps(project.images)
    project.pulumi("config", "set", "images", images, "-s", "dev")
    assert "'{" in project.stack_file.read_text()
    done = project.drive("up", "dev")
    assert done.code == 0, done.text
    assert project.drive("status", "dev").code == 0


def test_a_secret_in_env_is_refused_and_found_nowhere(project: Project) -> None:
    """Driver and program name its path; no state, log or launch data holds its value."""
    path = "immutable-servers:services.web.env.TOKEN"
    project.pulumi("config", "set", "--secret", "--path", path, WORD, "-s", "dev")
    said = "services.web.env.TOKEN: is encrypted, and would be handed over in the open"
    for words in (("preview", "dev", "--offline"), ("preview", "dev"), ("up", "dev")):
        assert_refused(project.drive(*words), said, "a server fetches its secrets itself")
    refuse_plainly(project, said)
    project.stack_file.rename(project.root / "other.yaml")
    done = project.up("--config-file", "other.yaml")
    done.assert_failed("SettingsError", "services: is encrypted, and would be handed over")
    files = [file for file in project.root.parent.rglob("*") if file.is_file()]
    assert [file for file in files if WORD.encode() in file.read_bytes()] == []


def test_other_settings_for_the_engine_alone_are_refused(project: Project) -> None:
    """`--config-file` with other values would make servers that no command knows."""
    other = project.stack_file.read_text().replace("GREETING: hello", "GREETING: servus")
    (project.root / "other.yaml").write_text(other)
    done = project.up("--config-file", "other.yaml")
    done.assert_failed("SettingsError", "different: services.web.env.GREETING", "--config-file")
    assert not (project.world / "fleets").exists()


def test_defaults_of_the_project_are_settings_of_each_stack(serving: Project) -> None:
    """Engine and driver merge them alike: the same settings, said once, change nothing."""
    web = serving.services["web"]
    shared = {"images": serving.images, "services": {"web": {**web, "env": {}, "keep": 9}}}
    project_file = serving.root / "Pulumi.yaml"
    said = {"config": {"defaults": {"value": shared}}}
    project_file.write_text(f"{project_file.read_text()}config: {json.dumps(said['config'])}\n")
    text = json.dumps(
        {
            "config": {
                "target": "instant",
                "immutable-servers:services": {"web": {"env": web["env"], "keep": web["keep"]}},
                "immutable-servers:instant": serving.render_settings()["instant"],
            }
        }
    )
    serving.stack_file.write_text(text)
    done = serving.up()
    changed = [step for step in done.steps if " pulumi-python " not in step]  # keeps the settings
    assert (done.code, changed) == (0, []), done.text
    done = serving.drive("status", "dev")
    assert (done.code, serving.live() in done.text) == (0, True), done.text
    serving.ask_three_questions()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "target: is missing"),
        ("config:\n  immutable-server:target: local\n", "did you mean immutable-servers:target?"),
        ("config:\n  shop:target: local\n", "did you mean immutable-servers:target?"),
    ],
    ids=["empty", "misspelled", "another project's"],
)
def test_a_stack_file_that_says_nothing_is_refused_in_our_words(
    project: Project, text: str, said: str
) -> None:
    """Three parts and code 2, by the driver, and the same words when `pulumi` is run plainly."""
    (project.root / "Pulumi.scratch.yaml").write_text(text)
    assert_refused(project.drive("preview", "scratch"), said, "What to do: ")
    project.stack_file.write_text(text)
    refuse_plainly(project, said, "What to do: ")


def test_a_certificate_and_shell_letters_arrive_byte_for_byte(project: Project) -> None:
    """From a literal block and quotes in the file to the launch data of a fleet."""
    pem = "".join(f"{line}\n" for line in ("-----BEGIN-----", *["MIIB" * 16] * 38, "-----END-----"))
    word = "a$b ${C} 100% \"q\" 'x' \\ end"
    project.services["web"]["env"] = {"PEM": "P", "D": word}
    project.write_settings()
    block = "".join(f"          {line}\n" for line in pem.splitlines())
    text = project.stack_file.read_text()
    assert "PEM: P\n" in text
    project.stack_file.write_text(text.replace("PEM: P\n", f"PEM: |\n{block}"))
    done = project.up()
    assert done.code == 0, done.text
    (spec,) = (project.world / "fleets").glob("web-*/spec.json")
    assert json.loads(spec.read_text())["launch"]["env"] == {"PEM": pem, "D": word}
