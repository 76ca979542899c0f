"""Reads a Packer template before any bake, and asks Packer whether it accepts it."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from immutable_servers.errors import ImageError, SetupError
from immutable_servers.system.environment import NETWORK, make_environment
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.system.tools import run_stoppable

SHOWN_LINES = 15
CHECK_SECONDS = 60.0
TARGET_FILE = "_target.pkr.hcl"
"""The target's Packer source in a staged template. Packer reads files by name, so that of two that
declare the same its message names the other: the image's."""
PLACEHOLDERS = {"string": "x", "number": "1", "bool": "true", "list": "[]", "set": "[]"}
"""Values by type, for variables whose values only a bake knows."""
MISTAKES = re.compile(
    r"Unsupported (argument|attribute|block type)|Missing (required argument|build block)"
    r"|Duplicate "
    r"|Call to unknown function|Error: Unknown (source|provisioner|post-processor)"
)
"""Packer's words for mistakes that no value of a variable can fix."""
PACKER_VARIABLES = ("PACKER_PLUGIN_PATH", "PACKER_CONFIG_DIR", "PACKER_GITHUB_API_TOKEN")
"""Of Packer's own those that say where plugins are, and from where `init` gets them."""
COMMENT = re.compile(r"^[ \t]*/\*.*?(?:\*/|\Z)", re.MULTILINE | re.DOTALL)
"""One that does not end takes all that follows, as Packer reads it, and no second look at it."""
LABEL = r'[ \t]+("[^"\n]+"|[\w-]+)'
SOURCE = re.compile(rf'^[ \t]*source{LABEL}{LABEL}[ \t]*\{{|"source"\s*:\s*[\[{{]', re.MULTILINE)
"""A `source` block, in HCL or JSON. Inside of a `build` block it has one label: it is a use."""
SCRIPT = re.compile(r'^[ \t]*provisioner[ \t]+"shell"', re.MULTILINE)
REACHED = re.compile(r"^[ \t]*execute_command[ \t]*=.*\.(?:execute|sudo)\b", re.MULTILINE)
"""A line by which a shell provisioner gets what the setting `bake` hands over."""


def check_template(
    folder: Path,
    variables: Mapping[str, str],
    *,
    cache: Path,
    packer: str = "packer",
    named: str = "",
    needed: Sequence[str] = (),
) -> None:
    """Check a template as far as possible without a bake, once for each version.

    Needs no network, and writes nothing but `cache`. Variables whose values only a bake knows get
    a placeholder, so what depends on their values is left to the bake's own `validate`, as is a
    template whose plugins are not installed.

    Args:
        folder: The template, with the files of one target only.
        variables: Non-secret variables from the settings.
        cache: A file that exists when this version was accepted before, and is made when it is now.
        packer: The program.
        named: How an error names the folder, where it is a copy.
        needed: Names of the variables that the target's tools need.

    Raises:
        ImageError: With Packer's own message and line.
        SetupError: There is no Packer.
    """
    if cache.exists():
        return
    given = [f"-var={name}={value}" for name, value in variables.items()]
    syntax = _run(folder, [packer, "validate", "-syntax-only", *given, "."], needed)
    if syntax.returncode:
        raise _refuse(folder, named, explain((syntax.stdout + syntax.stderr).splitlines()))
    given += [
        f"-var={name}={value}" for name, value in find_placeholders(folder, variables).items()
    ]
    full = _run(folder, [packer, "validate", *given, "."], needed)
    mistakes = find_mistakes(full.stdout + full.stderr) if full.returncode else []
    if mistakes:
        raise _refuse(folder, named, mistakes)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.touch()


def declares_source(template: Path) -> bool:
    """Return whether a template's files declare a `source` block."""
    return bool(SOURCE.search(_read_text(template)))


def takes_outside(template: Path) -> bool:
    """Return whether every shell provisioner is run in a way that the setting `bake` reaches."""
    text = _read_text(template)
    return len(REACHED.findall(text)) >= len(SCRIPT.findall(text))


def find_variables(template: Path) -> dict[str, str]:
    """Return the variables that a template's files declare: name to the block's text."""
    pattern = r'^[ \t]*variable\s+"([^"]+)"\s*\{(?:([^\n]*)\}[ \t]*$|(.*?)(?:^[ \t]*\}|\Z))'
    found = re.findall(pattern, _read_text(template), re.MULTILINE | re.DOTALL)
    return {name: short or long for name, short, long in found}


