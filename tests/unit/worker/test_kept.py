"""What is kept of a job's end comes back whole."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.discord.replies import Attachment, Message
from app.jobs.job import Outcome, Repeat
from app.userdata.conversations import Turn
from app.userdata.usage import Usage
from app.worker.kept import Ended, pack, unpack

files = st.builds(Attachment, st.text(max_size=9), st.binary(max_size=40), st.just("a/b"), st.text(max_size=5))
messages = st.builds(
    Message,
    st.text(max_size=40),
    st.just(({"title": "t"},)) | st.just(()),
    st.lists(files, max_size=3).map(tuple),
    st.just(({"type": 1, "components": []},)) | st.just(()),
)
turns = st.builds(Turn, st.text(), st.text(), st.text(), st.floats(0, 1e10), st.text(), st.text(), st.booleans())
ends = st.builds(
    Ended,
    messages,
    st.sampled_from(Outcome),
    st.text(max_size=9),
    st.text(max_size=9),
    st.sampled_from(Repeat),
    st.lists(messages, max_size=2).map(tuple),
    st.text(max_size=99),
    st.none() | turns,
    st.builds(Usage, *[st.integers(0, 10**9)] * 5),
)


@given(ends)
def test_what_is_kept_comes_back(ended: Ended) -> None:
    """Messages, parts, files with any bytes, what is remembered and used, and how often it may be repeated."""
    assert unpack(pack(ended)) == ended


def test_what_version_0_1_kept_is_delivered_too() -> None:
    """An answer kept before an update, in the old form, is not lost by it."""
    head = {
        "outcome": "answered", "provider": "openai", "error": "", "repeatable": True, "content": "hi", "embeds": [],
        "components": [], "files": [["a.png", "image/png", "", 3]],
    }  # fmt: skip
    ended = unpack(json.dumps(head).encode() + b"\nPN\n")
    assert ended.message == Message("hi", attachments=(Attachment("a.png", b"PN\n", "image/png"),))
    assert (ended.outcome, ended.repeat, ended.parts, ended.turn) == (Outcome.ANSWERED, Repeat.ONCE, (), None)
