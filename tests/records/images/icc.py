"""ICC profiles laid out byte by byte after ICC.1:2001, and the numbers that a colour has in them, by NumPy."""

import struct
from collections.abc import Callable, Mapping

import numpy as np

WHITE_D65, WHITE_D50 = np.array([0.95047, 1.0, 1.08883]), np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
PRIMARIES = {  # chromaticities x, y of red, green and blue; the white of all is D65
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "Display P3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}


def srgb_decode(values: np.ndarray) -> np.ndarray:
    """Returns light, 0..1, of sRGB values 0..1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_encode(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def adobe_encode(light: np.ndarray) -> np.ndarray:
    return np.maximum(light, 0) ** (256 / 563)


ENCODE: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sRGB": srgb_encode,
    "Display P3": srgb_encode,
    "Adobe RGB": adobe_encode,
}


def matrix(space: str) -> np.ndarray:
    """Returns the matrix from linear RGB to XYZ, as seen under D50."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in PRIMARIES[space]]).T
    unadapted = columns * np.linalg.solve(columns, WHITE_D65)
    gains = (BRADFORD @ WHITE_D50) / (BRADFORD @ WHITE_D65)
    return np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ unadapted


def in_space(srgb: np.ndarray, space: str) -> np.ndarray:
    """Returns the numbers, uint8, that the colours of an sRGB photograph have in another RGB space."""
    light = srgb_decode(srgb / 255) @ (np.linalg.inv(matrix(space)) @ matrix("sRGB")).T
    return np.rint(255 * np.clip(ENCODE[space](light), 0, 1)).astype(np.uint8)


def rgb_profile(space: str) -> bytes:
    """Returns a profile of a display with three primaries and one curve for all."""
    columns = matrix(space).T
    if space == "Adobe RGB":
        curve = _gamma(563 / 256)
    else:
        curve = b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *_levels(srgb_decode(np.linspace(0, 1, 1024))))
    tags = {f"{name}XYZ": _xyz(column) for name, column in zip("rgb", columns, strict=True)}
    return _profile(b"RGB ", b"XYZ ", tags | {f"{name}TRC": curve for name in "rgb"})


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", {"kTRC": _gamma(gamma)})


def cmyk_profile(lab_of: Callable[[np.ndarray], np.ndarray], points: int = 9) -> bytes:
    """Returns a profile of a printer: a table of the colours, L*a*b* `[n, 3]`, of inks 0..1 `[n, 4]`."""
    axis = np.linspace(0, 1, points)
    inks = np.stack(np.meshgrid(*[axis] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    encoded = lab_of(inks) * (65280 / 100, 256, 256) + (0, 32768, 32768)
    ramp = _levels(np.array([0, 1]))
    head = (
        b"mft2"
        + bytes(4)
        + struct.pack(">BBBB", 4, 3, points, 0)
        + struct.pack(">9i", *(65536 * np.eye(3)).ravel().astype(int))
    )
    table = head + struct.pack(">HH", 2, 2) + struct.pack(">8H", *ramp * 4)
    table += np.rint(encoded).astype(">u2").tobytes() + struct.pack(">6H", *ramp * 3)
    return _profile(b"CMYK", b"Lab ", {"A2B0": table}, kind=b"prtr")


def _levels(values: np.ndarray) -> list[int]:
    return np.rint(65535 * values).astype(int).tolist()


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *np.rint(65536 * np.asarray(values)).astype(int))


def _profile(space: bytes, connection: bytes, tags: Mapping[str, bytes], *, kind: bytes = b"mntr") -> bytes:
    name = b"drawn"
    described = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 4 + 4 + 2 + 1 + 67)
    content = {"desc": described, "cprt": b"text" + bytes(4) + b"none\0", "wtpt": _xyz(WHITE_D50)} | dict(tags)
    start = 128 + 4 + 12 * len(content)
    directory, body = struct.pack(">I", len(content)), b""
    for tag, data in content.items():
        directory += struct.pack(">4sII", tag.encode(), start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), bytes(4), 0x02400000, kind, space, connection, bytes(12), b"acsp"
    )
    header += bytes(28) + _xyz(WHITE_D50)[8:]
    return header + bytes(128 - len(header)) + directory + body
