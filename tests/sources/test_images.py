"""Image files as people have them: the values that come out, against formulas on what was written.
"""
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae.sources.decoding import (
    Framing,
    NoImage,
    Unreadable,
    UnsuitableSize,
    decode,
    is_image_name,
    recognised,
)

SIZE = 64  # as decoded, so that every pixel comes out as it went in
WHITE = np.full(3, 255.0)
rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
GREY = RGB[..., 0]
DEEP = rng.integers(0, 65536, (SIZE, SIZE)).astype(np.uint16)
DEEP[0, :6] = [0, 1, 128, 129, 65534, 65535]
ALPHA = rng.choice(np.array([0, 1, 128, 254, 255], np.uint8), (SIZE, SIZE))
REAL = (rng.standard_normal((SIZE, SIZE)) * 1000).astype(np.float32)


def three(grey):
    return np.repeat(np.asarray(grey, float)[..., None], 3, -1)


def over(color, alpha, background=WHITE):
    """A colour of this opacity (0 to 255) before a background."""
    opacity = np.asarray(alpha, float)[..., None] / 255
    return np.asarray(color, float) * opacity + background * (1 - opacity)


def saved(pixels, form, mode=None, **kwargs):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode)
    image.save(buffer, form, **kwargs)
    return buffer.getvalue()


def png(samples, bits, color, transparent=None):
    """A PNG file by the standard. samples: `[H, W, C]`; color: PNG's type; transparent: the
    sample(s) of tRNS.
    """
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if bits == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    else:
        unpacked = np.unpackbits(flat.astype(np.uint8)[..., None], -1)[..., 8 - bits:]
        rows = np.packbits(unpacked.reshape(height, -1), -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    trns = b"" if transparent is None else chunk(b"tRNS",
                                                 np.atleast_1d(transparent).astype(">u2").tobytes())
    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)) + trns
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def tiff(data, bits, sample_format=1, photometric=1, order="<"):
    """A TIFF file of one grey page by the standard, its packed rows given."""
    tags = ((256, SIZE), (257, SIZE), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1),
            (278, SIZE), (279, len(data)), (339, sample_format))
    start = 8 + len(data) + len(data) % 2
    directory = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    return ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start) + data
            + b"\0" * (len(data) % 2) + struct.pack(f"{order}H", len(tags)) + directory
            + struct.pack(f"{order}I", 0))


def by_range(values):
    values = values.astype(float)
    return three((values - values.min()) / np.ptp(values) * 255)


def twelve_bits(values):
    """Two samples in three bytes."""
    a, b = values.ravel()[::2].astype(int), values.ravel()[1::2].astype(int)
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()


