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
def test_a_thread_that_leaves_does_not_end_the_limit_of_the_others():
    def enter_and_leave():
        with one_blas_thread():
            pass

    with one_blas_thread():
        thread = threading.Thread(target=enter_and_leave)
        thread.start()
        thread.join()
        assert num_threads() == {1}
    assert num_threads() == {2}
