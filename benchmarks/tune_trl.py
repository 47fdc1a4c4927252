"""TRL's side of benchmarks/tune.py: `python tune_trl.py TRIAL.json STEPS.json`. Nothing of honed is imported.

As a user would write it, with TRL's defaults but for what makes the two sides equal. Gradient checkpointing, on by
default, is off unless asked for: it makes TRL slower and smaller, and honed does not use it here.
"""

import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer


def main() -> None:
    trial = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    dtype = getattr(torch, trial["dtype"])
    quantization = None
    if trial["base_precision"] == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    cuda = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(
        trial["model"],
        dtype=dtype,
        quantization_config=quantization,
        device_map={"": "cuda" if cuda else "cpu"},
        local_files_only=True,
    )
    rows = [json.loads(line) for line in Path(trial["rows"]).read_text("utf-8").splitlines()]
    arguments = SFTConfig(
        output_dir=trial["output"],
        num_train_epochs=trial["epochs"],
        per_device_train_batch_size=trial["batch_size"],
        learning_rate=trial["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=trial["warmup_fraction"],
        max_grad_norm=trial["max_gradient_norm"],
        weight_decay=trial["weight_decay"],
        gradient_checkpointing=trial["gradient_checkpointing"],
        completion_only_loss=True,
        max_length=None,
        bf16=dtype == torch.bfloat16,
        use_cpu=not cuda,
        dataloader_pin_memory=cuda,
        seed=trial["seed"],
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(trial["model"], local_files_only=True),
        peft_config=LoraConfig(
            r=trial["rank"],
            lora_alpha=trial["alpha"],
            lora_dropout=trial["dropout"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    if dtype == torch.float32:
        # TRL casts the adapters of a quantised base to bfloat16. Where bfloat16 is emulated, that would make TRL's
        # adapters, and nothing else on either side, compute many times slower.
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()

    batches: list[int] = []  # real tokens of each; the loader is a batch ahead of the steps
    steps: list[tuple[float, int]] = []
    collate = trainer.data_collator

    def counted(features):
        batch = collate(features)
        batches.append(int(batch["attention_mask"].sum()))
        return batch

    class Clock(TrainerCallback):
        def on_step_end(self, _arguments, state, control, **_):
            steps.append((time.time(), sum(batches[: state.global_step])))
            warm = trial["warm_up_steps"]
            if trial["stop_after_s"] and len(steps) > warm:
                control.should_training_stop = steps[-1][0] - steps[warm - 1][0] >= trial["stop_after_s"]
            return control

    trainer.data_collator = counted
    trainer.add_callback(Clock())
    trainer.train()
    trainer.save_model(trial["output"])
    told = {"steps": steps, "total_steps": trainer.state.max_steps}
    Path(sys.argv[2]).write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main()
