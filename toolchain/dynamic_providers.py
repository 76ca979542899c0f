#!/usr/bin/env -S python3 -u
"""Serves Pulumi's dynamic providers for Python to nobody but this process's own user.

Installed beside `pulumi` under the name `pulumi-resource-pulumi-python`, in place of Pulumi's
script of that name. The server is Pulumi's own module; only the function with which that makes it
is ours. Nothing of the project is imported.
"""

import os
import runpy
import sys
from pathlib import Path

MODULE = "pulumi.dynamic"
VIRTUALENV = "PULUMI_RUNTIME_VIRTUALENV"
"""Names the folder of the `virtualenv` option in `Pulumi.yaml`; the engine sets it."""


def enter_virtualenv() -> None:
    """Go on in the project's virtual environment, when there is one and this is another, once."""
    folder = Path(os.environ.pop(VIRTUALENV, "") or sys.prefix)
    python = str(folder / "bin" / "python")
    if folder.resolve() != Path(sys.prefix).resolve() and Path(python).exists():
        os.execv(python, [python, "-u", *sys.argv])  # noqa: S606 - the user's own file names it


def main() -> None:
    """Run Pulumi's module as `python -m` would, with our server."""
    sys.dont_write_bytecode = True  # into our folder, whose files are those that were put there
    import grpc  # type: ignore[import-untyped] # noqa: PLC0415 - in the right interpreter only
    import own_user  # noqa: PLC0415 - the same

    sys.dont_write_bytecode = False
    grpc.server = own_user.make_server
    sys.path[0] = str(Path.cwd())
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    enter_virtualenv()
    main()
