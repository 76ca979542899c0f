"""Reads a Packer template before any bake, and asks Packer whether it accepts it."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from immutable_servers.errors import ImageError, SetupError
from immutable_servers.system.places import data_dir, runtime_dir

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
COMMENT = re.compile(r"^[ \t]*/\*.*?\*/", re.MULTILINE | re.DOTALL)
LABEL = r'[ \t]+("[^"\n]+"|[\w-]+)'
SOURCE = re.compile(rf'^[ \t]*source{LABEL}{LABEL}[ \t]*\{{|"source"\s*:\s*[\[{{]', re.MULTILINE)
"""A `source` block, in HCL or JSON. Inside of a `build` block it has one label: it is a use."""


def check_template(
    folder: Path,
    variables: Mapping[str, str],
    *,
    cache: Path,
    packer: str = "packer",
    named: str = "",
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

    Raises:
        ImageError: With Packer's own message and line.
        SetupError: There is no Packer.
    """
    if cache.exists():
        return
    given = [f"-var={name}={value}" for name, value in variables.items()]
    syntax = _run(folder, [packer, "validate", "-syntax-only", *given, "."])
    if syntax.returncode:
        raise _refuse(folder, named, explain((syntax.stdout + syntax.stderr).splitlines()))
    given += [
        f"-var={name}={value}" for name, value in find_placeholders(folder, variables).items()
    ]
    full = _run(folder, [packer, "validate", *given, "."])
    mistakes = find_mistakes(full.stdout + full.stderr) if full.returncode else []
    if mistakes:
        raise _refuse(folder, named, mistakes)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.touch()


def declares_source(template: Path) -> bool:
    """Return whether a template's files declare a `source` block."""
    return bool(SOURCE.search(_read_text(template)))


def find_variables(template: Path) -> dict[str, str]:
    """Return the variables that a template's files declare: name to the block's text."""
    pattern = r'^[ \t]*variable\s+"([^"]+)"\s*\{(?:([^\n]*)\}[ \t]*$|(.*?)^\s*\})'
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


def make_environment(scratch: Path, secret_values: Mapping[str, str]) -> dict[str, str]:
    """Return Packer's environment: ours without its and Pulumi's settings, all folders private.

    Plugins stay where the user has them. `TMPDIR` has to be short: sockets of plugins are in it.
    Packer is half a dozen processes that mostly wait, so they collect their garbage early.
    """
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PKR_VAR_", "PACKER_LOG", "PULUMI_"))
    }
    private = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "TMPDIR": str(scratch)}
    private["GOGC"] = os.environ.get("GOGC", "50")
    private["PACKER_CACHE_DIR"] = str(scratch / "cache")
    if "PACKER_PLUGIN_PATH" in ours:
        private["PACKER_CONFIG_DIR"] = str(scratch)
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


def _run(folder: Path, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    env = make_environment(runtime_dir(data_dir()), {})
    try:
        return subprocess.run(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHECK_SECONDS,
            check=False,
        )
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
