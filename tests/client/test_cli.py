"""The command line in this process, against the twin: what goes to stdout, what to stderr, and the exit code."""

import hashlib
import inspect
import json

import pytest
from honed.client.cli.adapters import combine
from honed.client.cli.app import app
from honed.client.cli.sweep import sweep
from honed.client.cli.tune import Method, tune
from honed.v1 import jobs_pb2
from honed.v1.jobs_pb2 import (
    BASE_PRECISION_BF16,
    BASE_PRECISION_UNSPECIFIED,
    SWEEP_STRATEGY_HALVING,
    Augmentation,
    CombineSpec,
    SweepSpec,
    TuneSpec,
    WeightedAdapter,
)
from honed.v1.models_pb2 import Model
from typer.main import get_command


def leaf_commands(command, path=()):
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaf_commands(child, (*path, name))


COMMANDS = list(leaf_commands(get_command(app)))

HEADLINE = "tuned is better than base zero-shot on 12 rows: accuracy 0.917 against 0.500."

SWEEP = ("sweep", "a", "--model", "m", "--data", "d")

# Options and what is shown


def test_the_commands_are_those_of_the_architecture():
    assert [" ".join(path) for path, _ in COMMANDS] == [
        "status",
        "tune",
        "sweep",
        "eval",
        "export",
        "run",
        "chat",
        *(f"models {name}" for name in ("import", "ls", "show", "rm")),
        *(f"data {name}" for name in ("add", "ls", "show", "preview", "rm")),
        *(f"templates {name}" for name in ("ls", "show", "add", "rm")),
        *(f"jobs {name}" for name in ("ls", "show", "logs", "wait", "cancel", "pause", "resume", "rm")),
        *(f"reports {name}" for name in ("ls", "show", "get", "rm")),
        *(f"adapters {name}" for name in ("ls", "show", "combine", "rm")),
        *(f"exports {name}" for name in ("ls", "show", "rm")),
    ]


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_every_command_has_help_and_takes_json(run_hone, path):
    result = run_hone(*path, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_every_field_of_a_tune_spec_is_an_option():
    names = {
        "dataset": "data",
        "base_precision": "base",
        "earlier_datasets": "earlier",
        "compile": "compile_layers",
    }
    fields = {names.get(field.name, field.name) for field in TuneSpec.DESCRIPTOR.fields}
    copies = {field.name for field in Augmentation.DESCRIPTOR.fields}
    assert fields - {"augmentation"} | copies <= inspect.signature(tune).parameters.keys()
    searched = {"learning_rate", "rank", "epochs", "adapter"}  # given as lists, and what no trial begins with
    assert fields - {"augmentation"} - searched | copies <= inspect.signature(sweep).parameters.keys()


def test_every_field_of_a_sweep_spec_is_an_option():
    fields = {field.name for field in SweepSpec.DESCRIPTOR.fields} - {"tune"}
    assert fields <= inspect.signature(sweep).parameters.keys()


def test_every_method_is_a_word_of_tune(hone, twin):
    assert [f"METHOD_{method.upper()}" for method in Method] == jobs_pb2.Method.keys()[1:]
    options = ["--target", "*.q_proj", "--target", "*.v_proj", "--virtual-tokens", 9, "--block-size", 8, "--width", 7]
    hone("tune", "a", "--model", "m", "--data", "d", "--method", "oft", *options)
    spec = twin.requests[0].job.tune
    assert (spec.method, list(spec.target_modules)) == (jobs_pb2.METHOD_OFT, ["*.q_proj", "*.v_proj"])
    assert (spec.virtual_tokens, spec.block_size, spec.width) == (9, 8, 7)
    assert spec.base_precision == jobs_pb2.BASE_PRECISION_UNSPECIFIED  # the server knows which a method takes


def test_the_status_is_printed_as_fields_with_readable_sizes(hone):
    result = hone("status")
    assert result.exit_code == 0
    assert "version           0.1.0\n" in result.stdout
    assert "daemon_rss_bytes  50.0 MiB (52428800 bytes)\n" in result.stdout
    assert "running_job       –\n" in result.stdout


@pytest.mark.parametrize("args", [("--json", "status"), ("status", "--json")])
def test_json_may_stand_before_the_command_or_after_it(hone, args):
    status = json.loads(hone(*args).stdout)
    assert status["version"] == "0.1.0"
    assert status["queued_jobs"] == 0


def test_the_address_option_comes_before_the_environment(address, run_hone, monkeypatch):
    monkeypatch.setenv("HONED_ADDRESS", "unix:/nowhere")
    assert run_hone("--address", address, "status").exit_code == 0


def test_the_token_files_content_is_sent(hone, bookkeeper, tmp_path):
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert hone("--token-file", file, "status").exit_code == 0
    assert bookkeeper.calls == [("/honed.v1.SystemService/GetStatus", "Bearer secret")]


# Exit codes


@pytest.mark.parametrize(
    ("args", "exit_code", "message"),
    [
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("tune", "a"), 2, "Missing option '--data'"),
        (("tune", "a", "--data", "d"), 2, "a model is needed: --model, or --from"),
        (("adapters", "combine", "c", "a", "b"), 2, "the combination must be ADAPTER=WEIGHT, found 'a'"),
        (("adapters", "combine", "c", "a=1", "b=much"), 2, "weights must be numbers, found 1, much"),
        (("adapters", "combine", "c", "a=1", "a=2"), 2, "the combination gives 'a' twice"),
        (("adapters", "combine", "c", "models/a=1", "b=2"), 2, "the name must be adapters/ID, found 'models/a'"),
        (("adapters", "combine", "c", "a=1", "b=2", "--method", "mean"), 2, "Invalid value for '--method'"),
        (("tune", "a", "--model", "m", "--data", "d", "--rank", "many"), 2, "Invalid value for '--rank'"),
        (("tune", "a", "--model", "m", "--data", "d", "--html", "a.html", "--no-wait"), 2, "with --no-wait"),
        ((*SWEEP, "--lr", "1e-3,many"), 2, "--lr must be numbers with commas between them, found '1e-3,many'"),
        ((*SWEEP, "--rank", "1.5"), 2, "--rank must be numbers"),
        ((*SWEEP, "--epochs", ""), 2, "--epochs must be numbers"),
        ((*SWEEP, "--time-limit", "30"), 2, "must be a number with s, m or h behind it, found '30'"),
        ((*SWEEP, "--time-limit", "xm"), 2, "found 'xm'"),
        ((*SWEEP, "--strategy", "luck"), 2, "Invalid value for '--strategy'"),
        ((*SWEEP, "--html", "a.html", "--skip-evaluation"), 2, "leaves out"),
        (("tune", "a", "--model", "m", "--data", "d", "--html", "a.html", "--skip-evaluation"), 2, "leaves out"),
        (("tune", "a", "--model", "m", "--data", "d", "--tensorboard", "tb", "--no-wait"), 2, "hone jobs logs JOB"),
        (("tune", "a", "--model", "m", "--data", "d", "--html", "/nowhere/a.html"), 2, "/nowhere does not exist"),
        (("eval", "models/m", "--data", "d", "--shots", "0,many"), 2, "whole numbers with commas between them"),
        (("eval", "models/m", "--data", "d", "--report-json", "a.json", "--no-wait"), 2, "with --no-wait"),
        (("eval", "m", "--data", "d"), 2, "models/ID or adapters/ID or exports/ID, found 'm'"),
        (("data", "add", "/nothing.csv"), 2, "does not exist"),
        (("templates", "add", "/nothing.json"), 2, "does not exist"),
        (("models", "import", "m", "/nothing"), 2, "--server-path"),
        (("models", "import", "m", "/tmp", "--sha256", "abc"), 2, "FILE=HEX"),
        (("models", "import", "m", "/srv", "--server-path", "--sha256", "a=b"), 2, "do not go with --server-path"),
        (("run", "exports/e", "a", "--raw", "--system", "b"), 2, "--system needs the chat template"),
        (("run", "exports/e", "a", "--row", "text=b"), 2, "--row fills the adapter's template"),
        (("run", "exports/e", "--row", "text"), 2, "--row must be SLOT=VALUE, found 'text'"),
        (("run", "exports/e", "--row", "a=b", "--row", "a=c"), 2, "--row gives 'a' twice"),
        (("run", "bare", "a"), 2, "hone: the name must be exports/ID or adapters/ID or models/ID, found 'bare'"),
        (("models", "show", "m"), 3, "hone: there is no models/m\n(MODEL_NOT_FOUND)\n"),
        (("run", "exports/private", "a"), 4, "hone: this is not yours"),
        (("tune", "a", "--model", "m", "--data", "d", "--batch-size", "4096"), 6, "(MEMORY_EXCEEDED)"),
        (("tune", "doomed", "--model", "m", "--data", "d"), 7, "hone: jobs/1 failed: the worker was killed"),
    ],
)
def test_an_error_has_its_message_and_its_exit_code(hone, args, exit_code, message):
    result = hone(*args)
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert result.stdout == ""


