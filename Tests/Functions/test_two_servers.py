"""Positions on two servers that are read, written, cut off, promoted, demoted, restarted and lose their tails in every order:
the rule as an exhaustively tested model, and real servers compared with the model."""

import contextlib
import random

import pytest

from harness import two_servers
from harness.real_pair import RealPair
from harness.two_servers import EVENTS, OURS, Rule, explore, verdict

DEPTH = 6  # after the first message; 60,000 states, 2 s (7: 300,000)
SEEDS, LENGTH = range(8), 50
# Some events are more frequent in random orders than in a list of all of them.
OFTEN = {"write": 4, "read": 2, "follow": 3}


def test_no_order_of_events_gives_a_position_to_two_messages_or_resumes_who_saw_a_lost_one():
    fault, states = explore(DEPTH)
    assert fault is None
    assert states > 50_000, "the model moves"


def test_the_rule_that_believed_a_replica_s_cache_fails_the_model():
    fault, _ = explore(DEPTH, Rule(keeps_of_replicas=True))
    assert fault[:-1] == ["read B", "promote B", "write A", "write B"]
    assert "told 'resumed' and saw what is lost" in fault[-1] or "under one position" in fault[-1]


def test_a_library_that_outlived_a_full_resync_would_fail_the_model():
    fault, _ = explore(DEPTH, Rule(forgets=False))
    assert fault is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_real_servers_do_what_the_model_does(seed):
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        real, pair, way = RealPair(stack), two_servers.start(), []
        for turn in range(LENGTH + 2):
            if turn < LENGTH:
                possible = [(n, s) for n in EVENTS for s in (0, 1) if EVENTS[n](pair, s, OURS) is not None]
                name, s = chance.choices(possible, [OFTEN.get(n, 1) for n, _ in possible])[0]
            else:
                name, s = "read", turn - LENGTH
            way.append(f"{name} {'AB'[s]}")
            after = EVENTS[name](pair, s, OURS)
            try:
                if name == "read":
                    real.read(s, pair, after, lambda cursor, server=pair.servers[s]: verdict(server, OURS, cursor))
                else:
                    real.play(name, s, pair, after)
            except Exception as error:
                error.add_note(f"seed {seed}: {', '.join(way)}")
                raise
            assert not two_servers.wrong(after, OURS)
            pair = after
