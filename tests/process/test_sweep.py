"""A sweep makes the very adapter that a tuning with its best settings makes, however often it is interrupted."""

import os
import signal

import pytest
from google.protobuf.duration_pb2 import Duration
from helpers.daemon import JOB_TIMEOUT_S, Daemon, refused, wait_for
from honed.client.errors import JobFailed
from honed.v1.jobs_pb2 import Job, SweepSpec, Trial, TuneSpec

COMPLETE, PRUNED, FAILED = Trial.STATE_COMPLETE, Trial.STATE_PRUNED, Trial.STATE_FAILED
ABSURD = 1e4  # an alpha with which the loss is soon no number


def tuning(adapter_id: str, **settings) -> TuneSpec:
    """16 rows are trained, 4 of them held out: three steps an epoch."""
    given = {"batch_size": 4, "validation_fraction": 0.25, "dropout": 0.1, "skip_evaluation": True}
    return TuneSpec(model="tiny", dataset="table", adapter_id=adapter_id, **given | settings)


def sweep(adapter_id: str, tune: dict | None = None, **fields) -> SweepSpec:
    return SweepSpec(tune=tuning(adapter_id, **tune or {}), **fields)


def losses(client, job, phase: str) -> list[tuple[int, float, float]]:
    """Step, loss and gradient norm of the steps in the phases that begin so."""
    found, within = [], False
    for event in client.watch_job(job.name):
        if event.WhichOneof("event") == "phase":
            within = event.phase.startswith(phase)
        elif within and event.progress.HasField("loss"):
            found.append((event.progress.step, event.progress.loss, event.progress.gradient_norm))
    return found


def at_trial(client, job, number: int, step: int) -> None:
    def there() -> bool:
        found = client.get_job(job.name)
        return found.phase.startswith(f"trial {number} ") and found.progress.step >= step

    wait_for(f"step {step} of trial {number}", there, JOB_TIMEOUT_S, pause_s=0.005)


@pytest.fixture(scope="module")
def one_thread(stock):
    """A daemon whose trainings write a checkpoint after every step."""
    daemon = Daemon(stock=stock, checkpoint_every_s=0, threads=1).start()
    yield daemon
    daemon.close()


GRID = {"learning_rates": [1e-4, 1e-2], "ranks": [2, 8]}


@pytest.fixture(scope="module")
def grid(one_thread):
    """A finished sweep over a grid of two by two, with its evaluation."""
    with one_thread.client() as client:
        spec = sweep("grid", {"epochs": 2, "skip_evaluation": False}, **GRID)
        return client.wait_job(client.sweep(spec).name)


def test_a_grid_tries_every_combination_and_keeps_the_least_validation_loss(one_thread, grid):
    tried = [(trial.learning_rate, trial.rank, trial.epochs) for trial in grid.trials]
    assert tried == [(1e-4, 2, 2), (1e-4, 8, 2), (1e-2, 2, 2), (1e-2, 8, 2)]
    assert [(trial.number, trial.state, trial.steps) for trial in grid.trials] == [
        (number, COMPLETE, 6) for number in (1, 2, 3, 4)
    ]
    best = min(grid.trials, key=lambda trial: trial.validation_loss)
    with one_thread.client() as client:
        adapter = client.get_adapter(grid.result)
    assert list(adapter.trials) == list(grid.trials)
    spec = adapter.spec
    assert (spec.learning_rate, spec.rank, spec.alpha, spec.epochs) == (
        best.learning_rate,
        best.rank,
        2 * best.rank,
        best.epochs,
    )
    assert (spec.batch_size, spec.weight_decay, spec.adapter_id) == (4, 0, "grid")
    assert adapter.training.validation_loss == best.validation_loss