def test_a_refused_field_is_named_below_the_message(hone):
    result = hone("tune", "a", "--model", "m", "--data", "d", "--rank", 1000)
    assert result.exit_code == 2
    assert result.stderr == (
        "hone: the request is malformed\n  job.tune.rank: must be 1 to 512, found 1000\n(FIELD_INVALID)\n"
    )


def test_a_daemon_that_is_not_there_has_exit_code_5_and_a_hint(run_hone, tmp_path):
    result = run_hone("--address", f"unix:{tmp_path}/nobody", "status")
    assert result.exit_code == 5
    assert "Is the daemon running?" in result.stderr


def test_a_malformed_address_is_a_usage_error(run_hone, monkeypatch):
    monkeypatch.setenv("HONED_ADDRESS", "nonsense")
    result = run_hone("status")
    assert result.exit_code == 2
    assert "must be unix:PATH or host:port" in result.stderr


def test_a_token_file_that_is_gone_is_a_plain_failure(hone, monkeypatch, tmp_path):
    monkeypatch.setenv("HONED_TOKEN_FILE", str(tmp_path / "gone"))
    result = hone("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("hone: [Errno 2]")


# Models


def test_a_model_is_uploaded_imported_listed_shown_and_deleted(hone, twin, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    result = hone("models", "import", "m", file, "--sha256", f"model.gguf={hashlib.sha256(b'GGUF').hexdigest()}")
    assert (result.exit_code, result.stdout) == (0, "models/m\n")
    assert twin.uploads == {"model.gguf": b"GGUF"}
    header, row = hone("models", "ls").stdout.splitlines()
    assert header.split()[:3] == ["NAME", "ARCHITECTURE", "PARAMETERS"]
    assert row.split()[:3] == ["models/m", "–", "1,000"]
    assert json.loads(hone("models", "ls", "--json").stdout)[0]["name"] == "models/m"
    assert hone("models", "show", "m").stdout.startswith("name ")
    result = hone("models", "rm", "m")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "deleted m\n")
    assert hone("models", "ls", "--json").stdout == "[]\n"


def test_a_folder_with_sub_folders_is_a_usage_error(hone, tmp_path):
    (tmp_path / "onnx").mkdir()
    result = hone("models", "import", "m", tmp_path)
    assert result.exit_code == 2
    assert "remove these folders: onnx" in result.stderr


def test_a_path_of_the_server_is_passed_on(hone, twin):
    result = hone("models", "import", "m", "/srv/m", "--server-path", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, "jobs/1\n")
    assert "hone jobs wait 1" in result.stderr
    assert twin.resources["jobs/1"].import_model.source == "/srv/m"


def test_names_from_elsewhere_cannot_steer_the_terminal(hone, twin):
    twin.put(Model(name="models/m", architecture="\x1b[2Jllama"))
    assert "\\x1b[2Jllama" in hone("models", "ls").stdout
    assert "\x1b" not in hone("models", "show", "m").stdout


# Work


def test_tuning_is_followed_and_ends_with_the_report_and_the_adapter(hone, twin):
    result = hone("tune", "a", "--model", "m", "--data", "d", "--base", "bf16", "--lr", "1e-4", "--few-shot", 0)
    assert result.exit_code == 0
    assert HEADLINE in result.stdout
    assert result.stdout.endswith("\nadapters/a\n")
    assert result.stderr.splitlines() == [
        "queued",
        "running",
        "working",
        "1/2  loss 1.2500  1,500 tokens/s  3.0 GiB",
        "base zero-shot, free, 12 rows: accuracy 0.500 [0.250, 0.750]",
        "tuned, likelihood, 12 rows: accuracy 0.917 [0.750, 1.000]",
        "succeeded",
    ]
    spec = twin.requests[0].job.tune
    assert (spec.base_precision, spec.learning_rate, spec.skip_evaluation) == (BASE_PRECISION_BF16, 1e-4, False)
    assert spec.HasField("few_shot")
    assert not spec.HasField("rank")
    assert not spec.HasField("augmentation")


def test_a_sweep_is_followed_and_ends_with_its_trials_and_the_adapter(hone, twin):
    searched = ("--lr", "1e-4,1e-3", "--rank", 8, "--strategy", "halving", "--trials", 6, "--time-limit", "1.5m")
    result = hone(*SWEEP, *searched, "--batch-size", 4, "--skip-evaluation")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["TRIAL", "LR", "RANK", "EPOCHS", "VALIDATION", "LOSS", "STEPS", "TIME", "STATE", "WHY"],
        ["1", "0.001", "8", "3", "0.2500", "12", "0:00:00", "complete", "–"],
        ["2", "1", "8", "3", "–", "2", "0:00:00", "failed", *["The", "loss", "was", "no", "longer", "a", "number."]],
        ["adapters/a"],
    ]
    assert "trial 1 complete: learning rate 0.001, rank 8, epochs 3  validation loss 0.2500\n" in result.stderr
    assert "trial 2 failed: learning rate 1, rank 8, epochs 3  The loss was no longer a number.\n" in result.stderr
    spec = twin.requests[0].job.sweep
    assert (list(spec.learning_rates), list(spec.ranks), list(spec.epochs)) == ([1e-4, 1e-3], [8], [])
    assert (spec.strategy, spec.max_trials, spec.time_limit.seconds) == (SWEEP_STRATEGY_HALVING, 6, 90)
    assert (spec.tune.model, spec.tune.batch_size, spec.tune.skip_evaluation) == ("models/m", 4, True)
    assert not any(spec.tune.HasField(field) for field in ("rank", "learning_rate", "epochs"))


