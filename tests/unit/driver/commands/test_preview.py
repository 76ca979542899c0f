"""What a preview says: its text, its comment, its data, and what they are made from."""

import gzip
import json
import re
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.builders import LAUNCH, know, make_record, make_wish
from harness.checkout import ROOT
from harness.previews import BROKEN, PREVIEW, SERVICE
from immutable_servers.driver.commands.preview import command, services, words
from immutable_servers.driver.commands.preview.collect import Collected, PreviewReporter
from immutable_servers.driver.commands.preview.history import find_past_updates
from immutable_servers.driver.commands.preview.markdown import LIMIT, escape, render_markdown
from immutable_servers.driver.commands.preview.models import (
    CHANGES,
    SCHEMA_FILE,
    EngineStep,
    Money,
    StackPreview,
    make_document,
    make_problem,
    render_schema,
)
from immutable_servers.driver.commands.preview.money import count_money
from immutable_servers.driver.commands.preview.text import render_text
from immutable_servers.driver.engine.outputs import read_state_outputs
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.pin import Pinned
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.service import decide
from immutable_servers.settings.models import PricesSettings
from immutable_servers.text.printable import make_printable

GOLDEN = Path(__file__).parent / "golden"


def render_plain(preview: StackPreview) -> str:
    """Return the text as it goes to a file."""
    return "".join(f"{' ' * indent}{line}\n" for indent, line in render_text(preview))


# what is printed


def test_text_is_as_agreed() -> None:
    """Images with their reasons, services with their generations, then the engine's own steps."""
    assert render_plain(PREVIEW) == (GOLDEN / "preview.txt").read_text()


def test_comment_is_as_agreed() -> None:
    """The comment has the marker first, says the same, and folds the details."""
    assert render_markdown([PREVIEW, BROKEN], "all") == (GOLDEN / "preview.md").read_text()


def test_a_terminal_of_40_columns_shows_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are wrapped and nothing is cut."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    command.show(PREVIEW)
    shown = out.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= 40
    assert "\x1b" not in shown
    assert shown.split() == render_plain(PREVIEW).split()


def test_the_words_for_each_move() -> None:
    """Each way of a service is said in its own words."""
    said = {
        move: words.word_move(SERVICE.model_copy(update={"move": move}))
        for move in ("first", "replace", "traffic", "verify", "resize", "nothing", "unknown")
    }
    assert said["replace"] == "generation 3f2a9c41 → dd37b6a2, create before destroy"
    assert "no bake, no boot" in said["traffic"]
    assert len(set(said.values())) == 7


def test_an_image_that_is_replaced_is_not_said_to_go() -> None:
    """The engine's `--` stands before it, as before what is really deleted."""
    step = EngineStep(operation="delete-replaced", type="Image", name="app")
    assert words.word_step(step) == "-- Image app (it stays in the catalog)"
    assert words.word_step(step.model_copy(update={"type": "Release"})) == "-- Release app"
    assert words.word_step(step.model_copy(update={"operation": "create"})) == "+  Image app"


def test_times_of_earlier_updates_are_said_as_a_run_says_them() -> None:
    """`Done in 1 min 30 s` was 1 min 30 s."""
    assert words.word_took(SERVICE) == "1 min 30 s (2026-01-31)"


# the comment


@pytest.mark.parametrize("many", [400, 5000])
def test_a_comment_is_never_too_long(many: int) -> None:
    """Details are cut first, then the rest; the marker and the services stay where they can."""
    (base, app) = PREVIEW.images
    reasons = tuple(f"app/{'long' * 40}/{number}.py changed" for number in range(many))
    images = (base, app.model_copy(update={"why": reasons}))
    text = render_markdown([PREVIEW.model_copy(update={"images": images})], "dev")
    assert len(text) <= LIMIT
    assert text.startswith("<!-- immutable-servers: dev -->\n")
    assert f"Why app is new ({many})" in text
    assert "more\n" in text
    assert "3f2a9c41 → dd37b6a2" in text


def test_a_comment_of_very_many_services_is_cut_at_its_end() -> None:
    """When nothing can be folded any more, the end is left out, and that is said."""
    text = render_markdown([PREVIEW.model_copy(update={"services": (SERVICE,) * 500})], "dev")
    assert len(text) <= LIMIT
    assert "The rest is left out" in text


def test_a_comment_shows_what_it_is_given_and_nothing_more() -> None:
    """Text cannot become a link, a tag, a column or a mention, and a fence cannot be ended."""
    assert escape("a|b <i> [x](y) `c`") == r"a\|b \<i\> \[x\](y) \`c\`"
    assert "@all" not in escape("@all")
    assert escape("&commat;all") == r"\&commat;all"
    assert escape("a\x1b[2J\u202eb\n::error::") == r"a\\x1b\[2J\\u202eb ::error::"
    assert "````text\n" in render_markdown([PREVIEW], "dev")


