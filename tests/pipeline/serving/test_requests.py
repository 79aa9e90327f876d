"""Requests in rows and columns become arrays, replies become JSON, and hostile ones become one line."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from configs import InputError
from pipeline.serving.requests import InputForm, encode_reply, parse_request

TEXT, FLOAT, INT = np.dtype(object), np.dtype(np.float32), np.dtype(np.int32)
SIGNATURES = {
    "serving_default": {"encoded_photograph": InputForm((), TEXT)},
    "segment": {"photograph": InputForm((None, None, 3), np.dtype(np.uint8))},
    "lesions": {
        "encoded_photographs": InputForm((None,), TEXT),
        "thresholds": InputForm((None, None), FLOAT, np.zeros((1, 1), np.float32)),
        "min_areas": InputForm((None, None), INT, np.zeros((1, 1), np.int32)),
    },
}


def png(height: int = 5, width: int = 7) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that says it has so many pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def parse(content: object, *, max_pixels: int = 1000, max_photographs: int = 4):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_request(body, SIGNATURES, max_pixels=max_pixels, max_photographs=max_photographs)


def test_columns_and_rows_of_the_same_photographs_are_the_same_arrays():
    files = [png(), png(3, 3)]
    columns = parse({"signature_name": "lesions", "inputs": {"encoded_photographs": [b64(one) for one in files]}})
    bare = parse({"signature_name": "lesions", "instances": [b64(one) for one in files]})
    named = parse({"signature_name": "lesions", "instances": [{"encoded_photographs": b64(one)} for one in files]})
    for request in (columns, bare, named):
        assert request.inputs["encoded_photographs"].tolist() == files
        assert request.inputs["thresholds"].tolist() == [[0.0]]
        assert (request.signature, request.photographs) == ("lesions", 2)
    assert (columns.rows, bare.rows, named.rows) == (False, True, True)


def test_each_row_has_its_own_options():
    rows = [{"encoded_photographs": b64(png()), "thresholds": [share], "min_areas": [2, 3]} for share in (0, 0.5)]
    inputs = parse({"signature_name": "lesions", "instances": rows}).inputs
    assert inputs["thresholds"].tolist() == [[0.0], [0.5]]
    assert inputs["min_areas"].tolist() == [[2, 3], [2, 3]]
    assert (inputs["thresholds"].dtype, inputs["min_areas"].dtype) == (FLOAT, INT)


def test_the_only_input_needs_no_name_and_the_default_signature_none_either():
    request = parse({"inputs": b64(png())})
    assert request.signature == "serving_default"
    assert request.inputs["encoded_photograph"].shape == ()
    assert request.inputs["encoded_photograph"].item() == png()
    pixels = np.arange(12).reshape(2, 2, 3)
    np.testing.assert_array_equal(
        parse({"signature_name": "segment", "inputs": pixels.tolist()}).inputs["photograph"], pixels
    )


@given(st.binary(max_size=40))
@settings(max_examples=50, deadline=None)
def test_both_alphabets_of_base64_are_read_with_and_without_padding(tail):
    content = png() + b"\xfb\xff\xfe" + tail
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for text in (encode(content).decode(), encode(content).decode().rstrip("=")):
            assert parse({"inputs": {"b64": text}}).inputs["encoded_photograph"].item() == content


def lesions(**inputs: object) -> dict:
    return {"signature_name": "lesions", "inputs": {"encoded_photographs": [b64(png())]} | inputs}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "must be a JSON object"),
        ({}, 'either "instances"'),
        ({"inputs": 1, "instances": 1}, 'either "instances"'),
        ({"signature_name": ["x"], "inputs": {}}, "there is no signature"),
        ({"signature_name": "other", "inputs": {}}, "there is no signature 'other'; the model has serving_default,"),
        ({"inputs": "text"}, "expected the bytes of a file as"),
        ({"inputs": {"b64": 5}}, "expected the bytes of a file as"),
        ({"inputs": {"b64": "§§§"}}, "the text is not base64"),
        ({"inputs": b64(b"GIF89a")}, "not a JPEG or PNG that can be read"),
        ({"inputs": b64(png()[:20])}, "not a JPEG or PNG that can be read"),
        ({"inputs": b64(bomb(100_000, 100_000))}, "a photograph of 100000x100000 pixels; 1000 are allowed"),
        ({"inputs": [b64(png())]}, r"encoded_photograph has the shape \[1\]; expected \[\]"),
        ({"instances": [b64(png())]}, "takes one photograph and no rows"),
        ({"signature_name": "lesions", "instances": []}, "at least one row"),
        ({"signature_name": "lesions", "instances": [b64(png())] * 5}, "5 photographs, but a request may have 4"),
        ({"signature_name": "lesions", "instances": [b64(png(20, 20))] * 3}, "1200 pixels, but the photographs of a"),
        (
            {
                "signature_name": "lesions",
                "instances": [b64(png()), {"encoded_photographs": b64(png())} | {"min_areas": [1]}],
            },
            "all rows must have the same names",
        ),
        (lesions(threshold=[[1]]), "there is no input 'threshold'; the signature takes encoded_photographs"),
        (lesions(thresholds=0.5), r"thresholds has the shape \[\]; expected \[any, any\]"),
        (lesions(thresholds=[[]]), "thresholds is empty"),
        (lesions(thresholds=[[0.5], [0.5, 0.6]]), "lists of different lengths"),
        (lesions(thresholds=[[0.5], 0.5]), "lists of different depths"),
        (lesions(thresholds=[["a" * 1000, "b"]]), "expected numbers"),
        (lesions(thresholds=[[True]]), "expected numbers"),
        (lesions(thresholds=[[None]]), "expected numbers"),
        (lesions(thresholds=[[{"b64": ""}]]), "expected numbers"),
        (lesions(thresholds=[[10**400]]), "too large"),
        (lesions(thresholds=[[float("nan")]]), "expected finite numbers"),
        (lesions(min_areas=[[1.5]]), "expected whole numbers from"),
        (lesions(min_areas=[[2**40]]), "expected whole numbers from"),
        (lesions(min_areas=[[[[[[[[[[1]]]]]]]]]]), "nested more than 8 times"),
        ({"signature_name": "segment", "inputs": [[[0, 0, 256]]]}, "expected whole numbers from 0 to 255"),
        ({"signature_name": "segment", "inputs": np.zeros((40, 40, 3), int).tolist()}, "1600 pixels, but"),
        (
            {"signature_name": "lesions", "inputs": {"thresholds": [[0.5]]}},
            "the input 'encoded_photographs' is missing",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_says_why(content, message):
    with pytest.raises(InputError, match=message) as raised:
        parse(content)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


def test_replies_have_the_form_of_tensorflow_serving():
    one = {"probabilities": np.float32([[0.5], [0.25]])}
    assert json.loads(encode_reply(one, rows=False)) == {"outputs": [[0.5], [0.25]]}
    assert json.loads(encode_reply(one, rows=True)) == {"predictions": [[0.5], [0.25]]}
    files = np.empty((1, 2), object)
    files[:] = [[b"\xff\xfe", b""]]
    two = {"number": np.int32([7]), "masks_bytes": files}
    listed = [{"b64": "//4="}, {"b64": ""}]
    assert json.loads(encode_reply(two, rows=False)) == {"outputs": {"number": [7], "masks_bytes": [listed]}}
    assert json.loads(encode_reply(two, rows=True)) == {"predictions": [{"number": 7, "masks_bytes": listed}]}
    with pytest.raises(InputError, match="does not reply in rows"):
        encode_reply({"one": np.zeros(2), "other": np.zeros(3)}, rows=True)
