"""Images per second: training batches from the cache, and faces drawn."""
import tempfile
import time

import timing

from tfisovae import sources
from tfisovae.training import batches, devices


def main(argv=None):
    args = timing.parser(__doc__).parse_args(argv)
    sources.faces(256)  # compiled once
    start = time.perf_counter()
    sources.faces(10_240, seed=1)
    drawn = 10_240 / (time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as cache:
        source = sources.load_images("faces", cache, num_faces=20_000, progress=False)
        iterator = iter(
            batches.training_batches(source.train, 64, 0, 0, devices.make_strategy("one_device")))

        def take(count=200):
            for _ in range(count):
                next(iterator)

        cached = 200 * 64 / timing.seconds(take, repeats=5)
    timing.report(
        {"faces_drawn_per_second": round(drawn), "cached_images_per_second": round(cached)},
        args.json)


if __name__ == "__main__":
    main()
