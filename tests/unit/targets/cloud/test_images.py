"""What an image's description says of it, whoever wrote it."""

from collections.abc import Mapping
from typing import Any

import pytest

from immutable_servers.targets.cloud.images import read_lineage


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"parents": {"base": "5c00"}, "digest": "3f2a"}', {"digest": "3f2a"}),
        ('{"parents": ["base"], "digest": "3f2a"}', {"digest": "3f2a"}),
        ('["a list"]', {}),
        ("of somebody", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_a_description_that_somebody_wrote_breaks_nothing(
    text: str | None, said: Mapping[str, Any]
) -> None:
    """It is no lineage, and parents that are none are not there."""
    found = read_lineage(text)
    assert {key: found[key] for key in found if key != "parents"} == said
    assert found["parents"] == ({"base": "5c00"} if "5c00" in (text or "") else {})
