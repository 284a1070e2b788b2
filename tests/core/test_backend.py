import os
import subprocess
import sys

import pytest
from long_forms import some_of

CODE = """
import os
from frankrl.core.backend import start_backend
threads = start_backend()
import jax
print(threads, jax.config.jax_compilation_cache_dir, os.environ.get("NPROC"), start_backend())
"""


ON_CPU = """
from frankrl.core.backend import start_backend
start_backend(on_cpu=True)
import jax
print(jax.config.jax_platforms, jax.devices()[0].platform)
"""


def told(code=CODE, /, **variables):
    """What the code prints: threads, cache folder, NPROC afterwards, threads when asked again."""
    unset = ("NPROC", "JAX_COMPILATION_CACHE_DIR", "JAX_PLATFORMS", "XLA_FLAGS")
    clean = {k: v for k, v in os.environ.items() if k not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {name: str(value) for name, value in variables.items()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_one_thread_and_a_private_cache_folder_for_this_number_of_threads(tmp_path):
    threads, folder, nproc, again = told(XDG_CACHE_HOME=tmp_path)
    assert (threads, nproc, again) == ("1", "None", "1")
    assert folder.startswith(f"{tmp_path}/frank/jaxlib-")
    assert os.stat(folder).st_mode & 0o777 == 0o700

    threads, other, nproc, again = told(XDG_CACHE_HOME=tmp_path, NPROC=2)
    assert (threads, nproc, again) == ("2", "2", "2")
    assert other != folder


def test_where_no_cache_folder_can_be_made_there_is_none():
    assert told(XDG_CACHE_HOME="/dev/null/nowhere")[1] == "None"


def test_a_cache_folder_of_the_user_s_own_is_left_alone(tmp_path):
    own = tmp_path / "own"
    found = told(XDG_CACHE_HOME=tmp_path / "unused", JAX_COMPILATION_CACHE_DIR=own)
    assert found[1] == str(own)
    assert not (tmp_path / "unused").exists()


@pytest.mark.slow
def test_code_taken_from_the_cache_gives_the_same_bits_and_says_nothing(tmp_path):
    words = ["train", "CartPole-v1", "--preset", "default", "--total-env-steps", "1200"]
    words += ["--final-evaluation-episodes", "1", "--evaluate-every-env-steps", "5000"]
    found = []
    for number in range(3):
        switch = {"JAX_ENABLE_COMPILATION_CACHE": "false"} if number == 2 else {}
        done = subprocess.run(
            [sys.executable, "-m", "frankrl", *words, "--out", str(tmp_path / str(number))],
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")} | switch,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "warn" not in done.stderr.lower()
        assert "error" not in done.stderr.lower()
        (file,) = (tmp_path / str(number)).glob("checkpoints/*/q_network.safetensors")
        found.append(file.read_bytes())
    assert any((tmp_path / "cache").rglob("*compiled*"))
    assert found[0] == found[1] == found[2]


def test_on_the_cpu_if_told_so_but_the_user_s_own_word_comes_first():
    assert told(ON_CPU) == ["cpu", "cpu"]
    assert told(ON_CPU, JAX_PLATFORMS="cpu,cpu") == ["cpu,cpu", "cpu"]


@pytest.mark.parametrize("platform", some_of(["cuda", "nonsense"], ["nonsense"]))
def test_a_platform_that_jax_cannot_use_is_a_mistake_and_no_bug(platform, tmp_path):
    words = ["train", "CartPole-v1", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "frankrl", *words],
        env=os.environ | {"JAX_PLATFORMS": platform},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"frank: JAX cannot start with JAX_PLATFORMS='{platform}'")
    assert not (tmp_path / "run").exists()


ENVIRONMENT_FIRST = """
from frankrl.core.backend import prepared, start_backend
with prepared():
    import jax
    jax.devices()
print(start_backend(on_cpu=True), jax.config.jax_compilation_cache_dir)
"""


def test_an_environment_that_uses_jax_finds_it_as_frank_wants_it(tmp_path):
    threads, folder = told(ENVIRONMENT_FIRST, XDG_CACHE_HOME=tmp_path)
    assert threads == "1"
    assert folder.startswith(f"{tmp_path}/frank/jaxlib-")


FORKED = """
import multiprocessing, sys, warnings
import frankrl
warnings.simplefilter("ignore")
SMALL = {"total_env_steps": 200, "final_evaluation_episodes": 1, "preset": "default"}

def train(out, sending):
    try:
        sending.send(frankrl.train("CartPole-v1", out=out, **SMALL).env_steps)
    except frankrl.FrankError as error:
        sending.send(str(error))

def act(run, sending):
    sending.send(frankrl.load(run).act([0, 0, 0, 0]).shape)

if __name__ == "__main__":
    if sys.argv[2] == "after":
        frankrl.train("CartPole-v1", out=f"{sys.argv[1]}/first", **SMALL)
    fork, work = multiprocessing.get_context("fork"), {"train": train, "act": act}[sys.argv[3]]
    receiving, sending = fork.Pipe(duplex=False)
    path = f"{sys.argv[1]}/first" if work is act else f"{sys.argv[1]}/second"
    child = fork.Process(target=work, args=(path, sending))
    child.start()
    print(receiving.recv())
    child.join()
"""


@pytest.mark.parametrize(
    ("when", "work", "words"),
    [
        ("after", "train", "get_context('spawn')"),
        pytest.param("after", "act", "()", marks=pytest.mark.slow),
        pytest.param("before", "train", "200", marks=pytest.mark.slow),
    ],
)
def test_a_forked_process_trains_only_if_nothing_was_computed_before(when, work, words, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(FORKED)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), when, work],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert words in line
    assert (tmp_path / "second").exists() == (when == "before")


FLAGS = """
import os
from frankrl.core.backend import prepared
for own in os.environ["OWN"].split(","):
    os.environ.pop("XLA_FLAGS", None)
    if own:
        os.environ["XLA_FLAGS"] = own
    with prepared():
        print(os.environ["XLA_FLAGS"].replace(" ", ","))
    print(os.environ.get("XLA_FLAGS"))
"""


def test_xla_starts_with_reproducible_kernels_unless_the_user_says_otherwise():
    autotune, free = "--xla_gpu_autotune_level=0", "--xla_gpu_deterministic_ops=false"
    reproducible = "--xla_gpu_deterministic_ops=true"
    assert told(FLAGS, OWN=f",{autotune},{free}") == [
        *(reproducible, "None"),
        *(f"{autotune},{reproducible}", autotune),
        *(free, free),
    ]