def test_a_sweep_says_only_what_it_was_asked_for_and_its_json_is_the_finished_job(hone, twin):
    job = json.loads(hone(*SWEEP, "--lr", "1e-4,1e-3", "--json").stdout)
    assert [trial["state"] for trial in job["trials"]] == ["STATE_COMPLETE", "STATE_FAILED"]
    spec = twin.requests[0].job.sweep
    assert not spec.HasField("max_trials")
    assert not spec.HasField("time_limit")


def test_a_sweeps_report_is_written_where_it_is_asked_for(hone, tmp_path):
    file = tmp_path / "report.html"
    assert hone(*SWEEP, "--lr", "1e-4,1e-3", "--html", file).exit_code == 0
    assert HEADLINE in file.read_text()


def test_copies_and_what_is_evaluated_travel_with_a_tuning(hone, twin):
    copies = ("--typos", 2, "--paraphrase", 1, "--casing", 0)
    hone("tune", "a", "--model", "m", "--data", "d", *copies, "--max-evaluation-rows", 9, "--earlier", "e")
    spec = twin.requests[0].job.tune
    assert spec.augmentation == Augmentation(typos=2, paraphrase=1)
    assert (spec.max_evaluation_rows, list(spec.earlier_datasets)) == (9, ["datasets/e"])


