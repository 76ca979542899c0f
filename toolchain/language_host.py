#!/usr/bin/env python3
"""Runs Python programs for the Pulumi engine where the official language host is not installed.

Installed beside `pulumi` under the name `pulumi-language-python`. The official host has no tagged
Go module, so a machine that reaches only package registries cannot build it. This one answers the
calls that `preview`, `up` and `destroy` make, over the stubs that the `pulumi` wheel carries. It
prints its port, answers its own user alone, and ends when the engine does. It is a script on its
own: nothing of the project is imported.
Protocol: https://github.com/pulumi/pulumi/blob/v3.259.0/proto/pulumi/language.proto
"""

# ruff: noqa: N802 - the methods have the protocol's names
# ruff: noqa: ARG002 - and its arguments

import importlib.metadata
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType


def hide_sdk() -> None:
    """Make the stubs importable without the SDK around them.

    The engine starts this host twice in each run, and importing the whole SDK takes more than twice
    as long as all that is needed here.
    """
    spec = importlib.util.find_spec("pulumi")
    folders = spec.submodule_search_locations if spec else None
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto") if folders else ():
        package = ModuleType(name)
        package.__path__ = [str(Path(folder, *name.split(".")[1:])) for folder in folders or ()]
        sys.modules[name] = package


hide_sdk()

sys.dont_write_bytecode = True  # into our folder, whose files are those that were put there

# ruff: noqa: E402 - the stubs come after what makes them cheap
import grpc  # type: ignore[import-untyped]
import own_user
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

VERSION = importlib.metadata.version("pulumi")
EXECUTOR = "pulumi-language-python-exec"
BAIL_EXIT_CODE = 32
"""The executor's word for "the user has seen the error already"."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Starts the executor script with what the engine asks for."""

    def __init__(self, engine: str) -> None:
        """Remember the engine's address, which the program needs for its log."""
        self.engine = engine
        self.running = threading.Lock()
        self.program: subprocess.Popen[bytes] | None = None
        self.cancelled = False

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Accept the engine's address."""
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """Report the SDK's version as the host's own."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Ask for nothing: plugins are found on the PATH or loaded on first use."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """Ask for nothing, as above."""
        return language_pb2.GetRequiredPluginsResponse()

    def About(
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        """Name the interpreter that runs programs."""
        version = sys.version.split(maxsplit=1)[0]
        return language_pb2.AboutResponse(executable=sys.executable, version=version)

    def Run(
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run the program and report how it ended."""
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        try:
            command = render_command(request, self.engine)
        except ForeignInterpreterError as error:
            return language_pb2.RunResponse(error=str(error))
        with self.running:
            self.program = subprocess.Popen(command, env=environment, cwd=request.pwd or None)
            code = self.program.wait()
        if code == 0:
            return language_pb2.RunResponse()
        if code == BAIL_EXIT_CODE or self.cancelled:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End the program: the run has failed or was stopped, and nobody answers its calls.

        It would wait for them until the engine kills it, five seconds later.
        """
        self.cancelled = True
        if self.program is not None:
            self.program.terminate()
        return empty_pb2.Empty()


def render_command(request: language_pb2.RunRequest, engine: str) -> list[str]:
    """Return the executor's command line: what its argument parser takes."""
    return [
        *(find_python(request.info), "-u", str(Path(__file__).with_name(EXECUTOR))),
        *("--monitor", request.monitor_address, "--engine", engine),
        *("--project", request.project, "--stack", request.stack),
        *("--organization", request.organization, "--parallel", str(request.parallel)),
        *("--pwd", request.pwd, "--root_directory", request.info.root_directory),
        *("--dry_run", "true" if request.dryRun else "false"),
        request.program or request.info.entry_point or ".",
        *request.args,
    ]


def find_python(info: language_pb2.ProgramInfo) -> str:
    """Return the interpreter of the project's `virtualenv` option, else this one.

    The engine starts this host in the project's folder, and by its PATH in a virtual environment.
    A request may name these two, and no other: it does not choose what runs.

    Raises:
        ForeignInterpreterError: It names another one.
    """
    options = dict(info.options.items()) if info.HasField("options") else {}
    named = options.get("virtualenv")
    folder = Path(info.root_directory, named) if isinstance(named, str) and named else None
    if folder is None or not (folder / "bin" / "python").exists():
        return os.environ.get("PULUMI_PYTHON_CMD", sys.executable)
    place = folder.resolve()
    if place != Path(sys.prefix).resolve() and not place.is_relative_to(Path.cwd()):
        raise ForeignInterpreterError(place)
    return str(folder / "bin" / "python")


class ForeignInterpreterError(Exception):
    """A request names an interpreter that is not the project's."""

    def __init__(self, folder: Path) -> None:
        """Say where it lies and where it may lie."""
        super().__init__(
            f"The virtual environment {folder} is not this project's.\n"
            f"Programs run in {sys.prefix}, or in one below {Path.cwd()}.\n"
            "What to do: correct `virtualenv` in Pulumi.yaml."
        )


def watch_engine(host: Host, stop: threading.Event) -> None:
    """End the program and this process when the engine is gone without a word: it was killed.

    Its exit is awaited through a pidfd (pidfd_open(2)), so on Linux only.
    """
    engine = os.pidfd_open(os.getppid())
    poll = select.poll()
    poll.register(engine, select.POLLIN)
    poll.poll()
    if host.program is not None:
        host.program.terminate()
    stop.set()


def main() -> None:
    """Serve until the engine ends this process.

    The engine ends its plugins with SIGINT. A terminal's Ctrl-C reaches this process too, while the
    engine still waits for the program: then the answer goes out first.
    """
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    engine = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    host = Host(engine)
    if hasattr(os, "pidfd_open"):
        threading.Thread(target=watch_engine, args=(host, stop), daemon=True).start()
    server = own_user.make_server(ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - the engine reads it
    stop.wait()
    with host.running:
        server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
