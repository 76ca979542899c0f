"""Versions and generation ids: pure functions of declared inputs, no network, no clock."""

from immutable_servers.identity.changes import explain_change
from immutable_servers.identity.files import read_manifest
from immutable_servers.identity.generation import compute_generation_id
from immutable_servers.identity.inputs import ImageInputs, read_image_inputs
from immutable_servers.identity.version import ImageVersion, compute_versions, make_version

__all__ = [
    "ImageInputs",
    "ImageVersion",
    "compute_generation_id",
    "compute_versions",
    "explain_change",
    "make_version",
    "read_image_inputs",
    "read_manifest",
]
