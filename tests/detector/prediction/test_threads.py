"""Work in threads: in order, a few items ahead, and ended when asked."""

import threading

from detector.prediction import threads


def test_results_come_in_order_and_no_more_are_taken_than_threads_need():
    taken = []
    outcomes = threads.in_order(lambda item: item * item, (taken.append(item) or item for item in range(100)))
    assert [next(outcomes) for _ in range(3)] == [(0, 0), (1, 1), (2, 4)]
    assert len(taken) < 100 or threading.active_count() > 90
    assert [*outcomes] == [(item, item * item) for item in range(3, 100)]


def test_those_that_are_being_worked_on_still_come():
    done = []
    for item, _ in threads.in_order(lambda item: item, range(1000), lambda: len(done) >= 5):
        done.append(item)
    assert done == [*range(len(done))]
    assert 5 <= len(done) < 1000
