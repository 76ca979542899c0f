"""A preview with one of everything, for the tests of what renders it."""

from immutable_servers.driver.commands.preview.models import (
    EnginePreview,
    EngineStep,
    GenerationPreview,
    ImagePreview,
    Money,
    PastUpdate,
    ServerCounts,
    ServicePreview,
    StackPreview,
    make_problem,
)
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.pin import Pinned

OLD = GenerationPreview(
    id="3f2a9c41",
    state="live",
    order=2,
    images={"app": "9ed3c0d793ba", "base": "0b6eeb41b6f2"},
    servers=2,
    commit="c0ffee",
)
NEW = GenerationPreview(
    id="dd37b6a2",
    state="candidate",
    order=3,
    images={"app": "2d49e1382263", "base": "0b6eeb41b6f2"},
    servers=2,
)
OLDEST = OLD.model_copy(update={"id": "aaaa0001", "state": "standby", "order": 1, "servers": 1})
SERVICE = ServicePreview(
    name="web",
    address="http://127.0.0.1:8080",
    move="replace",
    live=OLD,
    desired=NEW,
    why=("image app 9ed3c0d793ba → 2d49e1382263", "env.GREETING changed"),
    standbys=(OLD,),
    going=(OLDEST,),
    launched=2,
    retired=1,
    servers=ServerCounts(now=3, during=5, after=4),
    server_hours_per_day_now=72,
    server_hours_per_day_after=96,
    server_hours_of_update=0.05,
    money=Money(currency="USD", per_day_now=0.7488, per_day_after=0.9984, of_update=0.0005),
    took=(PastUpdate(at="2026-01-31T12:00:00+00:00", seconds=90),),
    pin=Pinned("3f2a9c41", who="me", at="then", why="errors | @all <b>"),
    notes=("standby bbbb0002 is not whole: it is dropped",),
)
PREVIEW = StackPreview(
    stack="dev",
    project="shop",
    target="local",
    offline=False,
    commit="0123456789abcdef",
    images=(
        ImagePreview(name="base", old="0b6eeb41b6f2", new="0b6eeb41b6f2", fate="found"),
        ImagePreview(
            name="app",
            old="9ed3c0d793ba",
            new="2d49e1382263",
            fate="to be baked",
            why=("app/server.py changed", "app/```.md added", "variable color changed"),
        ),
    ),
    services=(SERVICE,),
    engine=EnginePreview(
        changes={"create": 6, "replace": 2, "same": 13},
        steps=(
            EngineStep(operation="create-replacement", type="Release", name="web"),
            EngineStep(operation="create", type="Generation", name="web-dd37b6a2"),
        ),
        seconds=1.5,
    ),
)
BROKEN = StackPreview(
    stack="prod",
    project="shop",
    offline=False,
    problems=(
        make_problem(
            SettingsError("2 settings are wrong", facts=["servers: 0"], todo="Mend them.")
        ),
    ),
)
