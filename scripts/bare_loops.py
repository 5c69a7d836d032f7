"""Programs that time a file without anything of Lightship, for a process of their own.

Each takes a file or folder, an array of images and a number of threads, and prints the median
seconds of a call as JSON.
"""

from __future__ import annotations

BARE_ONNX = """
import json, sys, time
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
images = numpy.load(sys.argv[2])
end = time.perf_counter() + 1
while time.perf_counter() < end:
    session.run(None, {"images": images})
seconds = []
end = time.perf_counter() + 3
while time.perf_counter() < end:
    started = time.perf_counter()
    session.run(None, {"images": images})
    seconds.append(time.perf_counter() - started)
print(json.dumps(float(numpy.median(seconds))))
"""
BARE_EAGER = """
import json, sys
import numpy, torch, torchvision
from safetensors.torch import load_file
from torch.utils.benchmark import Timer
folder, threads = sys.argv[1], int(sys.argv[3])
network = json.load(open(folder + "/network.json"))
module = torchvision.models.get_model(network["builder"], weights=None, **network["options"])
module.load_state_dict(load_file(folder + "/model.safetensors"))
module.eval()
images = torch.from_numpy(numpy.load(sys.argv[2]))
with torch.inference_mode():
    timer = Timer("module(images)", globals={"module": module, "images": images},
                  num_threads=threads)
    timer.blocked_autorange(min_run_time=1)
    print(json.dumps(timer.blocked_autorange(min_run_time=3).median))
"""
