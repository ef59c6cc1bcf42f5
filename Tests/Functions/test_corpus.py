"""Tests/Messages/corpus.txt with group_send. The gateways' reader is tested with the same file (MessageCorpusTests.swift)."""

import re

import pytest
from redis.exceptions import ResponseError

from harness.redis_server import REPOSITORY

WORDS = {
    "key": "has a map key that is no string",
    "type": "has an extension type or a timestamp",
    "text": "has a str that is not UTF-8",
    "whole": "is not one whole msgpack map",
    "deep": "is nested more than 1000 deep",
    "object": "must be a JSON object or a msgpack map",
    "json": "is not valid JSON",
    "python": "is not valid JSON",
}


def message(text):
    if not text.startswith("0x"):
        return text.encode()
    whole = b""
    for piece in text[2:].split():
        repeated = re.fullmatch(r"\(([0-9a-f]+)\)\*(\d+)", piece)
        whole += bytes.fromhex(repeated[1]) * int(repeated[2]) if repeated else bytes.fromhex(piece)
    return whole


LINES = (REPOSITORY / "Tests/Messages/corpus.txt").read_text().splitlines()
CASES = [line.split(" | ", 2) for line in LINES if line and not line.startswith("#")]


@pytest.mark.parametrize(("verdict", "text"), [(v, t) for v, _, t in CASES], ids=[f"{v}: {name}" for v, name, _ in CASES])
def test_group_send_judges_a_message_as_the_corpus_says(redis, send, listen, verdict, text):
    listener = listen()
    if verdict == "taken":
        position, listeners = send(message(text))
        [received] = listener.take()
        assert listeners == 1 and str(position).encode() in received
        return
    with pytest.raises(ResponseError) as error:
        send(message(text))
    assert str(error.value).startswith(f"tocsin: the message {WORDS[verdict]}; ") or verdict == "object"
    assert WORDS[verdict] in str(error.value)
    assert redis.dbsize() == 0 and listener.take() == []


def test_every_verdict_is_in_the_corpus():
    assert {verdict for verdict, _, _ in CASES} == {"taken", *WORDS}
    names = [(verdict, name) for verdict, name, _ in CASES]
    assert len(names) == len(set(names)) > 140
