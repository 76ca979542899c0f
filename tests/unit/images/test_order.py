"""What a provider reads from the configuration that the engine gives to it."""

import json
from typing import Any

import pytest

from immutable_servers.images.order import read_bake
from immutable_servers.settings.models import BakeSettings

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("handed", "expected"),
    [
        ({}, BakeSettings()),
        ({"bake": {"proxy": PROXY}}, BakeSettings(proxy=PROXY)),
        ({"defaults": {"bake": {"proxy": PROXY}}}, BakeSettings(proxy=PROXY)),
        (
            {
                "bake": {"proxy": None, "env": {"INDEX": "own"}},
                "defaults": {"bake": {"proxy": PROXY, "env": {"INDEX": "shared", "MORE": "it"}}},
            },
            BakeSettings(env={"INDEX": "own", "MORE": "it"}),
        ),
        ({"defaults": {"target": "local"}}, BakeSettings()),
    ],
)
def test_the_setting_bake_lies_over_its_default(
    handed: dict[str, Any], expected: BakeSettings
) -> None:
    """As every setting does; the engine hands both over, each as JSON."""
    texts = {key: json.dumps(value) for key, value in handed.items()}
    assert read_bake(texts.get) == expected
