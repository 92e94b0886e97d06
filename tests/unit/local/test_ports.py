"""The local runner's port table and its refusal of ports in use."""

import socket

import pytest
from warren_local.errors import LocalError
from warren_local.ports import HOST, MOST_REPLICAS, Ports, require_free


def test_ports_count_from_the_base() -> None:
    ports = Ports(9000)
    assert [ports.service("gateway", i) for i in (1, 2, 3)] == [9000, 9010, 9020]
    assert (ports.service("persistence", 1), ports.service("presence", 2)) == (9101, 9202)
    assert (ports.amqp, ports.mongodb, ports.service("ui", 1)) == (9300, 9400, 9501)


def test_no_two_processes_share_a_port() -> None:
    ports = Ports()
    taken = [ports.service(service, i) for service, most in MOST_REPLICAS.items() for i in range(1, most + 1)]
    taken += [ports.amqp, ports.amqp + 1, ports.amqp + 2, ports.mongodb]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("base", [0, 1023, 65535])
def test_a_base_without_room_is_refused(base: int) -> None:
    with pytest.raises(LocalError, match="--port-base"):
        Ports(base)


def test_an_unknown_service_has_no_port() -> None:
    with pytest.raises(LocalError, match="nobody"):
        Ports().service("nobody", 1)


def test_a_used_port_is_refused_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LocalError, match=rf"Port {port} is in use, and gateway-1 needs it\..*--port-base"):
            require_free(port, "gateway-1")