@given(
    st.text(), st.sampled_from(["@all", "&commat;all", "<b>", "```", "\x1b[2J", "`x`", "\u202e"])
)
def test_no_text_of_a_branch_leaves_its_place_in_the_comment(text: str, piece: str) -> None:
    """Names of files, reasons, pins and notes are data: no mention, no tag, no control character.

    Code is shown as it is, so it is taken out before the rest is looked at.
    """
    bad = f"{text}{piece}"
    (base, app) = PREVIEW.images
    assert isinstance(SERVICE.pin, Pinned)
    service = SERVICE.model_copy(
        update={"why": (bad,), "notes": (bad,), "name": bad, "pin": replace(SERVICE.pin, why=bad)}
    )
    preview = PREVIEW.model_copy(
        update={
            "stack": bad,
            "notes": (bad,),
            "services": (service,),
            "images": (base, app.model_copy(update={"name": bad, "why": (bad,)})),
            "problems": (make_problem(SettingsError(bad, facts=[bad])),),
        }
    )
    comment = render_markdown([preview], "dev")
    plain = comment.replace("@\u200b", "@")
    assert make_printable(plain) == plain
    code = r"^(`{3,})text\n.*?^\1$|^### Stack `[^`\n]*`"
    outside = re.sub(code, "", comment, flags=re.MULTILINE | re.DOTALL)
    assert not re.search("@(?!\u200b)", outside)
    assert not re.search(r"(?<!\\)&(?!amp;|lt;|gt;|quot;|#x27;)", outside)
    assert not re.search(r"(?<!\\)<b", outside)


# the data


def test_the_schema_in_the_reference_is_that_of_the_models() -> None:
    """Made with `python -m immutable_servers.driver.commands.preview`."""
    assert json.loads((ROOT / SCHEMA_FILE).read_text()) == render_schema()


def test_the_data_follows_the_schema() -> None:
    """What `--json` writes is valid, and is told apart by its result."""
    validator = Draft202012Validator(render_schema())
    for stacks, result in [((PREVIEW,), "changes"), ((PREVIEW, BROKEN), "error")]:
        data = json.loads(make_document(stacks).model_dump_json())
        validator.validate(data)
        assert data["result"] == result
    assert list(validator.iter_errors({"format": 2}))


def test_the_engine_has_the_last_word() -> None:
    """With nothing to do for the engine there is nothing to do; without it the moves tell."""
    assert PREVIEW.engine
    quiet = PREVIEW.engine.model_copy(update={"steps": ()})
    assert PREVIEW.model_copy(update={"engine": quiet}).result == "nothing"
    assert PREVIEW.model_copy(update={"engine": None}).result == "changes"
    still = SERVICE.model_copy(update={"move": "nothing", "going": ()})
    assert PREVIEW.model_copy(update={"engine": None, "services": (still,)}).result == "nothing"


def test_exit_codes_tell_error_changes_and_nothing_apart() -> None:
    """An error wins over changes; without the flag changes are a success."""
    changes, wrong = Collected(PREVIEW, 0), Collected(BROKEN, 2)
    assert command._find_code([changes, wrong], exact=True) == 2
    assert command._find_code([changes], exact=True) == CHANGES
    assert command._find_code([changes], exact=False) == 0


def test_the_engine_s_steps_are_taken_from_its_events() -> None:
    """What stays the same is no step, and a replacement is counted once."""
    reporter = PreviewReporter(preview=True)
    urn = "urn:pulumi:dev::shop::a$pulumi-python:dynamic/immutable-servers:Release::web"
    kind = "pulumi-python:dynamic/immutable-servers:Release"
    for operation in ("same", "create-replacement", "replace"):
        metadata = {"op": operation, "urn": urn, "type": kind}
        reporter.take({"resourcePreEvent": {"metadata": metadata, "planning": True}})
    reporter.take({"diagnosticEvent": {"severity": "warning", "message": "look\n out"}})
    assert reporter.steps == [
        EngineStep(operation="create-replacement", type="Release", name="web")
    ]
    assert reporter.warnings == ["look out"]


# the moves


def find_move(records: list[Record], live: str, version: str, **wish: Any) -> str:  # noqa: ANN401
    """Decide and name the move."""
    known = know(records, live)
    plan = decide(replace(make_wish(version), **wish), known)
    return services._find_move(plan, known.live, known.fleets)


