"""A stack's values are what the engine hands over, whoever reads them."""

from pathlib import Path
from typing import Any

import pytest

from immutable_servers.errors import SettingsError
from immutable_servers.settings.stack_files import choose_values, read_stack_values

WHOLE = """config:
  shop:target: local
  shop:images: {base: {}}
  shop:services: {web: {image: base, env: {A: b}}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project named shop with a whole stack."""
    write(tmp_path, WHOLE)
    return tmp_path


def write(root: Path, stack: str, project: str = "") -> None:
    """Write the stack's file, and `config` of the project's."""
    (root / "Pulumi.yaml").write_text(f"name: shop\nruntime: python\n{project}")
    (root / "Pulumi.dev.yaml").write_text(stack)


def read(root: Path) -> dict[str, Any]:
    """Read the stack's values."""
    return read_stack_values(root, "dev")


def read_facts(root: Path) -> list[str]:
    """Return the facts of the refusal."""
    with pytest.raises(SettingsError) as caught:
        read(root)
    return list(caught.value.facts)


def test_keys_lose_their_namespace_and_others_are_left(root: Path) -> None:
    """With the project's name, without one, and with the engine's old middle word."""
    write(root, "config:\n  shop:a: x\n  b: w\n  shop:config:c: z\n  aws:region: eu\n")
    assert read(root) == {"a": "x", "b": "w", "c": "z"}


def test_only_structures_keep_their_types(root: Path) -> None:
    """The engine hands texts over; nothing is a key without a value."""
    write(root, "config:\n  a: 5\n  b: true\n  c:\n  d: [5, true, null, 1.0]\n  e: 2.50\n")
    assert read(root) == {"a": "5", "b": "true", "d": [5, True, None, 1], "e": "2.5"}


def test_json_text_is_a_structure(root: Path) -> None:
    """`pulumi config set shop:images '{…}'` writes it; both readers take it."""
    write(root, """config:\n  shop:images: '{"base": {}}'\n  shop:a: '[x'\n""")
    assert read(root) == {"images": {"base": {}}, "a": "[x"}


def test_unclear_values_are_refused_together(root: Path) -> None:
    """Each has its path, its value and how to write it; keys and aliases count, others do not."""
    text = (
        "x: &x {OLD: 0777}\nconfig:\n  aws:skip: yes\n  shop:services:\n"
        "    web: {env: {F: yes, AT: 12:30}, checks: [on]}\n    no: {env: *x}\n"
    )
    write(root, text)
    assert [fact.split(" means ")[0].split(" is no number")[0] for fact in read_facts(root)] == [
        "services.web.env.F: 'yes'",
        "services.web.env.AT: '12:30'",
        "services.web.checks[0]: 'on'",
        "services.no:",
        "services.no.env.OLD: '0777'",
    ]


def test_a_key_that_is_there_twice_is_refused(root: Path) -> None:
    """With its namespace and without, the engine takes either."""
    write(root, "config:\n  shop:a: x\n  a: y\n")
    assert read_facts(root) == ["a: is written twice, with its namespace and without"]


def test_a_misspelled_namespace_is_refused(root: Path) -> None:
    """The key that is meant is named."""
    write(root, "config:\n  shp:target: local\n")
    (fact,) = read_facts(root)
    assert fact.startswith("shp:target: is no key of the project shop, as Pulumi.yaml names it")
    assert fact.endswith("did you mean shop:target?")


def test_keys_of_another_project_are_refused(root: Path) -> None:
    """After a project was renamed in Pulumi.yaml alone, each of its keys is named."""
    write(root, WHOLE.replace("shop:", "immutable-servers:"))
    assert [fact.rpartition("; ")[2] for fact in read_facts(root)] == [
        f"did you mean shop:{key}?" for key in ("target", "images", "services")
    ]


def test_another_package_may_have_keys_of_our_names(root: Path) -> None:
    """When ours are all there, `github:target` is somebody else's."""
    write(root, f"{WHOLE}  github:target: x\n")
    assert read(root)["target"] == "local"


def test_a_secret_in_a_setting_is_refused(root: Path) -> None:
    """At any depth, and as a whole section: env is handed over in the open."""
    secret = "{secure: v1:abc}"  # noqa: S105 - what Pulumi writes
    write(root, WHOLE.replace("A: b", f"TOKEN: {secret}, L: x"))
    (fact,) = read_facts(root)
    assert fact.startswith("services.web.env.TOKEN: is encrypted, and would be handed over")
    assert "v1:abc" not in fact
    write(root, f"config:\n  shop:target: local\n  shop:services: {secret}\n")
    assert read_facts(root)[0].startswith("services: is encrypted")


