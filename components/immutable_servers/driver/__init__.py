"""The commands of `./immutable`, and `Deployment`, which is the same for Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from immutable_servers.driver.commands.preview.models import StackPreview as StackPreview
    from immutable_servers.driver.commands.status.generations import Generation as Generation
    from immutable_servers.driver.commands.status.models import StackStatus as StackStatus
    from immutable_servers.driver.deployment import Deployment as Deployment
    from immutable_servers.driver.engine.results import Outcome as Outcome
    from immutable_servers.driver.engine.results import Serving as Serving

__all__ = ["Deployment", "Generation", "Outcome", "Serving", "StackPreview", "StackStatus"]
MODULES = {
    "Deployment": "deployment",
    "Generation": "commands.status.generations",
    "Outcome": "engine.results",
    "Serving": "engine.results",
    "StackPreview": "commands.preview.models",
    "StackStatus": "commands.status.models",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the names above say
    """Import a public name when it is asked for: `--help` is quick without them."""
    if name not in MODULES:
        raise AttributeError(name)
    from importlib import import_module  # noqa: PLC0415 - the same

    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
