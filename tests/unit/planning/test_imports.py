"""What planning may import: a decision needs neither the engine nor a target's own modules."""

import subprocess
import sys

PROGRAM = """
import sys
from importlib import import_module
from pkgutil import iter_modules
from immutable_servers import planning
for module in iter_modules(planning.__path__, "immutable_servers.planning."):
    import_module(module.name)
print(*sorted(sys.modules))
"""


def test_planning_imports_neither_pulumi_nor_a_target() -> None:
    """A plan is made of plain values; a target is reached through its contract alone."""
    loaded = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).split()
    assert "immutable_servers.planning.stack" in loaded
    ours = {name for name in loaded if name.startswith("immutable_servers.targets.")}
    assert ours <= {"immutable_servers.targets.place", "immutable_servers.targets.questions"}
    assert "pulumi" not in loaded
