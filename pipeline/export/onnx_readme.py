"""The README of an ONNX export."""

from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint

README = """\
# A fundus-tiles export in ONNX

`segmenter.onnx` maps a whole fundus photograph of any size to one probability map per class, to masks and to a table of
lesions. It needs only onnxruntime (1.18 or later). Not a medical device.

| class | threshold | least detection, pixels{where} |
| --- | --- | --- |
{rows}

| input | |
| --- | --- |
| `photograph` | uint8 RGB `[H, W, 3]`, upright, in sRGB |
| `thresholds` | float32 `[{classes}]`; if left out, those above |
| `find_lesions` | bool scalar; if left out, true; with false, masks and lesions are empty, and it takes less time |

| output | |
| --- | --- |
| `probabilities` | float32 0..1 `[H, W, {classes}]` |
| `masks` | the pixels of the detections, bool `[H, W, {classes}]` |
| `lesions` | float32 `[n, 10]`, columns below |

```python
session = onnxruntime.InferenceSession("segmenter.onnx")
probabilities, masks, lesions = session.run(None, {{"photograph": pixels}})
```

Columns of `lesions`: number of the class; y, x, height and width of the bounding box; number of pixels; y and x of the
centre; mean and largest probability. Class by class, from top to bottom.

`python client.py PHOTOGRAPH OVERLAY.png` prints the lesions and draws them; its 30 lines need pillow, too. The file's
metadata, and `metadata.json`, have classes, thresholds and names of columns. `network.onnx` is the network alone, of
tiles of the scaled photograph, to run it elsewhere: `tiles.onnx` makes `tiles` of `photograph`, and says which are
`kept`; `map.onnx` takes their `maps`, zeros where not `kept`, with `scale` and `size`, and gives the outputs above.

The graph resizes the photograph to {scale}, cuts it into tiles of {tile} pixels, and blends and enlarges their maps.
Weights: {precision}, {megabytes:.1f} MB. The largest difference of a probability from TensorFlow's was {difference:.1e}
on `golden.jpg` where this was exported; `python verify_onnx.py` compares the map of another machine, and the time that
the graph takes with that of its bare network.
"""


def onnx_readme(
    segmenter: TiledSegmenter, operating_point: OperatingPoint, *, precision: str, megabytes: float, difference: float
) -> str:
    """Returns the README of an export."""
    spec = segmenter.spec
    areas = operating_point.min_areas or operating_point.least_areas
    rows = zip(spec.classes, operating_point.thresholds, areas, strict=True)
    return README.format(
        rows="\n".join(f"| {name} | {threshold:g} | {area:g} |" for name, threshold, area in rows),
        where=" of the scaled photograph" if operating_point.min_areas else "",
        classes=len(spec.classes),
        scale=segmenter.rule,
        tile=spec.tile,
        precision=precision,
        megabytes=megabytes,
        difference=difference,
    )