def test_a_tuning_goes_on_from_an_adapter_and_replays_earlier_data(hone, twin):
    replay = ("--replay", "old", "--replay", "datasets/older", "--replay-fraction", 0.3)
    assert hone("tune", "b", "--from", "a", "--data", "d", *replay).exit_code == 0
    spec = twin.requests[0].job.tune
    assert (spec.adapter, spec.model, spec.base_precision) == ("adapters/a", "", BASE_PRECISION_UNSPECIFIED)
    assert list(spec.replay_datasets) == ["datasets/old", "datasets/older"]
    assert spec.replay_fraction == 0.3


def test_adapters_are_combined_and_the_report_is_shown(hone, twin):
    options = ("--method", "dare-ties", "--density", 0.3, "--seed", 7, "--data", "t", "--max-evaluation-rows", 9)
    result = hone("adapters", "combine", "c", "a=0.5", "adapters/b=-1", *options)
    assert result.exit_code == 0
    assert HEADLINE in result.stdout
    assert result.stdout.endswith("\nadapters/c\n")
    assert twin.requests[0].job.combine == CombineSpec(
        adapter_id="c",
        adapters=[
            WeightedAdapter(adapter="adapters/a", weight=0.5),
            WeightedAdapter(adapter="adapters/b", weight=-1),
        ],
        method="COMBINE_METHOD_DARE_TIES",
        density=0.3,
        seed=7,
        dataset="datasets/t",
        max_evaluation_rows=9,
    )
    steps, loss = hone("adapters", "ls").stdout.splitlines()[1].split()[4:6]
    assert (steps, loss) == ("–", "–")  # it was not tuned


def test_every_field_of_a_combination_is_an_option():
    fields = {{"dataset": "data"}.get(field.name, field.name) for field in CombineSpec.DESCRIPTOR.fields}
    assert fields <= inspect.signature(combine).parameters.keys()


