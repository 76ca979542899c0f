"""What the digitalocean target needs on the machine."""

from immutable_servers.contract.needs import PackerPlugin, PythonPackages
from immutable_servers.targets.cloud.needs import make_needs

SDK_VARIABLES = ("DIGITALOCEAN_*",)
"""The token and the API's address: https://www.pulumi.com/registry/packages/digitalocean/installation-configuration/"""
SDK = PythonPackages("digitalocean", "130 MB", 60)
PLUGIN = PackerPlugin("digitalocean", "1.4.1", owner="digitalocean")
NEEDS = make_needs(SDK, PLUGIN, SDK_VARIABLES)
