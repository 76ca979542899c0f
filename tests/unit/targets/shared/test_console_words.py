"""What is picked out of a server's console."""

from immutable_servers.targets.shared.console_words import LONGEST, MOST_UNITS, describe_words

NGINX = (
    "[  {at}.10] nginx[158]: 2026/11/28 14:27:{at} [error] 158#158: *{at}1 connect() failed"
    " (111: Connection refused) while connecting to upstream, client: 10.0.2.2, server: , request:"
    ' "GET /healthz HTTP/1.1", upstream: "http://127.0.0.1:8000/healthz", host: "127.0.0.1"'
)
POLLED = "\n".join(NGINX.format(at=at) for at in range(10, 99))
QUIET = """\
\x1b[!p\x1b]104\x1b\\\x1b[?7h[    8.007926] systemd[1]: Starting app.service - The application...
[    8.387039] systemd-tmpfiles[146]: \x1b[0;1;39mlegacy.conf:14: Duplicate line\x1b[0m
[    8.434195] immutable-seal[139]: own units: app.service=always
[   10.087623] sshd[155]: Server listening on 0.0.0.0 port 22.
"""


def crash(at: int, pid: int) -> str:
    """Return what systemd and an application say of one try to start."""
    return f"""\
[   {at}.000001] datasette[{pid}]: Traceback (most recent call last):
[   {at}.000002] datasette[{pid}]:   File "/opt/app/cli.py", line 12, in serve
[   {at}.000003] datasette[{pid}]: json.decoder.JSONDecodeError: Expecting property name
[   {at}.100000] systemd[1]: app.service: Main process exited, status=1/FAILURE
[   {at}.200000] systemd[1]: app.service: Failed with result 'exit-code'.
[   {at}.900000] systemd[1]: app.service: Scheduled restart job, restart counter is at {pid - 150}.
"""


def test_the_applications_own_words_come_first_and_once() -> None:
    """A crash that is repeated for ever is said once, and the questions of health hide nothing."""
    text = QUIET + "".join(crash(at, 130 + at) for at in range(20, 40)) + POLLED
    assert describe_words(text) == [
        "datasette: Traceback (most recent call last): (20 times)",
        'datasette:   File "/opt/app/cli.py", line 12, in serve (20 times)',
        "datasette: json.decoder.JSONDecodeError: Expecting property name (20 times)",
        "app.service: Main process exited, status=1/FAILURE (20 times)",
        "app.service: Failed with result 'exit-code'. (20 times)",
    ]


def test_a_first_line_is_not_pushed_out_by_what_follows() -> None:
    """A program that says what is wrong and then how it is used has said it."""
    usage = "".join(f"[   9.{at:06}] httpbin[160]:   -{'x' * at} string\n" for at in range(1, 41))
    first = "[   9.000000] httpbin[160]: flag provided but not defined: -prot\n"
    shown = describe_words(QUIET + first + usage)
    assert shown[0] == "httpbin: flag provided but not defined: -prot"
    assert shown[2] == "httpbin: (31 more lines)"
    assert shown[-1] == f"httpbin:   -{'x' * 40} string"


def test_trouble_amid_a_long_log_is_shown() -> None:
    """Neither among the first lines nor the last: the line that says why is there all the same."""
    lines = [f"loading part {chr(97 + at % 26) * (at + 1)}" for at in range(60)]
    lines[30] = "panic: runtime error: index out of range [5] with length 3"
    text = "".join(f"[   9.{at:06}] web[160]: {line}\n" for at, line in enumerate(lines))
    assert f"web: {lines[30]}" in describe_words(text)


def test_nginx_is_heard_where_nobody_else_says_why() -> None:
    """An application that listens on another port says nothing wrong; its proxy's one line does."""
    text = QUIET + "[   12.1] node[153]: Listening on 3000\n" + POLLED
    first, second = describe_words(text)
    assert first == "node: Listening on 3000"
    assert second.startswith("nginx: 2026/11/28")
    assert second.endswith("(89 times)")


def test_different_answers_are_different_lines() -> None:
    """Numbers fold, but not the status of an answer."""
    said = "".join(
        f'[   9.{at:06}] python3[15{at}]: 127.0.0.1:{at} "GET /healthz HTTP/1.1" {status} -\n'
        for at, status in enumerate((200, 500, 200, 500))
    )
    assert describe_words(said) == [
        'python3: 127.0.0.1:2 "GET /healthz HTTP/1.1" 200 - (2 times)',
        'python3: 127.0.0.1:3 "GET /healthz HTTP/1.1" 500 - (2 times)',
    ]


def test_a_kernel_that_panicked_is_shown() -> None:
    """Without any unit's word the console's own lines are all that there is."""
    panic = "[    2.101] Kernel panic - not syncing: VFS: Unable to mount root fs"
    assert describe_words(f"booting\n{panic}\n") == ["kernel: booting", f"kernel: {panic}"]
    assert describe_words("") == []
    assert describe_words("\n \n") == []


def test_what_is_shown_is_bounded_and_harmless() -> None:
    """Whatever a guest prints: a few units, lines, characters, and nothing a terminal obeys."""
    hostile = "\x1b]0;title\x07\u202eerror"
    text = "".join(
        f"[   9.{line:06}] u{chr(97 + unit)}[1]: {hostile} {chr(97 + line % 26) * line * 100}\n"
        for unit in range(20)
        for line in range(50)
    )
    shown = describe_words(text)
    assert len({line.partition(":")[0] for line in shown}) == MOST_UNITS
    assert len(shown) <= MOST_UNITS * 20
    assert max(map(len, shown)) < LONGEST + 40
    assert all(line.isprintable() for line in shown)
