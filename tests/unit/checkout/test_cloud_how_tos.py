"""docs/how-to of the clouds: their commands, files, links, errors and sums are the project's."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import pytest
import yaml

from harness.checkout import ROOT
from harness.command_lines import find_command_lines, parse
from harness.how_to import Section, read_sections
from immutable_servers.settings import load_settings
from immutable_servers.targets.digitalocean.readiness import ROLES, read_scopes

NAMESPACE = "immutable-servers:"
CODE = "\n".join(
    re.sub(r'"\s*\n\s*f?"', "", file.read_text())
    for pattern in ("*.py", "faults.yaml")
    for file in (ROOT / "components").rglob(pattern)
)


@dataclass(frozen=True)
class Page:
    """A cloud's page.

    Attributes:
        target: The target's name.
        rights: Files of who may do what, below the target's folder.
        region: Of the stack files that it shows.
        shared: Rows of its costs that all generations share; None where it names no prices.
    """

    target: str
    rights: str
    region: str
    shared: int | None

    @property
    def file(self) -> Path:
        """The page itself."""
        return ROOT / f"docs/how-to/{self.target}.md"

    @cached_property
    def text(self) -> str:
        """All that it says."""
        return self.file.read_text(encoding="utf-8")

    @cached_property
    def sections(self) -> dict[str, Section]:
        """What it types and shows."""
        return read_sections(self.file)

    @property
    def stack_files(self) -> list[str]:
        """The stack files that it shows: the least one, and a whole one."""
        steps = [step for one in self.sections.values() for step in one.steps]
        return [step[1] for step in steps if isinstance(step, tuple)]

    def list_rows(self, heading: str) -> list[list[str]]:
        """Return the cells of a section's first table, without its head."""
        (_, section) = self.text.split(f"\n## {heading}\n", 1)
        table = section.partition("\n|")[2].partition("\n\n")[0]
        rows = [row.strip("|").split("|") for row in table.splitlines()[2:]]
        return [[cell.strip() for cell in row] for row in rows]


PAGES = [
    Page("aws", "policies/*.json", "us-east-1", shared=2),
    Page("gcp", "roles/*.yaml", "europe-west3", shared=1),
    Page("digitalocean", "scopes.yaml", "fra1", shared=None),
]
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.target for page in PAGES])


@each_page
def test_every_command_is_one_that_the_driver_accepts(page: Page) -> None:
    """Those of its blocks, and those in its sentences that name a stack."""
    typed = [step for one in page.sections.values() for step in one.steps if isinstance(step, str)]
    named = re.findall(r"`(\./immutable [^`]*prod[^`]*)`", page.text)
    lines = [words for line in [*typed, *named] for words in find_command_lines(line, {})]
    assert {parse(words) for words in lines} >= {
        *("doctor", "update", "preview", "up", "status", "rollback", "resume", "retire"),
        *("sweep", "destroy", "prune"),
    }


@each_page
@pytest.mark.parametrize("number", [0, 1], ids=["least", "whole"])
def test_its_stack_files_are_settings(page: Page, number: int) -> None:
    """Each is read as a stack's file is, with the images and checks that the project ships."""
    values = yaml.safe_load(page.stack_files[number])["config"]
    plain = {key.removeprefix(NAMESPACE): value for key, value in values.items()}
    settings = load_settings(plain, ROOT)
    assert settings.target == page.target
    assert settings.target_settings["region"] == page.region


@each_page
def test_what_it_links_to_exists(page: Page) -> None:
    """Files, and headings of this page and of others."""
    inline = re.findall(r"\]\(([^)\s]+)\)", page.text)
    named = re.findall(r"^\[[^\]]+\]: (\S+)$", page.text, re.MULTILINE)
    missing = []
    for link in [one for one in (*inline, *named) if not one.startswith("https://")]:
        path, _, heading = link.partition("#")
        file = (page.file.parent / path).resolve() if path else page.file
        if not file.exists() or (heading and heading not in find_headings(file)):
            missing.append(link)
    assert missing == []
    labels = {*re.findall(r"(?<!\])\[([\w-]+\.(?:json|yaml))\](?!\(|:)", page.text)}
    assert labels <= {*re.findall(r"^\[([^\]]+)\]:", page.text, re.MULTILINE)}


def find_headings(file: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@each_page
def test_it_names_every_file_of_rights(page: Page) -> None:
    """Who makes the roles leaves none out."""
    files = (ROOT / f"components/immutable_servers/targets/{page.target}").glob(page.rights)
    assert [file.name for file in files if f"[{file.name}]" not in page.text] == []


def test_the_scopes_of_its_tokens_are_those_that_are_tested() -> None:
    """Who makes the tokens by the page has what the calls of the tests need, and no more."""
    page = next(page for page in PAGES if page.target == "digitalocean")
    rows = {row[0].strip("`"): row[1] for row in page.list_rows("Who may do what")}
    said = {role: re.findall(r"`([^`]+)`", scopes) for role, scopes in rows.items()}
    assert said == {role: [*read_scopes(role)] for role in ROLES}


@each_page
def test_the_errors_of_its_table_are_raised(page: Page) -> None:
    """Each of them is in the code, word by word."""
    said = [re.findall(r"`([^`]+)`", row[0])[0] for row in page.list_rows("When a step fails")]
    assert len(said) > 10
    phrases = [re.sub(r" ?(ec2:|compute\.)\.\.\.| for web;.*", "", one) for one in said]
    shared = [re.sub(r"^(AWS|Google|DigitalOcean)\b", "{cloud}", one) for one in phrases]
    pairs = zip(phrases, shared, strict=True)
    assert [one for one, other in pairs if one not in CODE and other not in CODE] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.shared is not None], ids=lambda page: page.target
)
def test_the_sums_of_its_costs_are_right(page: Page) -> None:
    """A month has 730 hours, and what stands beside the standby is what a generation costs."""
    costs = {row[0]: row[1:] for row in page.list_rows("What it costs")}
    parts = []
    for what, (count, each, month) in costs.items():
        price, unit = each.partition(" ")[::2] if each and each[0].isdigit() else ("", "")
        if not unit:
            continue
        number, _, size = count.partition(" of ")
        many = Decimal(number) * Decimal(size.removesuffix(" GiB") or 1)
        exact = many * Decimal(price) * (730 if unit == "an hour" else 1)
        assert abs(exact - Decimal(month)) < Decimal("0.01"), what
        parts.append(exact)
    generation = sum(parts[page.shared :])
    sums = (sum(parts), generation, sum(parts) + generation)
    said = [row[-1].strip("*") for row in list(costs.values())[-3:]]
    assert said == [str(Decimal(one).quantize(Decimal("0.01"))) for one in sums]
