from edgekit.progress import listening, track


def heard(items, total=None):
    events = []
    with listening(lambda title, done, of: events.append((title, done, of))):
        result = list(track("reading", items, total))
    return result, events


def test_a_listener_hears_the_start_each_step_and_the_end():
    result, events = heard([10, 20])
    assert result == [10, 20]
    assert events == [("reading", 0, 2), ("reading", 1, 2), ("reading", 2, 2), ("reading", 2, 2)]


def test_a_total_that_nobody_knows_is_none_until_the_end():
    _, events = heard(iter("abc"))
    assert [of for _, _, of in events] == [None, None, None, None, 3]


def test_a_total_may_be_given_for_an_iterator():
    _, events = heard(iter("ab"), total=2)
    assert events[1] == ("reading", 1, 2)


def test_without_a_listener_items_pass_through():
    assert list(track("reading", range(3))) == [0, 1, 2]


def test_a_listener_is_gone_after_its_block():
    _, events = heard([1])
    before = len(events)
    list(track("reading", [1]))
    assert len(events) == before
