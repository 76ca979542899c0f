"""Examples for each command's `--help`: lines that work as they stand."""

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[str]] = {
    "up": ("./immutable up", "./immutable up prod --yes"),
    "preview": (
        "./immutable preview",
        "./immutable preview prod --markdown comment.md",
        "./immutable preview --all --offline --json - | jq .result",
    ),
    "destroy": (
        "./immutable destroy dev",
        "./immutable destroy dev --remove --yes",
        "./immutable destroy prod --service old",
    ),
    "rollback": (
        './immutable rollback prod web --why "errors at checkout"',
        './immutable rollback prod web --to 3f2a9c41 --why "errors at checkout"',
    ),
    "resume": ("./immutable resume prod web", "./immutable resume prod web --now"),
    "replace": ('./immutable replace prod web --why "it leaks"',),
    "retire": ("./immutable retire prod", "./immutable retire prod web"),
    "status": ("./immutable status prod", "./immutable status --json - --exit-code | jq .services"),
    "prune": (
        "./immutable prune --dry-run",
        "./immutable prune --keep 5 --older-than 14d",
        "./immutable prune prod --yes",
    ),
    "sweep": (
        "./immutable sweep",
        "./immutable sweep --dry-run",
        "./immutable sweep --also shop/dev --yes",
    ),
    "doctor": ("./immutable doctor", "./immutable doctor prod"),
    "env": ('eval "$(./immutable env)"',),
    "update": ("./immutable update", "./immutable update base --rebuild"),
    "test": ("./immutable test --fast", "./immutable test -- -k preview"),
    "bench": (
        "./immutable bench",
        "./immutable bench --only growth",
        "./immutable bench --sequences 1000",
    ),
    "logs": ("./immutable logs web", "./immutable logs web --generation 3f2a9c41"),
    "shell": (
        "./immutable shell app",
        "./immutable shell app@9ed3 prod",
        "./immutable shell app -- systemctl status nginx",
    ),
    "verify": ("./immutable verify web", "./immutable verify web --keep"),
}
"""By command's name; a test asks for one of each, and parses them."""


def render_examples(command: str) -> str:
    """Return the end of a command's help; empty without an example."""
    lines = EXAMPLES.get(command, ())
    if not lines:
        return ""
    # The sign of click's for a paragraph that is not wrapped.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
