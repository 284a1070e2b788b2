import contextlib
import socket
import threading

import pytest

import frankrl
from frankrl.cluster import connection
from frankrl.cluster.connection import connect
from frankrl.core.errors import FrankError, MissingExtraError, SettingError

pytest.importorskip("ray")


@contextlib.contextmanager
def server(answer):
    """A server that says the same to everybody, and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connections = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    found, _ = listening.accept()
                    connections.append(found)
                    found.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        for found in connections:
            found.close()


@pytest.fixture
def probed(monkeypatch):
    """What a cluster answers to the first question, given by the test."""
    monkeypatch.setattr(connection, "_check_port", lambda address: None)
    return lambda answer: monkeypatch.setattr(connection, "probed", lambda *_: answer)


def test_a_port_at_which_nobody_listens_has_no_ray():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(FrankError, match=f"no Ray at {address} .*refused.*ray start --head"):
            connect(address)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""], ids=["web", "mute"])
def test_another_server_is_not_taken_for_ray(answer, monkeypatch):
    monkeypatch.setattr(connection, "_PORT_SECONDS", 0.3)
    with (
        server(answer) as address,
        pytest.raises(FrankError, match=f"no Ray at {address} .nothing there answers as Ray"),
    ):
        connect(address)


def test_the_frame_with_which_a_server_of_http2_begins_is_known(monkeypatch):
    monkeypatch.setattr(connection, "probed", lambda *_: {"state": "refused"})
    with (
        server(bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes(6)) as address,
        pytest.raises(FrankError, match="RAY_AUTH_TOKEN"),
    ):
        connect(address)


@pytest.mark.parametrize("address", ["nowhere", "host:", ":6379", "host:0", "host:99999", "a:b"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(FrankError, match="HOST:PORT"):
        connect(address)


def test_addresses_of_rays_client_are_answered():
    with pytest.raises(FrankError, match="run the command on a machine of the cluster"):
        connect("ray://10.0.0.5:10001")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"state": "refused"}, "refuses this process: its token is missing"),
        ({"state": "silent"}, "no Ray at h:1"),
        ({"state": "ok", "python": "3.9.1", "ray": "2.60.0"}, "started with python 3.9.1 and this"),
    ],
)
def test_what_a_cluster_answers_first_is_told_in_a_sentence(probed, answer, message):
    probed(answer)
    with pytest.raises(FrankError, match=message):
        connect("h:1")


def test_auto_without_a_cluster_is_told(probed):
    probed({"state": "silent"})
    with pytest.raises(FrankError, match="this machine is no node of a Ray cluster"):
        connect("auto")


def test_ray_that_is_not_installed_is_an_extra(monkeypatch):
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"frankrl\[ray\]"):
        connect("h:1")


def test_a_cluster_that_cannot_be_reached_leaves_no_runs(tmp_path):
    with pytest.raises(FrankError, match="HOST:PORT"):
        frankrl.train("CartPole-v1", seeds=(0, 1), ray="nowhere", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_cluster_and_printed_commands_exclude_each_other():
    from frankrl.cluster import check_engine

    with pytest.raises(SettingError, match="give one of them"):
        check_engine("h:1", printed=True)
