"""The file of compressed examples: what is written comes back; whatever happens to it, it is
refused by name.
"""
import os
import tracemalloc

import numpy as np
import pytest

from tests.messages import refuses
from tfisovae.codec import container

HEADER = container.Header("0123456789abcdef" * 2, "fedcba9876543210" * 2, 3, (28, 28))
CODES = [(5, b"hello, world"), (1, b""), (3, b"\x00\xff" * 9)]


def written(path, codes=CODES, header=HEADER):
    with container.Writer(path, header) as writer:
        for count, code in codes:
            writer.write(count, code)
    return writer


@pytest.fixture
def whole(tmp_path):
    written(tmp_path / "x.tfv")
    return (tmp_path / "x.tfv").read_bytes()


def refused(path, data):
    """What a reader says of these bytes: the class of its error, and the message."""
    path.write_bytes(data)
    with pytest.raises(container.ContainerError) as caught:
        container.Reader(path)
    assert str(path) in str(caught.value)
    return type(caught.value), str(caught.value)


def test_what_is_written_comes_back(tmp_path):
    writer = written(tmp_path / "x.tfv")
    assert writer.size == (tmp_path / "x.tfv").stat().st_size
    with container.Reader(tmp_path / "x.tfv") as reader:
        assert reader.header == HEADER
        assert (reader.num_examples, reader.num_blocks, reader.code_bytes,
                reader.size) == (9, 3, 30, writer.size)
        blocks = list(reader.blocks())
        assert [(block.count, block.code)
                for block in blocks] == CODES and [block.first for block in blocks] == [0, 5, 6]
        # The index leads anywhere.
        assert list(reader.blocks(2)) == blocks[2:] and list(reader.blocks(3)) == []


def test_the_layout_is_what_the_page_says(tmp_path, whole):
    """Read by hand, with nothing of the package: another program could."""
    import hashlib
    import struct
    import zlib

    assert whole[:8] == b"\x89TFV\r\n\x1a\n" and struct.unpack_from("<H", whole, 8) == (1,)
    assert whole[10:26].hex() == HEADER.model and whole[26:42].hex() == HEADER.codec
    assert struct.unpack_from("<IB3I", whole, 42) == (3, 2, 28, 28, 0)
    assert struct.unpack_from("<I", whole, 79)[0] == zlib.crc32(whole[:79])
    at, found = 83, []
    while True:
        count, length, _ = struct.unpack_from("<III", whole, at)
        code = whole[at + 12:at + 12 + length]
        assert struct.unpack_from("<I", whole, at + 12 + length)[0] == zlib.crc32(code)
        at += 16 + length
        if not count:
            break
        found.append((count, code))
    assert found == CODES and struct.unpack_from("<3I", whole, at) == (12, 0, 18)
    assert struct.unpack_from("<QQQ", whole, at + 12) == (at, 3, 9)
    assert whole[at + 36:] == hashlib.sha256(whole[:at + 12]).digest()


def test_any_flipped_bit_is_refused_by_name(tmp_path, whole):
    """The magic makes it another kind of file, the version another version; everything else has
    been altered.
    """
    for place in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            kind, message = refused(tmp_path / "bad.tfv", bytes(data))
            expected = (container.NotContainer if place < 8 else
                        container.OtherVersion if place < 10 else container.Altered)
            assert kind is expected, (place, bit, message)


def test_any_shortened_file_is_truncated(tmp_path, whole):
    for size in range(len(whole)):
        assert refused(tmp_path / "bad.tfv", whole[:size])[0] is container.Truncated, size


def test_other_damage(tmp_path, whole, damaged):
    for data in damaged(whole, 0):
        if data != whole:
            refused(tmp_path / "bad.tfv", data)
    kind, message = refused(tmp_path / "bad.tfv", whole + b"\n")
    assert kind is container.Altered
    assert "has been altered: there is more after its end (1 bytes). Use an intact copy" in message
    assert refused(tmp_path / "bad.tfv",
                   b"\x89PNG\r\n\x1a\n" + bytes(100))[0] is container.NotContainer
    assert "is empty" in refused(tmp_path / "bad.tfv", b"")[1]
    assert "examples 0 to 4" in refused(tmp_path / "bad.tfv", whole.replace(b"hello", b"hullo"))[1]


def test_blocks_that_change_places_are_refused(tmp_path):
    """Each block is whole, and so is its checksum; but the dither, and the order of the examples,
    would be others.
    """
    written(tmp_path / "x.tfv", [(1, b"aa"), (1, b"bb")])
    whole = (tmp_path / "x.tfv").read_bytes()
    first, second = whole[83:101], whole[101:119]
    assert refused(tmp_path / "bad.tfv",
                   whole[:83] + second + first + whole[119:])[0] is container.Altered


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), container.Writer(tmp_path / "x.tfv", HEADER) as writer:
        writer.write(1, b"code")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    written(tmp_path / "x.tfv")
    with refuses(ValueError, "count"), container.Writer(
            tmp_path / "x.tfv", HEADER) as writer:
        writer.write(0, b"")
    with container.Reader(tmp_path / "x.tfv") as reader:  # the one that was there
        assert reader.num_examples == 9
    with container.Writer(tmp_path / "none.tfv", HEADER):
        pass
    with container.Reader(tmp_path / "none.tfv") as reader:
        assert reader.num_examples == 0 and list(reader.blocks()) == []
    with refuses(ValueError, "shape"):
        written(tmp_path / "x.tfv", header=container.Header(HEADER.model, HEADER.codec, 1,
                                                            (1, ) * 9))


def test_what_is_no_file_on_a_disk(tmp_path):
    os.mkfifo(tmp_path / "fifo")  # nobody writes into it: it is not waited for
    with refuses(container.NotContainer):
        container.Reader(tmp_path / "fifo")
    with refuses(container.NotContainer):
        container.Reader(tmp_path)
    read, write = os.pipe()
    try:
        with refuses(container.NotContainer):
            os.write(write, b"x")
            container.Reader(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)


def test_a_file_that_changes_while_it_is_open(tmp_path, whole):
    path = tmp_path / "x.tfv"
    with container.Reader(path) as reader:
        with open(path, "r+b") as file:
            file.seek(whole.index(b"hello"))
            file.write(b"H")
        with refuses(container.Altered):
            list(reader.blocks())


def test_memory_is_that_of_a_block(tmp_path):
    """32 MB in 64 blocks are written and read in less than 4 MB."""
    code = np.random.default_rng(0).bytes(2**19)
    tracemalloc.start()
    written(tmp_path / "x.tfv", ((100, code) for _ in range(64)))
    with container.Reader(tmp_path / "x.tfv") as reader:
        assert sum(len(block.code) for block in reader.blocks()) == 2**25
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22
