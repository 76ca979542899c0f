"""The one question of health: what every balancer, and our own question, asks and accepts.

`GET <path>` by HTTP/1.1 with a Host. The answer is its status line and headers: a body, which may
never end, is nobody's business (docs/decisions/0026).
"""

ACCEPTED = range(200, 300)
"""Statuses of a healthy server; a redirect is none."""
ACCEPTED_TEXT = f"{ACCEPTED.start}-{ACCEPTED.stop - 1}"
"""The same as HAProxy and AWS write it."""
ANSWER_SECONDS = 5
"""How long the whole answer may take."""
