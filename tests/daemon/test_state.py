import os
import stat

import pytest
from honed.daemon.state import MAX_PATH_BYTES, PUBLISHED, StateFolder, write_private
from honed.errors import AlreadyExists, InvalidInput, NoRoom
from honed.worker.contract import CHECKPOINTS_FOLDER


@pytest.fixture
def state(tmp_path):
    state = StateFolder(tmp_path / "state", min_free_bytes=0)
    yield state
    state.close()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_has_one_owner(state):
    with pytest.raises(AlreadyExists) as caught:
        StateFolder(state.path, 0)
    assert caught.value.reason == "STATE_FOLDER_IN_USE"


def test_a_closed_folder_can_be_owned_again(tmp_path):
    StateFolder(tmp_path / "state", 0).close()
    StateFolder(tmp_path / "state", 0).close()


def test_a_refused_owner_disturbs_nothing(state):
    marker = state.job_folder("abc")
    marker.mkdir()
    with pytest.raises(AlreadyExists):
        StateFolder(state.path, 0)
    assert marker.exists()


def test_nobody_else_can_look_inside(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    before = os.umask(0)
    try:
        state = StateFolder(path, 0)
        state.token()
        folders = [path, *(entry for entry in path.iterdir() if entry.is_dir()), state.new_upload()]
        assert {mode(folder) for folder in folders} == {0o700}
        assert mode(path / "token") == mode(path / "lock") == 0o600
        state.close()
    finally:
        os.umask(before)


def test_the_token_is_made_once_and_long_enough(state):
    token = state.token()
    assert len(token) >= 43  # 256 bits
    assert state.token() == token


def test_every_state_folder_has_a_token_of_its_own(state, tmp_path):
    other = StateFolder(tmp_path / "other", 0)
    assert other.token() != state.token()
    other.close()


def test_a_path_too_long_for_sockets_is_refused(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        StateFolder(tmp_path / ("a" * MAX_PATH_BYTES), 0)
    assert caught.value.reason == "STATE_FOLDER_INVALID"
    assert not list(tmp_path.iterdir())


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(InvalidInput, match="cannot be used"):
        StateFolder(tmp_path / "state", 0)


def test_a_start_clears_what_was_half_done_and_keeps_what_waits(tmp_path):
    state = StateFolder(tmp_path, 0)
    upload, job = state.new_upload(), state.job_folder("abc")
    job.mkdir()
    (state.run_folder() / "engine.sock").write_text("")
    (tmp_path / "models" / "m").mkdir()
    state.close()
    state = StateFolder(tmp_path, 0)
    assert upload.exists()
    assert (tmp_path / "models" / "m").exists()
    assert job.exists()
    assert not list(state.run_folder().iterdir())
    state.close()


def test_a_job_folder_is_cleared_of_all_but_its_checkpoints(state, tmp_path):
    folder = state.clear_job_folder("abc")
    assert mode(folder) == 0o700
    for name in (f"{CHECKPOINTS_FOLDER}/step-1", "output/adapter"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("content")
    (folder / "events.jsonl").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert state.clear_job_folder("abc") == folder
    assert [path.name for path in folder.iterdir()] == [CHECKPOINTS_FOLDER]
    assert (folder / CHECKPOINTS_FOLDER / "step-1" / "file").read_text() == "content"
    assert (tmp_path / "elsewhere").exists()
    state.remove_job_folder("abc")
    assert not folder.exists()


def test_a_disk_below_its_reserve_takes_nothing_new(tmp_path):
    state = StateFolder(tmp_path, min_free_bytes=1 << 62)
    with pytest.raises(NoRoom) as caught:
        state.new_upload()
    assert caught.value.reason == "DISK_FULL"
    assert not list(state.uploads.iterdir())
    state.close()


def test_needed_bytes_count_beside_the_reserve(state):
    state.require_room()
    with pytest.raises(NoRoom):
        state.require_room(1 << 62)


def test_of_a_failed_job_only_checkpoints_are_left_and_without_one_nothing(state):
    folder = state.clear_job_folder("failed")
    (folder / "output" / "adapter").mkdir(parents=True)
    (folder / "spec.json").write_text("{}")
    (folder / "checkpoints" / "step-1").mkdir(parents=True)
    state.leave_checkpoints("failed")
    assert [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))] == [
        "checkpoints",
        "checkpoints/step-1",
    ]
    folder = state.clear_job_folder("early")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "before.json").write_text("{}")
    state.leave_checkpoints("early")
    assert not folder.exists()


def test_a_published_folder_moves_whole(state, tmp_path):
    source = tmp_path / "made"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("content")
    state.publish(source, "models/abc-1")
    assert (state.path / "models/abc-1/deep/file").read_text() == "content"
    assert not source.exists()


def test_what_the_database_does_not_know_is_removed(state):
    known, unknown = state.new_upload(), state.new_upload()
    for collection in PUBLISHED:
        (state.path / collection / "kept").mkdir()
        (state.path / collection / "lost").mkdir()
    live, ended, failed = (state.clear_job_folder(name) for name in ("live", "ended", "failed"))
    for name in ("checkpoints", "output"):
        (failed / name / "folder").mkdir(parents=True)
    places = {f"{collection}/kept" for collection in PUBLISHED}
    state.remove_unknown(places, {str(known)}, {"live", "without-folder"}, {"failed", "failed-without-folder"})
    assert (live.exists(), ended.exists()) == (True, False)
    assert [path.name for path in failed.iterdir()] == ["checkpoints"]
    assert list(state.uploads.iterdir()) == [known]
    assert not unknown.exists()
    for collection in PUBLISHED:
        assert [path.name for path in (state.path / collection).iterdir()] == ["kept"]


def test_a_private_file_replaces_the_old_one_and_leaves_no_other(tmp_path):
    path = tmp_path / "secret"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]