def test_the_adapter_is_that_of_a_plain_tuning_with_the_best_settings_and_so_is_every_trial(one_thread, grid):
    with one_thread.client() as client:
        adapter = client.get_adapter(grid.result)
        for trial in grid.trials:
            name = f"plain-{trial.number}"
            spec = tuning(name, learning_rate=trial.learning_rate, rank=trial.rank, epochs=2, skip_evaluation=False)
            job = client.wait_job(client.tune(spec).name)
            assert losses(client, job, "tuning") == losses(client, grid, f"trial {trial.number} ")
            plain = client.get_adapter(name)
            assert plain.training.validation_loss == trial.validation_loss
            is_best = trial.rank == adapter.spec.rank and trial.learning_rate == adapter.spec.learning_rate
            assert (plain.digest == adapter.digest) == is_best
            if is_best:
                assert plain.evaluations == adapter.evaluations
                assert plain.contract == adapter.contract


def test_only_the_best_trial_is_asked_for_the_test_rows_and_the_report_says_how_it_was_chosen(one_thread, grid):
    assert [each.subject for each in grid.evaluations].count("tuned") == 2  # by its reply, and by likelihood
    with one_thread.client() as client:
        page = b"".join(client.download_report(client.get_adapter(grid.result).report)).decode()
        best = min(grid.trials, key=lambda trial: trial.validation_loss)
        assert f"{best.validation_loss:.4f}, of 4 trials" in page
        told = [event.trial for event in client.watch_job(grid.name) if event.WhichOneof("event") == "trial"]
    assert told == list(grid.trials)


def test_random_draws_stay_between_the_ends_and_depend_on_the_seed(one_thread):
    def trials(name, seed):
        spec = sweep(
            name,
            {"seed": seed, "max_steps": 1},
            **GRID,
            epochs=[1, 2],
            strategy="SWEEP_STRATEGY_RANDOM",
            max_trials=3,
        )
        job = client.wait_job(client.sweep(spec).name)
        return [(trial.learning_rate, trial.rank, trial.epochs) for trial in job.trials]

    with one_thread.client() as client:
        first = trials("random-1", 1)
        assert len(set(first)) == 3
        assert all(1e-4 <= rate <= 1e-2 and 2 <= rank <= 8 and epochs in (1, 2) for rate, rank, epochs in first)
        assert trials("random-2", 2) != first
        client.delete_adapter("random-1")
        assert trials("random-1", 1) == first


def test_halving_gives_worse_trials_up_after_an_epoch(one_thread):
    with one_thread.client() as client:
        spec = sweep("halved", **GRID, epochs=[4], strategy="SWEEP_STRATEGY_HALVING", max_trials=6)
        job = client.wait_job(client.sweep(spec).name)
        adapter = client.get_adapter("halved")
    by_state = {state: [trial for trial in job.trials if trial.state == state] for state in (COMPLETE, PRUNED)}
    assert by_state[PRUNED]
    assert all(trial.steps in (3, 6) and "better half" in trial.message for trial in by_state[PRUNED])
    assert all(trial.steps == 12 for trial in by_state[COMPLETE])
    best = min(by_state[COMPLETE], key=lambda trial: trial.validation_loss)
    assert (adapter.spec.learning_rate, adapter.spec.rank) == (best.learning_rate, best.rank)


def test_a_sweep_paused_killed_and_stopped_repeats_no_ended_trial_and_makes_the_same_adapter(one_thread):
    spec = {"ranks": [2, 3, 4, 5], "strategy": "SWEEP_STRATEGY_HALVING", "max_trials": 6}
    tune = {"epochs": 12, "seed": 3}
    with one_thread.client() as client:
        whole = client.wait_job(client.sweep(sweep("undisturbed", tune, **spec)).name)
        expected = client.get_adapter("undisturbed")
        long = [trial.number for trial in whole.trials if trial.steps >= 24]
        assert len(long) >= 2, whole.trials
        job = client.sweep(sweep("disturbed", tune, **spec))
        at_trial(client, job, long[0], 4)
        paused = client.pause_job(job.name)
        assert paused.state == Job.STATE_PAUSED
        assert not one_thread.children("honed.worker")
        client.resume_job(job.name)
        at_trial(client, job, long[0], 10)
        for pid in one_thread.children("honed.worker"):
            os.kill(pid, signal.SIGKILL)
        wait_for("a new worker", lambda: one_thread.children("honed.worker"), JOB_TIMEOUT_S)
        at_trial(client, job, long[1], 4)
    one_thread.end(signal.SIGKILL)
    wait_for("the worker is gone", lambda: not one_thread.children("honed.worker"))
    one_thread.start()
    with one_thread.client() as client:
        job = client.wait_job(job.name)
        assert job.attempt == 4
        found = client.get_adapter("disturbed")
        assert found.digest == expected.digest
        assert [outcome(trial) for trial in job.trials] == [outcome(trial) for trial in whole.trials]
        for number in range(1, 7):
            undisturbed = losses(client, whole, f"trial {number} ")
            # A step that was under way when the worker was killed may be told twice, and is then the same.
            assert sorted(set(losses(client, job, f"trial {number} "))) == undisturbed
        phases = [event.phase for event in client.watch_job(job.name) if event.WhichOneof("event") == "phase"]
        begun = [phase.split()[1] for phase in phases if phase.startswith("trial ")]
        assert begun == sorted(begun)  # none is gone back to
        assert begun.count(str(long[0])) == 3


