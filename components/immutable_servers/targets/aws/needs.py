"""What the aws target needs on the machine."""

from immutable_servers.contract.needs import PackerPlugin, PythonPackages
from immutable_servers.targets.cloud.needs import make_needs

SDK_VARIABLES = ("AWS_*",)
"""Keys, profiles, roles, regions: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html"""
SDK, PLUGIN = PythonPackages("aws", "195 MB", 60), PackerPlugin("amazon", "1.3.2")
NEEDS = make_needs(SDK, PLUGIN, SDK_VARIABLES)
