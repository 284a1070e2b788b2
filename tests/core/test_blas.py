"""One thread for matrix products, also where several threads of Python compute."""

import threading

import pytest
import threadpoolctl

from frankrl.core.blas import one_blas_thread


def num_threads():
    """Of NumPy's library; others may have been loaded since."""
    found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    return {library.num_threads for library in found if "numpy" in library.filepath}


@pytest.fixture
def two_threads():
    with threadpoolctl.threadpool_limits(2, "blas"):
        yield


@pytest.mark.usefixtures("two_threads")
def test_the_limit_holds_inside_and_ends_outside():
    with one_blas_thread():
        with one_blas_thread():
            assert num_threads() == {1}
        assert num_threads() == {1}
    assert num_threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_it_holds_for_whoever_is_inside_in_whatever_order_threads_enter_and_leave():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        assert entered.wait(60)
    assert num_threads() == {1}
    leave.set()
    thread.join()
    assert num_threads() == {2}
