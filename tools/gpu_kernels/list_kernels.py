"""Writes the types for which each op has a GPU kernel, as registered in TensorFlow's CUDA build; needs no GPU.

python list_kernels.py FILE OP…
"""

import json
import sys
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework import kernels


def main(file: str, *ops: str) -> None:
    """Writes the kernels of the ops to a JSON file, one op per line."""
    if not tf.test.is_built_with_cuda():
        sys.exit(
            "this TensorFlow is built without CUDA and has no GPU kernels: install tensorflow, not tensorflow-cpu."
        )
    lines = [f"{json.dumps(op)}: {json.dumps(_gpu_kernels(op))}" for op in sorted(ops)]
    Path(file).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _gpu_kernels(op: str) -> list[str]:
    """Returns the types that each kernel supports, such as "SrcT=uint8 DstT=float32"."""
    found = {
        " ".join(f"{one.name}={_names(one.allowed_values.list.type)}" for one in kernel.constraint)
        for kernel in kernels.get_registered_kernels_for_op(op).kernel
        if kernel.device_type in ("GPU", "DEFAULT")  # "DEFAULT" kernels run on every device
    }
    return sorted(found)


def _names(types: list[int]) -> str:
    return "|".join(tf.as_dtype(value).name for value in types)


if __name__ == "__main__":
    main(*sys.argv[1:])
