from pathlib import Path

from honed.daemon import children


def environment_of(pid):
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if word)


async def test_a_child_is_given_its_threads_and_nothing_of_the_daemons_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("HONED_TOKEN", "secret")
    process = await children.spawn("code", stderr=tmp_path / "log", threads=3)  # a console waits for its input
    try:
        environment = environment_of(process.pid)
        assert environment["RAYON_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "3"
        assert environment["TOKENIZERS_PARALLELISM"] == "true"
        assert "HONED_TOKEN" not in environment
    finally:
        await children.end(process, 0)
