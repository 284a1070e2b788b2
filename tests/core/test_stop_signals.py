"""Signals that ask for a stop, in blocks within blocks and in processes that are being started."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from frankrl.core.stopping import StoppedAtOnceError, stop_signals


def test_a_stop_that_was_asked_for_before_an_inner_block_is_one_within_it():
    before = signal.getsignal(signal.SIGINT)
    told = []
    with stop_signals() as outer:
        outer.on_first_signal = lambda: told.append("outer")
        with stop_signals() as inner:
            inner.on_first_signal = lambda: told.append("inner")
            assert not inner()
        os.kill(os.getpid(), signal.SIGINT)
        assert told == ["outer"]
        with stop_signals() as inner:
            assert inner()
            assert inner.exit_status == 130
            with pytest.raises(StoppedAtOnceError):
                os.kill(os.getpid(), signal.SIGTERM)
        assert outer()
    assert signal.getsignal(signal.SIGINT) == before


def test_another_thread_hears_nothing_of_the_main_one():
    heard = []

    def trains():
        with stop_signals() as own:
            own.on_first_signal = lambda: heard.append("thread")
            heard.append(own())

    with stop_signals() as outer:
        os.kill(os.getpid(), signal.SIGINT)
        assert outer()
        thread = threading.Thread(target=trains)
        thread.start()
        thread.join()
    assert heard == [False]


STARTED = """
import os, signal, sys
from frankrl.core import system

if len(sys.argv) > 1:
    # As a process that has imported everything by now.
    print("waits", signal.SIGINT in signal.sigpending(), flush=True)
    system.lead_a_group()
    print("goes on", signal.SIGINT in signal.sigpending(), flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    raise SystemExit("not interrupted")

import subprocess
with system.interrupts_held_back():
    command = [sys.executable, __file__, "started"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.kill(started.pid, signal.SIGINT)
print(started.communicate()[0], started.returncode)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signal masks")
def test_a_process_that_is_being_started_hears_no_interrupt_until_it_leads_a_group(tmp_path):
    script = tmp_path / "started.py"
    script.write_text(STARTED)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    told, status = done.stdout.rsplit(maxsplit=1)
    assert told.split("\n")[:2] == ["waits True", "goes on False"]
    # What comes afterwards is heard.
    assert int(status) == -signal.SIGINT
