"""What the gcp target needs on the machine."""

from immutable_servers.contract.needs import PackerPlugin, PythonPackages
from immutable_servers.targets.cloud.needs import make_needs

SDK_VARIABLES = ("GOOGLE_*", "CLOUDSDK_*", "GCE_METADATA_*", "NO_GCE_CHECK")
"""Credentials, endpoints and what `gcloud` reads, which an IAP tunnel is made by.
https://googleapis.dev/python/google-auth/latest/reference/google.auth.environment_vars.html"""
SDK, PLUGIN = PythonPackages("gcp", "435 MB", 120), PackerPlugin("googlecompute", "1.2.7")
NEEDS = make_needs(SDK, PLUGIN, SDK_VARIABLES)