def palette(transparency=None, form="PNG"):
    """A file of 16 colours, some transparent, and its RGB and alpha."""
    colors = RGB[0, :16]
    index = (GREY % 16).astype(np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(colors.ravel().tolist())
    alpha = np.full(16, 255)
    if isinstance(transparency, bytes):
        alpha[:len(transparency)] = list(transparency)
    elif transparency is not None:
        alpha[transparency] = 0
    kwargs = {} if transparency is None else {"transparency": transparency}
    return saved(image, form, **kwargs), over(colors[index], alpha[index])


def frames(form, **kwargs):
    """Two frames or pages, the second all black."""
    return saved(Image.fromarray(GREY), form, save_all=True,
                 append_images=[Image.new("L", (SIZE, SIZE))], **kwargs)


def keyed(bits, key):
    """Grey PNG with one transparent sample."""
    samples = (DEEP % 2 ** bits).astype(np.uint16)
    samples[0, :4] = key
    grey = three(samples * (255 / (2 ** bits - 1)))
    return png(samples, bits, 0, key), np.where((samples == key)[..., None], WHITE, grey)


def keyed_rgb(bits):
    samples = rng.integers(0, 2 ** bits, (SIZE, SIZE, 3))
    samples[0, :4] = key = [2 ** bits // 3, 7, 2 ** bits - 1]
    return png(samples, bits, 2, key), np.where((samples == key).all(-1, keepdims=True), WHITE,
                                                samples * (255 / (2**bits - 1)))


def cmyk(form, pixels, **kwargs):
    c = pixels.astype(float)
    return saved(pixels, form, "CMYK", **kwargs), (255 - c[..., :3]) * (255 - c[..., 3:]) / 255


def jpeg_of(exif=False, **kwargs):
    """A photograph's file; with `exif`, that of a phone held upright."""
    if exif:
        kwargs["exif"] = Image.Exif()
        kwargs["exif"].update({271: "maker", 274: 6, 306: "2024:01:01 00:00:00"})
    return saved(RGB, "JPEG", **kwargs)


RGBA = np.dstack([RGB, ALPHA])
DEEP_RGB = np.stack([DEEP, DEEP[::-1], DEEP.T], -1)
DEEP_ALPHA = np.where(ALPHA == 0, 0, 65535)
SIGNED = (REAL * 1e6).clip(-2 ** 31, 2 ** 31 - 1).astype(np.int64).astype(np.int32)
UNSIGNED = SIGNED.view(np.uint32)
# Nearest level; Pillow's own integer blending; the high byte, and rounding of the oracle.
ROUNDED, PILLOW, BELOW = .5, 1.0, 1.01

CASES = {  # file, values in 0..255, how far a level may be from them
    "rgb.png": (saved(RGB, "PNG"), RGB, 0),
    "rgb.bmp": (saved(RGB, "BMP"), RGB, 0),
    "rgb.tif": (saved(RGB, "TIFF", compression="tiff_lzw"), RGB, 0),
    "rgb.webp": (saved(RGB, "WEBP", lossless=True), RGB, 0),
    "rgb.ppm": (saved(RGB, "PPM"), RGB, 0),
    "rgb.jp2": (saved(RGB, "JPEG2000"), RGB, 0),
    "rgb.tga": (saved(RGB, "TGA"), RGB, 0),
    "rgb.pcx": (saved(RGB, "PCX"), RGB, 0),
    "rgb.sgi": (saved(RGB, "SGI"), RGB, 0),
    "rgb.ico": (saved(RGB, "ICO", sizes=[(SIZE, SIZE)]), RGB, 0),
    "grey.jpg": (saved(np.full((SIZE, SIZE), 77, np.uint8), "JPEG", quality=100),
      np.full((SIZE, SIZE, 3), 77), 0),
    "grey.png": (saved(GREY, "PNG"), three(GREY), 0),
    "grey of 1 bit.png": (png(DEEP % 2, 1, 0), three(DEEP % 2 * 255), 0),
    "grey of 1 bit.tif": (saved(Image.fromarray(GREY > 99), "TIFF", compression="group4"),
      three((GREY > 99) * 255.0), 0),
    "grey of 2 bits.png": (png(DEEP % 4, 2, 0), three(DEEP % 4 * 85), 0),
    "grey of 12 bits.tif": (tiff(twelve_bits(DEEP >> 4), 12), three((DEEP >> 4) * (255 / 4095)),
      ROUNDED),
    "grey of 16 bits.png": (png(DEEP, 16, 0), three(DEEP / 257), ROUNDED),
    "grey of 16 bits.pgm": (b"P5 64 64 65535\n" + DEEP.astype(">u2").tobytes(), three(DEEP / 257),
      ROUNDED),
    "grey of 16 bits.tif": (saved(DEEP, "TIFF"), three(DEEP / 257), ROUNDED),
    "grey of 16 bits, big end first.tif": (tiff(DEEP.astype(">u2").tobytes(), 16, order=">"),
      three(DEEP / 257), ROUNDED),
    "grey of 16 bits, 0 is white.tif": (tiff(DEEP.tobytes(), 16, photometric=0),
      three(255 - DEEP / 257), ROUNDED),
    "grey of 8 bits, 0 is white.tif": (tiff(GREY.tobytes(), 8, photometric=0),
      three(255.0 - GREY), 0),
    "grey and alpha.png": (saved(np.dstack([GREY, ALPHA]), "PNG", "LA"), over(three(GREY), ALPHA),
      PILLOW),
    "grey and alpha of 16 bits.png": (png(np.dstack([DEEP, DEEP_ALPHA]), 16, 4),
      over(three(DEEP / 257), DEEP_ALPHA / 257), BELOW),
    "rgb of 16 bits.png": (png(DEEP_RGB, 16, 2), DEEP_RGB / 257, BELOW),
    "rgb of 16 bits.ppm": (b"P6 64 64 65535\n" + DEEP_RGB.astype(">u2").tobytes(), DEEP_RGB / 257,
      BELOW),
    "rgba.png": (saved(RGBA, "PNG"), over(RGB, ALPHA), PILLOW),
    "rgba.webp": (saved(RGBA, "WEBP", lossless=True, exact=True), over(RGB, ALPHA), PILLOW),
    "rgba.tif": (saved(RGBA, "TIFF"), over(RGB, ALPHA), PILLOW),
    "rgba of 16 bits.png": (png(np.dstack([DEEP_RGB, DEEP_ALPHA]), 16, 6),
      over(DEEP_RGB / 257, DEEP_ALPHA / 257), BELOW),
    "float.tif": (saved(REAL, "TIFF"), by_range(REAL), ROUNDED),
    "float, 0 is white.tif": (tiff(REAL.tobytes(), 32, 3, photometric=0), 255 - by_range(REAL),
      ROUNDED),
    "integers of 32 bits.tif": (tiff(SIGNED.tobytes(), 32, 2), by_range(SIGNED), ROUNDED),
    "unsigned of 32 bits.tif": (tiff(UNSIGNED.tobytes(), 32, 1), by_range(UNSIGNED), ROUNDED),
    "signed of 16 bits.tif": (tiff(DEEP.tobytes(), 16, 2), by_range(DEEP.view(np.int16)), ROUNDED),
    "palette.png": (*palette(), 0),
    "palette with a transparent colour.png": (*palette(5), 0),
    "palette with alpha.png": (*palette(bytes([0, 128, 255, 1])), PILLOW),
    "palette.gif": (*palette(form="GIF"), 0),
    "palette with a transparent colour.gif": (*palette(5, "GIF"), 0),
    "transparent sample of 1 bit.png": (*keyed(1, 1), 0),
    "transparent sample of 2 bits.png": (*keyed(2, 2), 0),
    "transparent sample of 4 bits.png": (*keyed(4, 7), 0),
    "transparent sample of 8 bits.png": (*keyed(8, 200), 0),
    "transparent sample of 16 bits.png": (*keyed(16, 300), ROUNDED),
    "transparent color.png": (*keyed_rgb(8), 0),
    "transparent color of 16 bits.png": (*keyed_rgb(16), BELOW),
    "cmyk.tif": (*cmyk("TIFF", np.dstack([RGB, GREY[::-1]])), PILLOW),
    "cmyk.jpg": (*cmyk("JPEG", np.full((SIZE, SIZE, 4), [20, 90, 160, 60], np.uint8), quality=100),
                 2),
    "animated.gif": (frames("GIF"), three(GREY), 0),
    "animated.webp": (frames("WEBP", lossless=True), three(GREY), 0),
    "animated.png": (frames("PNG"), three(GREY), 0),
    "pages.tif": (frames("TIFF"), three(GREY), 0),
}
Image.init()
if "AVIF" in Image.SAVE:  # Pillow 11.3 and later
    CASES["rgb.avif"] = (saved(np.full((SIZE, SIZE, 3), [200, 100, 50], np.uint8), "AVIF",
                               quality=100), [200, 100, 50], 2)


def read(data, name="x", **options):
    return decode(name, lambda: io.BytesIO(data), Framing(**options))


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    data, expected, tolerance = CASES[name]
    decoded = read(data, name)
    assert decoded.pixels.shape == (SIZE, SIZE, 3) and decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels - np.asarray(expected, float)).max() <= tolerance + 1e-6
    assert decoded.scaled == ("float" in name or "32" in name or "signed" in name)
    if not name.endswith(".tga"):  # which has no signature
        np.testing.assert_array_equal(read(data, "no ending").pixels, decoded.pixels)


# Where the first row and the first column of what is stored belong when it is seen upright: EXIF
# 2.32, tag 274.
SIDES = {1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
         5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom")}


@pytest.mark.parametrize("form, options", [("JPEG", {"quality": 100, "subsampling": 0}),
                                           ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}),
                                           ("TIFF", {"compression": "tiff_lzw"})])