def test_a_tunings_report_is_written_where_it_is_asked_for(hone, tmp_path):
    file = tmp_path / "report.html"
    result = hone("tune", "a", "--model", "m", "--data", "d", "--html", file)
    assert result.exit_code == 0
    assert result.stderr.endswith(f"wrote {file}\n")
    assert file.read_text() == f"<!doctype html><title>{HEADLINE}</title>"


@pytest.mark.parametrize(
    "command",
    [("tune", "a", "--model", "m", "--data", "d"), ("jobs", "logs", "1"), ("jobs", "logs", "1", "-f", "--json")],
    ids=" ".join,
)
def test_event_files_for_tensorboard_are_written_while_a_tuning_is_followed_and_later(hone, tmp_path, command):
    if command[0] == "jobs":
        hone("tune", "a", "--model", "m", "--data", "d")
    plain = hone(*command)
    assert list(tmp_path.iterdir()) == []
    result = hone(*command, "--tensorboard", tmp_path)
    assert result.exit_code == 0
    if command[0] == "jobs":
        assert result.stdout == plain.stdout
    (file,) = tmp_path.glob("*/events.out.tfevents.*")
    assert file.parent.name == ("1" if command[0] == "jobs" else "2")
    assert b"train/memory_bytes" in file.read_bytes()


def test_a_tuning_without_test_rows_says_why_there_is_no_report(hone, tmp_path):
    result = hone("tune", "a", "--model", "m", "--data", "untested", "--html", tmp_path / "report.html")
    assert (result.exit_code, result.stdout) == (0, "adapters/a\n")
    assert "report.html is not written: nothing was evaluated" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_an_evaluation_only_the_adapter_is_printed(hone):
    result = hone("tune", "a", "--model", "m", "--data", "d", "--skip-evaluation")
    assert (result.exit_code, result.stdout) == (0, "adapters/a\n")
    assert hone("jobs", "wait", "1").stdout == "adapters/a\n"


def test_json_of_a_followed_job_is_the_finished_job(hone):
    job = json.loads(hone("tune", "a", "--model", "m", "--data", "d", "--json").stdout)
    assert (job["state"], job["result"]) == ("STATE_SUCCEEDED", "adapters/a")


def test_an_export_prints_its_parity(hone):
    result = hone("export", "e", "adapters/a", "--format", "onnx-fp32")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:3] == [
        "exports/e",
        "parity on 12 rows (24 tokens) of datasets/t",
        "same most likely token  96.0 % (1 of the others are ties within 0 nats)",
    ]
    assert "96.0 %" in hone("exports", "ls").stdout
    assert "parity.rows" in hone("exports", "show", "e").stdout


def test_jobs_are_listed_shown_replayed_waited_for_and_deleted(hone):
    hone("tune", "a", "--model", "m", "--data", "d", "--no-wait")
    assert hone("jobs", "ls").stdout.splitlines()[1].split()[:3] == ["jobs/1", "tune", "succeeded"]
    assert "tune.adapter_id" in hone("jobs", "show", "1").stdout
    for follow in ((), ("-f",)):
        lines = hone("jobs", "logs", "1", *follow).stdout.splitlines()
        assert len(lines) == 7
        assert lines[2].endswith("  working")
    events = [json.loads(line) for line in hone("jobs", "logs", "1", "--json").stdout.splitlines()]
    assert [event["sequence"] for event in events] == [str(sequence) for sequence in range(1, 8)]
    assert hone("jobs", "wait", "jobs/1").stdout.endswith("adapters/a\n")
    assert hone("jobs", "rm", "1").stderr == "deleted 1\n"
    assert hone("jobs", "wait", "1").exit_code == 3


def test_the_log_of_a_running_job_ends_without_follow(hone, monkeypatch):
    monkeypatch.setattr("honed.client.cli.jobs._QUIET_S", 0.2)
    hone("tune", "endless", "--model", "m", "--data", "d", "--no-wait")
    result = hone("jobs", "logs", "1")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4


def test_a_cancelled_job_says_so_and_waiting_for_it_fails(hone):
    hone("tune", "endless", "--model", "m", "--data", "d", "--no-wait")
    assert hone("jobs", "cancel", "1").stdout == "jobs/1 cancelled\n"
    result = hone("jobs", "wait", "1")
    assert result.exit_code == 7
    assert "hone: jobs/1 was cancelled" in result.stderr
    assert hone("jobs", "cancel", "1").exit_code == 1


