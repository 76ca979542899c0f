"""The roles of the how-to, as files of gcloud: `gcloud iam roles create ID --file=FILE`."""

from collections.abc import Sequence
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent


def read_permissions(name: str) -> Sequence[str]:
    """Return the permissions of a role by its file's name, such as `deploy`."""
    found = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return [str(permission) for permission in found["includedPermissions"]]
