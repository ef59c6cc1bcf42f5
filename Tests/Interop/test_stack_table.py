"""docs/migrating-from-channels.md: its table of versions says what test_django_stacks.py tests."""

import Interop.test_django_stacks as stacks
from harness.django_stack import LEFT_OUT, STACKS
from harness.process import REPOSITORY

COLUMNS = {
    "`group_send` to browsers": [
        stacks.test_saving_a_low_balance_tells_the_user_at_the_gateway_as_at_daphne,
        stacks.test_200_messages_arrive_once_and_in_order,
        stacks.test_what_came_while_the_gateway_stood_still_keeps_its_order_and_twice_the_same_is_two,
        stacks.test_a_value_is_at_the_gateway_what_it_is_at_daphne,
    ],
    "bytes": [stacks.test_bytes_are_base64_for_a_browser],
    "encrypted, to browsers": [stacks.test_what_the_layer_encrypts_arrives_in_clear],
    "ours to consumers": [
        stacks.test_our_message_reaches_consumers_at_daphne_and_browsers_at_the_gateway_once,
        stacks.test_a_message_without_a_type_is_for_browsers_and_ends_no_consumer,
        stacks.test_50_messages_that_pile_up_for_daphne_s_consumer_keep_their_order,
    ],
    "ours to encrypted consumers": [stacks.test_what_we_send_is_encrypted_for_consumers_at_daphne_in_order],
    "to one connection": [
        stacks.test_django_sends_to_one_connection_at_the_gateway,
        stacks.test_the_worker_answers_one_connection_at_the_gateway,
    ],
    "worker": [
        stacks.test_the_worker_tells_a_group_at_the_gateway_as_at_daphne,
        stacks.test_a_browser_at_the_gateway_is_answered_by_the_worker,
        stacks.test_a_browser_s_messages_come_to_the_worker_in_order_and_once,
    ],
    "`group_add` of a connection": [
        stacks.test_a_connection_that_django_adds_to_a_group_is_told_until_it_is_discarded,
        stacks.test_such_a_connection_is_told_what_we_send_to_the_group_and_once_where_it_is_a_member_anyway,
        stacks.test_the_worker_puts_the_connection_into_a_group_and_takes_it_out,
    ],
}


def name_of(stack):
    layer = stack.layer.replace("pubsub", "pub/sub")
    return f"{stack.version} {layer}" + (", JSON" if stack.serializer == "json" else "")


def stacks_of(test):
    (chosen,) = [mark.args[1] for mark in test.pytestmark if mark.args[0] == "stack"]
    return {parameter.values[0] for parameter in chosen}


def test_the_table_says_what_is_tested():
    page = (REPOSITORY / "docs" / "migrating-from-channels.md").read_text()
    lines = page[page.index("| Stack |") :].split("\n\n", 1)[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert head == ["Stack", *COLUMNS]
    here = {name_of(stack): stack for stack in STACKS}
    assert [row[0] for row in rows if row[0].split()[0] not in LEFT_OUT] == list(here)
    for name, *cells in rows:
        if name in here:  # a machine need not have the Python for each
            tested = [all(here[name] in stacks_of(test) for test in tests) for tests in COLUMNS.values()]
            assert [cell == "yes" for cell in cells] == tested, name


def test_each_test_of_the_stacks_is_in_a_column():
    """Except what Daphne and the worker do without us."""
    ours = {test for tests in COLUMNS.values() for test in tests}
    tests = {value for name, value in vars(stacks).items() if name.startswith("test_")}
    assert tests - ours == {stacks.test_a_browser_at_daphne_is_answered_by_the_worker}
