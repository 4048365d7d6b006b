"""The order of the examples, in training and in evaluation."""
import numpy as np

from tests.messages import refuses
from tfisovae.sources import Rows
from tfisovae.training import batches, devices


def test_batches_are_permutations_of_the_rows():
    """Six steps of 4 over 10 rows: two whole epochs, whatever step one begins with, and in 2
    replicas as in 1.
    """
    rows = Rows(np.arange(10, dtype=np.float32)[:, None], np.arange(10))

    def take(first, count, strategy):
        iterator = iter(batches.training_batches(rows, 4, 0, first, strategy))
        return [
            np.concatenate([v.numpy()
                            for v in strategy.experimental_local_results(next(iterator))]).ravel()
            for _ in range(count)
        ]

    one = devices.make_strategy("one_device")
    taken = take(0, 6, one)
    order = np.concatenate(taken)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert list(order[:10]) != list(order[10:20])
    np.testing.assert_array_equal(np.concatenate(take(3, 3, one)), order[12:])
    np.testing.assert_array_equal(np.concatenate(take(2, 2, devices.make_strategy("mirrored"))),
                                  order[8:16])
    with refuses(ValueError, "batch_size"):
        batches.training_batches(rows, 0, 0, 0, one)


def test_replicas_share_a_batch_that_cannot_be_divided():
    rows = Rows(np.arange(10, dtype=np.float32)[:, None], np.arange(10))

    def order(size, strategy):
        iterator = iter(batches.training_batches(rows, size, 0, 1, strategy))
        shares = [strategy.experimental_local_results(next(iterator)) for _ in range(3)]
        return [[len(part) for part in parts] for parts in shares], np.concatenate(
            [part for parts in shares for part in parts]).ravel()

    for size, shares in ((5, [2, 3]), (1, [0, 1])):
        sizes, mirrored = order(size, devices.make_strategy("mirrored"))
        assert sizes == [shares] * 3
        np.testing.assert_array_equal(mirrored, order(size, devices.make_strategy("one_device"))[1])


def test_evaluation_batches_are_the_rows_in_order():
    images = np.arange(7 * 12, dtype=np.uint8).reshape(7, 2, 2, 3)
    parts = list(batches.evaluation_batches(Rows(images, np.arange(7)), 3))
    assert [len(b) for b in parts] == [3, 3, 1]
    np.testing.assert_allclose(np.concatenate(parts), images / 255, rtol=1e-6)