def _read_text(template: Path) -> str:
    """Return what Packer reads of a folder, without block comments."""
    files = sorted([*template.glob("*.pkr.hcl"), *template.glob("*.pkr.json")])
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    return COMMENT.sub("", text)


def find_placeholders(template: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Return a value of the right type for each variable without one; none for unusual types."""
    found: dict[str, str] = {}
    for name, block in find_variables(template).items():
        kind = re.search(r"\btype\s*=\s*(\w+)", block)
        if name not in known and kind and not re.search(r"\bdefault\s*=", block):
            found[name] = PLACEHOLDERS.get(kind[1], "")
    return {name: value for name, value in found.items() if value}


def find_mistakes(output: str) -> list[str]:
    """Return Packer's errors that no value of a variable can fix."""
    blocks = re.split(r"^(?=Error: |Warning: )", output, flags=re.MULTILINE)
    # Packer breaks its lines at 80 columns.
    wrong = [block for block in blocks if MISTAKES.search(" ".join(block.split()))]
    lines = [line for block in wrong for line in block.splitlines() if line.strip()]
    return lines[:SHOWN_LINES]


def make_packer_environment(
    scratch: Path,
    secret_values: Mapping[str, str],
    needed: Sequence[str] = (),
    programs: Path | None = None,
) -> dict[str, str]:
    """Return Packer's environment: the common and the needed variables, all folders private.

    Nothing else of ours: a template's inputs are declared, and its secrets are named. Plugins stay
    where the user has them. `TMPDIR` has to be short: sockets of plugins are in it.
    Packer is half a dozen processes that mostly wait, so they collect their garbage early.
    """
    ours = make_environment(*NETWORK, *PACKER_VARIABLES, *needed)
    private = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "TMPDIR": str(scratch)}
    private["GOGC"] = os.environ.get("GOGC", "50")
    private["PACKER_CACHE_DIR"] = str(scratch / "cache")
    if "PACKER_PLUGIN_PATH" in ours:
        private["PACKER_CONFIG_DIR"] = str(scratch)
    if programs:
        private["PATH"] = f"{programs}{os.pathsep}{ours.get('PATH', os.defpath)}"
    return {
        **ours,
        **private,
        **{f"PKR_VAR_{name}": value for name, value in secret_values.items()},
    }


def explain(lines: Sequence[str]) -> list[str]:
    """Return Packer's own message from its output: the failed builds, or the first error.

    A failed build comes with what it printed last.
    """
    failed = [line.removeprefix("--> ") for line in lines if line.startswith("--> ")]
    if failed:
        printed = [line for line in lines if line.startswith(("==> ", "    ")) and ": " in line]
        notes = ("Provisioning step had errors", "Wait completed", "Builds finished")
        last = [line for line in printed if not any(note in line for note in notes)]
        return [*failed, "It printed last:", *(f"  {line}" for line in last[-5:])]
    text = [line for line in lines if line.strip()]
    start = next((at for at, line in enumerate(text) if line.startswith("Error: ")), None)
    return text[-5:] if start is None else text[start : start + SHOWN_LINES]


def explain_target_file(template: Path, lines: Sequence[str]) -> list[str]:
    """Return what the target's staged file is, where Packer's message may speak of it."""
    if not (template / TARGET_FILE).exists():
        return []
    # Packer gives no file for a variable that is declared twice.
    if not any(TARGET_FILE in line or line.startswith("Error: Duplicate") for line in lines):
        return []
    return [
        f"{TARGET_FILE} is not the image's: it is the target's source, staged beside its files.",
        "Its values come from the stack file, and the image must not declare what it declares.",
    ]


def _run(
    folder: Path, argv: Sequence[str], needed: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    env = make_packer_environment(runtime_dir(data_dir()), {}, needed)
    try:
        return run_stoppable(argv, f"`{argv[0]} validate`", env, cwd=folder, seconds=CHECK_SECONDS)
    except FileNotFoundError as error:
        raise SetupError(
            f"The command `{argv[0]}` could not be started",
            facts=[str(error)],
            todo="Run `./immutable doctor`: it lists what is missing, with the fix.",
        ) from error


def _refuse(folder: Path, named: str, lines: Sequence[str]) -> ImageError:
    return ImageError(
        f"Packer does not accept the template in {named or folder}",
        facts=[*lines, *explain_target_file(folder, lines)],
        todo="Correct the file and line that Packer names.",
    )
