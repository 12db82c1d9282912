"""ONNX Runtime on the files and rows of `udfs/kernels/examples/onnx.rs`: microseconds a row, one at a time and all at
once, one thread. Run: python onnx_rows.py FILE…   (numpy, onnxruntime)
"""

import sys
import time

import numpy as np
import onnxruntime

ROWS = 20_000
KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


def main():
    print("file,us_a_row_alone,us_a_row_in_a_table")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for path in sys.argv[1:]:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feeds, first = {}, 0
        for given in session.get_inputs():
            width = given.shape[1] if len(given.shape) > 1 else 1
            row, column = np.arange(ROWS)[:, None], first + np.arange(width)[None, :]
            values = ((row * 7919 + column * 104_729) % 30).astype(KINDS[given.type])
            feeds[given.name] = values if len(given.shape) > 1 else values[:, 0]
            first += width
        scores = [session.get_outputs()[-1].name]
        ones = [{name: values[i:i + 1] for name, values in feeds.items()} for i in range(ROWS)]
        session.run(scores, ones[0])
        began = time.perf_counter()
        for one in ones:
            session.run(scores, one)
        alone = time.perf_counter() - began
        began = time.perf_counter()
        session.run(scores, feeds)
        together = time.perf_counter() - began
        print(f"{path.rsplit('/', 1)[-1]},{alone * 1e6 / ROWS:.2f},{together * 1e6 / ROWS:.2f}")


main()