def test_a_secret_that_an_image_names_is_let_through(root: Path) -> None:
    """A bake gets it; nobody else reads it."""
    write(root, WHOLE.replace("{}", "{secrets: [token]}") + "  shop:token: {secure: v1:abc}\n")
    assert read(root)["token"] == {"secure": "v1:abc"}


DEFAULTS = """config:
  defaults:
    value:
      target: local
      images: {base: {}, app: {parent: base}}
      services:
        web: {image: app, checks: [a, b], env: {A: a, B: b}, canary: {weight: 5}}
"""


def test_defaults_lie_below_a_stack(root: Path) -> None:
    """Mappings are merged at every depth; a list, a text or null replaces its default."""
    text = (
        "config:\n  services: {web: {checks: [c], env: {B: x}, canary: null}, api: }\n  images:\n"
    )
    write(root, text, DEFAULTS)
    assert read(root) == {
        "target": "local",
        "images": {"base": {}, "app": {"parent": "base"}},
        "services": {
            "web": {"image": "app", "checks": ["c"], "env": {"A": "a", "B": "x"}, "canary": None},
            "api": {},
        },
    }


def test_an_entry_without_a_value_is_its_default(root: Path) -> None:
    """`web:` names the service and changes nothing."""
    write(root, "config:\n  services:\n    web:\n", DEFAULTS)
    assert read(root)["services"]["web"]["image"] == "app"


def test_a_stack_can_replace_the_defaults(root: Path) -> None:
    """As with every key of Pulumi's own project file: the stack's goes first, whole."""
    write(root, "config:\n  target: aws\n  defaults: {}\n", DEFAULTS)
    assert read(root) == {"target": "aws"}


def test_defaults_that_are_no_mapping_are_refused(root: Path) -> None:
    """With the rule."""
    write(root, WHOLE, "config:\n  defaults: {value: [web]}\n")
    assert read_facts(root) == ["defaults: must be a mapping, with what a stack file may hold"]


def test_unclear_defaults_are_refused_by_their_path(root: Path) -> None:
    """It shows that they are not in the stack's file."""
    write(root, WHOLE, "config:\n  defaults: {value: {target: no}}\n")
    assert read_facts(root)[0].startswith("defaults.target: 'no' means true or false")


def test_project_values_are_read_as_the_engine_reads_them(root: Path) -> None:
    """`default` goes before `value`, and a short form is a value; a stack's key goes first."""
    more = (
        "config:\n  a: {default: x, value: y}\n  b: {value: [1]}\n  c: z\n  target: {default: q}\n"
    )
    write(root, WHOLE, more)
    found = read(root)
    assert [found[key] for key in ("a", "b", "c", "target")] == ["x", [1], "z", "local"]


HANDED = {
    "target": "local",
    "images": '{"base":{}}',
    "services": '{"web":{"env":{"A":"b"},"image":"base"}}',
}


def test_the_program_takes_what_file_and_engine_agree_on(root: Path) -> None:
    """In the order of the file, which people know."""
    found = choose_values(root, "dev", HANDED, set())
    assert found == read(root)
    assert list(found["services"]["web"]) == ["image", "env"]


def test_other_values_of_the_engine_stop_the_run(root: Path) -> None:
    """An environment of Pulumi ESC or `--config-file` would be unknown to status and rollback."""
    more = {**HANDED, "services": HANDED["services"].replace('"b"', '"c"'), "prices": "{}"}
    with pytest.raises(SettingsError) as caught:
        choose_values(root, "dev", more, set())
    assert caught.value.facts == ("different: prices", "different: services.web.env.A")
    assert "--config-file" in caught.value.todo


def test_without_a_file_the_engine_s_values_are_taken(root: Path) -> None:
    """A program that is run from elsewhere has nothing to compare with; secrets are refused."""
    (root / "Pulumi.dev.yaml").unlink()
    assert choose_values(root, "dev", HANDED, set())["services"]["web"]["image"] == "base"
    with pytest.raises(SettingsError) as caught:
        choose_values(root, "dev", HANDED, {"services"})
    assert caught.value.facts[0].startswith("services: is encrypted")
