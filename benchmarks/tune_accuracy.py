"""Asks adapters for the test rows of a data set, greedy: `python tune_accuracy.py JSON`, a part of benchmarks/tune.py.

Whoever made an adapter, PEFT attaches it to the base as honed loads and quantises it, and honed's evaluation asks it.
Prints, as JSON, for each adapter which rows it has right.
"""

import json
import sys
from pathlib import Path

from honed.data import Prepared, Renderer
from honed.evaluate import Who
from honed.tune import base
from honed.tune.predict import TorchPredictor
from honed.worker.evaluation import Evaluation
from honed.worker.report import Report
from peft import PeftModel


def main() -> None:
    asked = json.loads(sys.argv[1])
    model_folder, data = Path(asked["model"]), Prepared.load(Path(asked["data"]))
    renderer = Renderer.load(model_folder)
    evaluation = Evaluation("accuracy", data, "", Report(Path(asked["scratch"])), max_rows=None, seed=0)
    dtype = base.compute_dtype()
    for name, adapter in asked["adapters"].items():
        model = base.load_to_tune(model_folder, dtype)
        base.quantize_linears(model, asked["precision"], keep_dequantized=True)
        tuned = PeftModel.from_pretrained(model, adapter).eval()
        evaluation.asked(TorchPredictor(tuned), renderer, Who(name, name, f"torch {base.name(dtype)}", tuned=True))
    found = {result.who.name: result.right for result in evaluation.evidence.results if result.mode == "free"}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