def test_each_plan_has_its_move() -> None:
    """The first, a new one, a standby, other checks, another count, a failed one, and nothing."""
    one = make_record("aaaa0001", "v1", 1, checks="checks")
    two = make_record("aaaa0002", "v2", 2, checks="checks")
    assert find_move([], "", "v1") == "first"
    assert find_move([one], "aaaa0001", "v2") == "replace"
    assert find_move([one, two], "aaaa0002", "v1") == "traffic"
    assert find_move([one], "aaaa0001", "v1", checks="other") == "verify"
    assert find_move([one], "aaaa0001", "v1", servers=3) == "resize"
    assert find_move([one], "aaaa0001", "v1") == "nothing"
    bad = make_record("aaaa0003", "v3", 3, fault="50 of 99 answers were errors")
    assert find_move([one, bad], "aaaa0001", "v3") == "failed"


def count(
    sizes: dict[str, float], *, seconds: float | None = 90, keep: int = 1, size: str = "small"
) -> Money | None:
    """Return what an update from v1 to v2 costs: two servers live, two on standby that go."""
    records = [make_record("old", "v0", 1), make_record("live", "v1", 2, state=State.LIVE)]
    known = know(records, "live")
    wish = replace(make_wish("v2", keep=keep), launch={**LAUNCH, "size": size})
    plan = decide(wish, known)
    prices = PricesSettings(currency="USD", sizes=sizes)
    return count_money(prices, plan, known.fleets, launched=2, shrunk=0, seconds=seconds)


def test_money_is_counted_where_there_is_a_price_for_each_size() -> None:
    """Each fleet has the price of its own size; what has no price, or no duration, is not said."""
    expected = Money(currency="USD", per_day_now=9.6, per_day_after=9.6, of_update=0.005)
    assert count({"small": 0.1}) == expected
    larger = count({"small": 0.1, "large": 1}, size="large", keep=0)
    assert larger
    assert (larger.per_day_now, larger.per_day_after, larger.of_update) == (9.6, 48.0, 0.05)
    assert count({"small": 0.1}, size="large") is None
    assert count({}) is None
    unknown = count({"small": 0.1}, seconds=None)
    assert unknown
    assert unknown.of_update is None
    assert words.word_money(SERVICE.model_copy(update={"money": None})) == ""
    blank = Money(currency="", per_day_now=1, per_day_after=2, of_update=None)
    text = words.word_money(SERVICE.model_copy(update={"money": blank}))
    assert text == "1.00 a day now, 2.00 a day after"


def test_values_of_env_are_not_shown() -> None:
    """A launch spec is compared by name and value, env by name alone."""
    old = {"size": "small", "env": {"A": "1", "B": "2"}}
    new = {"size": "large", "env": {"A": "1", "B": "3"}}
    assert services._compare_launch(old, new) == ["env.B changed", "size small → large"]


# earlier runs and the state


def write_log(root: Path, stamp: str, *, op: str, result: str, seconds: int) -> None:
    """Write the events that matter of one run."""
    urn = "urn:pulumi:dev::shop::x$pulumi-python:dynamic/immutable-servers:Release::web"
    events = [
        {"resOutputsEvent": {"metadata": {"op": op, "urn": urn}}},
        {"timestamp": 0, "summaryEvent": {"durationSeconds": seconds, "result": result}},
    ]
    file = root / ".immutable" / "logs" / f"run-{stamp}-1-up-dev.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(event) + "\n" for event in events) + '{"half')


def test_the_last_updates_that_made_a_generation_are_found(tmp_path: Path) -> None:
    """Runs with nothing to do, and failed ones, say nothing about the next update."""
    write_log(tmp_path, "1", op="create", result="succeeded", seconds=90)
    write_log(tmp_path, "2", op="create-replacement", result="succeeded", seconds=80)
    write_log(tmp_path, "3", op="same", result="succeeded", seconds=1)
    write_log(tmp_path, "4", op="create-replacement", result="failed", seconds=5)
    found = find_past_updates(tmp_path, "dev")
    assert [update.seconds for update in found["web"]] == [80, 90]
    assert find_past_updates(tmp_path, "prod") == {}


@pytest.mark.parametrize("packed", [False, True])
def test_the_state_file_is_read_without_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    """The stack's outputs come from the file backend, packed or not; none is not an error."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    assert read_state_outputs(tmp_path, "dev") is None
    resource = {"type": "pulumi:pulumi:Stack", "outputs": {"ledger": {"web": {}}}}
    text = json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [resource]}}}).encode()
    file = tmp_path / ".pulumi" / "stacks" / "shop" / ("dev.json.gz" if packed else "dev.json")
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress(text) if packed else text)
    assert read_state_outputs(tmp_path, "dev") == {"ledger": {"web": {}}}
    assert read_state_outputs(tmp_path, "prod") == {}
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    assert read_state_outputs(tmp_path, "dev") is None
