"""Who has gone, in virtual time: one death is one loss however it is told."""

from image_pipeline.roll import EXPLAIN_S, SETTLE_S, Departure, Roll

KILLED = Departure("A", "signal 9", image=7)


def test_who_has_come_is_present_until_it_goes() -> None:
    roll = Roll()
    for worker in ("A", "B", "A"):
        roll.come(worker)
    assert roll.present == {"A", "B"}

    roll.go(Departure("A"), 0)
    roll.go(Departure("somebody who never came"), 0)

    assert roll.present == {"B"}
    assert roll.left == {"A", "somebody who never came"}

    roll.come("A")

    assert roll.left == {"somebody who never came"}


def test_a_death_is_acted_on_once_its_connection_gets_nothing_more() -> None:
    roll = Roll()
    roll.go(KILLED, 10)

    assert roll.due(0, 10) == []
    assert roll.due(0, 10 + SETTLE_S) == [KILLED]
    assert roll.due(0, 20) == []


def test_a_death_and_the_end_of_its_connection_are_one_loss() -> None:
    """Whichever is told first, and whenever the other one follows."""
    died_first, cut_first = Roll(), Roll()
    died_first.go(KILLED, 0)
    cut_first.due(1, 0)
    cut_first.go(KILLED, EXPLAIN_S / 2)
    for roll in (died_first, cut_first):
        told = [
            departure
            for tenth in range(50)
            for departure in roll.due(1, tenth / 10)
        ]
        assert told == [KILLED]


def test_a_connection_whose_end_nobody_explains_is_a_loss_of_its_own() -> (
    None
):
    roll = Roll()

    assert roll.due(1, 5) == []
    assert roll.due(1, 5 + EXPLAIN_S / 2) == []
    (gone,) = roll.due(1, 5 + EXPLAIN_S)

    assert gone == Departure("", "its connection was lost")
    assert roll.due(1, 60) == []


def test_two_connections_that_end_together_are_told_of_once() -> None:
    """All that is in flight is suspect in any case."""
    roll = Roll()
    roll.due(2, 0)

    assert len(roll.due(2, EXPLAIN_S)) == 1
    assert roll.due(2, 60) == []


def test_the_next_loss_is_given_its_own_time_to_be_explained() -> None:
    roll = Roll()
    roll.due(1, 0)
    assert roll.due(1, EXPLAIN_S)

    assert roll.due(2, 60) == []
    roll.go(KILLED, 60 + EXPLAIN_S / 2)

    assert roll.due(2, 70) == [KILLED]
    assert roll.due(2, 80) == []


def test_whoever_leaves_in_good_order_explains_its_connection() -> None:
    roll = Roll()
    roll.come("A")
    roll.go(Departure("A"), 0)

    told = [each for second in range(9) for each in roll.due(1, second)]

    assert told == [Departure("A")]
    assert not roll.present
