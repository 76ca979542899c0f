"""The grammar that all commands share: STACK by its place or by `--stack`, words after `--`."""

import re
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperOption

from immutable_servers.driver.project.files import find_root, list_stacks
from immutable_servers.errors import SettingsError

FILE = re.compile(r"(?:.*/)?Pulumi\.(.+)\.ya?ml")
"""A stack's file, which a shell completes where the stack's name is meant."""
NAMED = "named_stack"


class StackCommand(TyperCommand):
    """A command that takes `--stack` beside its place for the stack's name."""

    def __init__(self, *words: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*words, **options)
        arguments = {one.name: one for one in self.params if isinstance(one, TyperArgument)}
        self.takes_place = "stack" in arguments
        self.takes_service = "service" in arguments
        if self.takes_place:
            option = TyperOption(
                param_decls=[NAMED, "--stack"],
                type_descriptor=arguments["stack"].type_descriptor,
                metavar="STACK",
                default="",
                help="The stack's name, instead of its place.",
            )
            self.params.insert(len(arguments), option)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - its type is private to typer
        """Parse the words, and settle which stack they mean."""
        rest = super().parse_args(ctx, args)
        if "stack" in ctx.params:
            self._settle(ctx)
        return rest

    def _settle(self, ctx: Any) -> None:  # noqa: ANN401 - as above
        values: dict[str, Any] = ctx.params
        place, named = find_name(values["stack"]), find_name(values.pop(NAMED, ""))
        if named and ctx.get_parameter_source("stack").name != "DEFAULT" and place != named:
            # After `--stack` the only word left is the service, unless it names a stack too.
            free = self.takes_service and not values["service"]
            if not free or place in list_stacks(find_root()):
                raise SettingsError(
                    f"Two stacks are named: {place} by its place, and {named} by --stack",
                    todo="Name one of them.",
                )
            values["service"] = place
        values["stack"] = named or place


class RestCommand(StackCommand):
    """A command that keeps the words after `--` apart from its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - its type is private to typer
        """Parse the words before `--`, and keep the others."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[RestCommand.__name__] = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


def find_name(word: str) -> str:
    """Return the stack's name in a word that may be its file."""
    found = FILE.fullmatch(word)
    return found[1] if found else word
