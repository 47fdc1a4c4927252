"""The evaluations that several jobs make, with their progress reported."""

from honed.data import Prepared, Renderer
from honed.evaluate import (
    Evaluation,
    Generator,
    few_shot_prompts,
    free_accuracy,
    likelihood_accuracy,
    tuned_prompts,
    zero_shot_prompts,
)
from honed.tune.predict import TorchPredictor
from honed.worker.report import Report


def evaluate_base(
    predictor: TorchPredictor, renderer: Renderer, data: Prepared, few_shot: int | None, report: Report
) -> list[Evaluation]:
    """A base model zero-shot and few-shot, by its greedy answer and, with labels, by likelihood."""
    few, shots = few_shot_prompts(data, few_shot)
    subjects = [("base zero-shot", zero_shot_prompts(data))]
    if shots:
        subjects.append((f"base {shots}-shot", few))
    evaluations: list[Evaluation] = []
    for subject, prompts in subjects:
        report.phase(f"evaluating {subject}, replies")
        evaluations.append(free_accuracy(predictor, renderer, data, prompts, subject, report.rows()))
        report.evaluation(evaluations[-1])
        if data.labels:
            report.phase(f"evaluating {subject}, likelihoods")
            evaluations.append(likelihood_accuracy(predictor, renderer, data, prompts, subject, report.rows()))
            report.evaluation(evaluations[-1])
    return evaluations


def evaluate_tuned(
    predictor: Generator, renderer: Renderer, data: Prepared, subject: str, report: Report
) -> list[Evaluation]:
    """A tuned model by its greedy answer to the prompts it was tuned on."""
    report.phase(f"evaluating {subject}")
    evaluation = free_accuracy(predictor, renderer, data, tuned_prompts(data), subject, report.rows())
    report.evaluation(evaluation)
    return [evaluation]
