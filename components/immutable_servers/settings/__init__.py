"""The settings of a stack: parsed once into frozen models, every mistake reported at once."""

from immutable_servers.settings.load import load_settings
from immutable_servers.settings.models import (
    CanarySettings,
    ImageSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)
from immutable_servers.settings.schema import render_json_schema

__all__ = [
    "CanarySettings",
    "ImageSettings",
    "RouteSettings",
    "ServiceSettings",
    "Settings",
    "load_settings",
    "render_json_schema",
]
