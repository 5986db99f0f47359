"""Runs MODEL.onnx by onnxruntime on the tensors of IN.safetensors, and prints by how much its outputs differ at
most from those of the same names in OUT.safetensors, relative to the largest number there or to 1.

    run_onnx.py MODEL.onnx IN.safetensors OUT.safetensors
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime


def tensors(path):
    with open(path, "rb") as f:
        length = int.from_bytes(f.read(8), "little")
        header, data = json.loads(f.read(length)), f.read()
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
    return {
        name: np.frombuffer(data[slice(*e["data_offsets"])], types[e["dtype"]]).reshape(e["shape"])
        for name, e in header.items()
        if name != "__metadata__"
    }


model, given, expected = sys.argv[1:]
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
assert json.loads(about["input"])["sizes"] and about["model"], about
names = [o.name for o in session.get_outputs()]
found = dict(zip(names, session.run(names, tensors(given))))
worst = 0.0
for name, truth in tensors(expected).items():
    assert found[name].shape == truth.shape, (name, found[name].shape, truth.shape)
    worst = max(worst, float(np.abs(found[name] - truth).max() / max(1.0, np.abs(truth).max())))
print(worst)
