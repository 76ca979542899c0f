"""What the aws target needs on the machine."""

from immutable_servers.contract.needs import Needs, PackerPlugin, PythonPackages

SDK = PythonPackages("aws", "180 MB", 60)
NEEDS = Needs(acting=(SDK, PackerPlugin("amazon", "1.3.2")), asking=(SDK,), upstream=(SDK,))
