"""URLs of states in files: a folder's name is never read as part of the URL."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable_servers.state import backend

ROOT = Path("/srv/shop")
NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=8
)


@given(st.lists(NAMES.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3))
def test_any_folder_is_read_back(names: list[str]) -> None:
    """By us, and by whoever parses it as the CLI does; its options stay options."""
    folder = Path("/", *names)
    url = backend.make_file_url(folder)
    assert backend.find_file_folder(url, ROOT) == folder
    assert backend.normalize(url, ROOT) == f"file://{folder}"
    parts = urlsplit(url)
    assert (unquote(parts.path), parts.query, parts.fragment) == (
        str(folder),
        "metadata=skip",
        "",
    )


def test_a_name_that_is_no_text_is_read_back() -> None:
    """A file system takes any bytes."""
    folder = Path(os.fsdecode(b"/srv/caf\xe9"))
    assert backend.find_file_folder(backend.make_file_url(folder), ROOT) == folder


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///srv/C%23/state", "/srv/C#/state"),
        ("file:///srv/C#/state", "/srv/C"),
        ("file:///srv/state?metadata=skip", "/srv/state"),
        ("file://states/one", "/srv/shop/states/one"),
        ("file://./states", "/srv/shop/states"),
        ("file://~/states", str(Path.home() / "states")),
    ],
)
def test_a_users_url_is_read_as_the_cli_reads_it(url: str, folder: str) -> None:
    """A relative path from the project, the user's home, and a fragment that the CLI drops."""
    assert backend.find_file_folder(url, ROOT) == Path(folder)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("file://./st", "file:///srv/C%23/a%2541/st"),
        ("file://st%20x?metadata=skip&a=b", "file:///srv/C%23/a%2541/st%20x?metadata=skip&a=b"),
        ("file:///srv/state", "file:///srv/state"),
        ("file://~/state", "file://~/state"),
        ("s3://bucket/C#", "s3://bucket/C#"),
    ],
)
def test_a_relative_path_stays_in_its_checkout(url: str, whole: str) -> None:
    """The CLI alone would read the checkout `C#` as `C`, and write the state there."""
    assert backend.find_whole_url(url, Path("/srv/C#/a%41")) == whole