def outcome(trial: Trial):
    loss = trial.validation_loss if trial.HasField("validation_loss") else None
    return trial.number, trial.learning_rate, trial.rank, trial.epochs, trial.state, loss, trial.steps, trial.message


def test_when_the_time_is_up_no_trial_begins(one_thread):
    with one_thread.client() as client:
        spec = sweep("hasty", {"max_steps": 2}, **GRID, time_limit=Duration(nanos=1))
        job = client.wait_job(client.sweep(spec).name)
        assert [trial.state for trial in job.trials] == [COMPLETE]
        assert client.get_adapter("hasty").spec.rank == 2


def test_a_trial_whose_loss_is_no_number_fails_and_the_sweep_goes_on(one_thread):
    with one_thread.client() as client:
        tune = {"alpha": ABSURD, "epochs": 4, "max_gradient_norm": 1e6}
        job = client.wait_job(client.sweep(sweep("daring", tune, learning_rates=[1, 1e-9])).name)
        assert [trial.state for trial in job.trials] == [FAILED, COMPLETE]
        assert "lower the learning rate" in job.trials[0].message
        adapter = client.get_adapter("daring")
        assert (adapter.spec.learning_rate, adapter.spec.alpha) == (1e-9, ABSURD)


def test_a_sweep_of_which_every_trial_fails_fails(one_thread):
    with one_thread.client() as client:
        tune = {"alpha": ABSURD, "epochs": 4, "max_gradient_norm": 1e6}
        job = client.sweep(sweep("hopeless", tune, learning_rates=[1, 0.9]))
        with pytest.raises(JobFailed) as caught:
            client.wait_job(job.name)
        assert caught.value.job.error.reason == "ALL_TRIALS_FAILED"
        assert "lower the learning rate" in caught.value.job.error.message
        assert [trial.state for trial in caught.value.job.trials] == [FAILED, FAILED]


def test_a_share_of_the_rows_that_is_none_is_refused_before_the_base_is_asked(one_thread):
    with one_thread.client() as client:
        job = client.sweep(sweep("blind", {"validation_fraction": 1e-3, "skip_evaluation": False}, **GRID))
        with pytest.raises(JobFailed) as caught:
            client.wait_job(job.name)
        assert caught.value.job.error.reason == "TRAINING_ROWS_TOO_FEW"
        assert not caught.value.job.evaluations


@pytest.mark.parametrize(
    ("field", "tune", "fields"),
    [
        ("learning_rates", {}, {}),
        ("tune.rank", {"rank": 4}, GRID),
        ("ranks", {}, {"ranks": [4, 0]}),
        ("max_trials", {}, GRID | {"max_trials": 3}),
        ("time_limit", {}, GRID | {"time_limit": Duration(seconds=-1)}),
        ("tune.validation_fraction", {"validation_fraction": 0}, GRID),
        ("tune.batch_size", {"batch_size": 0}, GRID),
        ("tune.adapter_id", {}, GRID),
    ],
)
def test_a_sweep_out_of_form_is_refused_by_its_field(one_thread, field, tune, fields):
    name = "../x" if field == "tune.adapter_id" else "x"
    with one_thread.client() as client, refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.sweep(sweep(name, tune, **fields))
    assert [found for found, _ in error.value.field_violations] == [f"job.sweep.{field}"]
