"""Bakes of a template that a test wrote, whose progress goes nowhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from immutable_servers.contract.values import BakeRequest


def make_request(
    tmp_path: Path,
    text: str,
    *,
    secrets: Mapping[str, str],
    masked: Sequence[str] = (),
    deadline: float = 60,
) -> BakeRequest:
    """Write a template and return a request to bake it."""
    folder = tmp_path / "template"
    folder.mkdir(exist_ok=True)
    (folder / "image.pkr.hcl").write_text(text)
    return BakeRequest(
        image="base",
        version="0123456789ab",
        template=folder,
        inputs=tmp_path / "inputs.tar",
        parent=None,
        lock={},
        variables={},
        secrets=secrets,
        masked=masked,
        lineage={"image": "base"},
        manifest={},
        log=tmp_path / "logs" / "bake.log",
        deadline=deadline,
        say=lambda _line: None,
    )