def test_a_paused_job_says_how_it_goes_on_and_nobody_waits_for_it(hone):
    hone("tune", "endless", "--model", "m", "--data", "d", "--no-wait")
    assert hone("jobs", "pause", "1").stdout == "jobs/1 paused\n"
    assert hone("jobs", "ls").stdout.splitlines()[1].split()[:3] == ["jobs/1", "tune", "paused"]
    result = hone("jobs", "wait", "1")
    assert (result.exit_code, result.stdout) == (0, "jobs/1\n")
    assert result.stderr.endswith("\npaused\npaused; hone jobs resume 1 goes on\n")
    result = hone("jobs", "logs", "-f", "jobs/1")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 5)
    assert result.stderr == "paused; hone jobs resume 1 goes on\n"
    assert json.loads(hone("jobs", "wait", "1", "--json").stdout)["state"] == "STATE_PAUSED"


def test_a_pause_that_a_job_has_left_behind_does_not_end_the_following(hone):
    hone("tune", "endless", "--model", "m", "--data", "d", "--no-wait")
    hone("jobs", "pause", "1")
    assert hone("jobs", "resume", "1").stdout == "jobs/1 running\n"
    assert hone("jobs", "resume", "1").exit_code == 1
    assert json.loads(hone("jobs", "pause", "1", "--json").stdout)["state"] == "STATE_PAUSED"
    result = hone("jobs", "logs", "-f", "1")
    assert [line.split()[-1] for line in result.stdout.splitlines()[-3:]] == ["paused", "running", "paused"]
    hone("jobs", "cancel", "1")
    assert hone("jobs", "wait", "1").exit_code == 7


def test_adapters_are_listed_shown_and_deleted(hone):
    hone("tune", "a", "--model", "m", "--data", "d", "--rank", 8)
    assert hone("adapters", "ls").stdout.splitlines()[1].split()[0] == "adapters/a"
    assert "spec.rank" in hone("adapters", "show", "a").stdout
    assert hone("adapters", "rm", "a").exit_code == 0
    assert hone("adapters", "show", "a").exit_code == 3


# Replies


def test_words_are_the_prompt(hone, twin):
    result = hone("run", "exports/e", "one", "two", "--system", "Echo.", "--temperature", 0.5, "--stop", "x")
    assert (result.exit_code, result.stdout) == (0, "one two\n")
    request = twin.requests[0]
    assert [(message.role, message.content) for message in request.chat.messages] == [
        ("system", "Echo."),
        ("user", "one two"),
    ]
    assert (request.temperature, list(request.stop)) == (0.5, ["x"])
    assert not request.HasField("seed")


@pytest.mark.parametrize("words", [(), ("-",)])
def test_without_words_the_prompt_is_standard_input(hone, words):
    assert hone("run", "exports/e", *words, stdin="from stdin\n").stdout == "from stdin\n"


def test_a_row_is_sent_in_place_of_a_prompt(hone, twin):
    result = hone("run", "adapters/a", "--row", "text=a=b", "--row", "facts={}", stdin="not read")
    assert (result.exit_code, result.stdout) == (0, "facts={} text=a=b\n")
    assert twin.requests[0].row.values == {"text": "a=b", "facts": "{}"}


def test_a_raw_prompt_is_sent_as_it_is(hone, twin):
    hone("run", "exports/e", "--raw", stdin="<s>text\n")
    assert twin.requests[0].prompt == "<s>text\n"


def test_a_prompt_that_is_not_utf8_is_a_usage_error(hone):
    result = hone("run", "exports/e", stdin=b"\xff")
    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr


def test_a_reply_that_was_cut_off_says_so_on_stderr(hone):
    result = hone("run", "exports/e", "one two three", "--max-tokens", 2)
    assert (result.exit_code, result.stdout) == (0, "one two\n")
    assert "cut off after 2 tokens" in result.stderr


def test_json_of_a_reply_is_its_text_and_its_end(hone):
    reply = json.loads(hone("run", "exports/e", "one", "--json").stdout)
    assert reply["text"] == "one"
    assert reply["done"]["finish_reason"] == "FINISH_REASON_END_OF_TURN"


def test_a_chat_goes_on_until_the_input_ends_and_remembers(hone, twin):
    result = hone("chat", "exports/e", stdin="first question\nsecond\n")
    assert (result.exit_code, result.stdout) == (0, "first question\nsecond\n")
    assert [message.content for message in twin.requests[1].chat.messages] == [
        "first question",
        "first question",
        "second",
    ]