@pytest.mark.parametrize("orientation", SIDES)
def test_orientation(orientation, form, options):
    """A photograph that was stored as the camera was held is seen upright, and then cropped."""
    upright = np.kron(rng.integers(0, 256, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    row, column = SIDES[orientation]
    stored = upright if row in ("top", "bottom") else upright.transpose(1, 0, 2)
    stored = stored[::-1] if row in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column in ("bottom", "right") else stored
    exif = Image.Exif()
    exif[274] = orientation
    pixels = read(saved(np.ascontiguousarray(stored), form, exif=exif, **options)).pixels
    assert np.abs(pixels - upright[:, 16:80].astype(float)).max() <= (2 if form == "JPEG" else 0)


def test_an_orientation_that_is_none_and_damaged_exif_change_nothing():
    exif = Image.Exif()
    exif[274] = 9
    np.testing.assert_array_equal(read(saved(RGB, "PNG", exif=exif)).pixels, RGB)
    np.testing.assert_array_equal(
        read(saved(RGB, "PNG", exif=b"Exif\0\0II*\0\xff\xff")).pixels, RGB)


def test_what_cannot_be_scaled_is_named():
    with refuses(Unreadable):
        read(saved(np.full((SIZE, SIZE), .25, np.float32), "TIFF"))
    for value in (np.nan, np.inf):
        with refuses(Unreadable):
            read(saved(np.where(GREY > 9, REAL, value).astype(np.float32), "TIFF"))


@pytest.mark.parametrize("name, content", [
    ("list_attr_celeba.csv", b"image_id,Smiling\n000001.jpg,1\n"),
    ("Thumbs.db", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500)),
    ("metadata.json", b"{}"),
    ("empty", b""),
    ("P1.csv", b"P1,P2,P3\n1,2,3\n"),
    ("BMW.txt", b"BMW,1\n"),
    ("zeros.bin", bytes(1000)),
    ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"),
    ("inner.zip", b"PK\3\4" + bytes(90)),
])
def test_what_is_no_image(name, content):
    with pytest.raises(NoImage):
        read(content, name)
    with pytest.raises(Unreadable):
        read(content, "000001.jpg")


@pytest.mark.parametrize("name, content, argument", [
    ("x.jpg", b"<!DOCTYPE html><title>Quota\n exceeded</title>",
     ""),
    ("x.jpg", b"\n <HTML>", ""),
    ("x.png", b"version https://git-lfs.github.com/spec/v1\n",
     ""),
    ("x.jpg", b"", ""),
    ("x.jpg", b"nothing", ""),
    ("IMG_1.HEIC", b"\0\0\0\x18ftypheic", ""),
    ("IMG_1.DNG", CASES["rgb.tif"][0],
     ""),
    ("no ending", b"\xff\xd8\xff\xe0", ""),
])
def test_what_is_an_image_that_cannot_be_read(name, content, argument):
    with refuses(Unreadable, argument):
        read(content, name)


def test_a_decompression_bomb_is_refused():
    """Two hundred million pixels in 400 kB. It is refused by its header: what follows is not read.
    """
    bomb = png(np.zeros((1, 8), np.uint8), 8, 0)
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    bomb = bomb[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + bomb[33:]
    for name in ("bomb.png", "bomb"):
        with pytest.raises(Unreadable, match="decompression bomb"):  # Pillow's words
            read(bomb, name)


def test_names_and_first_bytes():
    assert all(
        map(is_image_name,
            ("a.JPG", "b/c.jpeg", ".png", "x.tif", "x.heic", "x.NEF", "x.tga", "x.webp")))
    assert not any(map(is_image_name, ("jpg", "a.jpg.txt", "x.eps", "x.h5", "x.pdf", "", "x.mp4")))
    assert recognised(bytes(257) + b"ustar") == "a tar archive"
    assert recognised(b"\x1f\x8b\x08") == "a gzip file" and recognised(
        b"Rar!\x1a\7") == "a RAR archive"
    assert recognised(b"text") is None


FILES = {
    **{name: data
       for name, (data, _, _) in CASES.items()}, "photograph.jpg": jpeg_of(exif=True),
    "progressive.jpg": jpeg_of(progressive=True)
}


@pytest.mark.filterwarnings("ignore")  # of Pillow on what it finds in the files
@pytest.mark.parametrize("name", FILES)
def test_damaged_images(name, damaged):
    """Each is read, or refused on one line; none ends in anything else."""
    for data in damaged(FILES[name], zlib.crc32(name.encode())):
        try:
            pixels = read(data, name, image_size=32).pixels
            assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
        except (Unreadable, UnsuitableSize) as refused:
            assert str(refused).isprintable() and 5 < len(str(refused)) < 300, refused
        try:
            read(data, "no ending")
        except (NoImage, Unreadable, UnsuitableSize):
            pass
