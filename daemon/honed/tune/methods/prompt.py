"""Learned embeddings before every prompt (prompt tuning: Lester et al. 2021, arXiv 2104.08691).

    [P; X]        P [P, D] trains and starts as the embeddings of tokens drawn from the vocabulary

By PEFT; `virtual` puts them before the tokens.
"""

from honed.tune.methods.settings import Settings
from peft import PeftModel, PromptTuningConfig, PromptTuningInit, get_peft_model
from transformers import PreTrainedModel


def attach(model: PreTrainedModel, settings: Settings) -> PeftModel:
    """Adds embeddings of drawn tokens."""
    config = PromptTuningConfig(
        num_virtual_tokens=settings.virtual_tokens,
        prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)
