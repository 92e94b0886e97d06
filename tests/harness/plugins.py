"""RabbitMQ's plugins on a node of the tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from warren_local.ports import HOST
from warren_local.rabbitmq import RabbitMQ

from harness.bots import rabbitmqctl
from harness.stack import Stack


@contextmanager
def serving(stack: Stack, ports: Mapping[str, int]) -> Iterator[None]:
    """Have the broker's plugins listen on these ports, by the plugin's name, as the images do that containers use."""
    if not isinstance(stack.rabbitmq, RabbitMQ):
        pytest.skip("RabbitMQ runs in a container here, whose image has no plugins")
    listen = 'application:set_env({}, tcp_config, [{{port, {}}}, {{ip, "{}"}}], [{{persistent, true}}])'
    rabbitmqctl(stack, "eval", ", ".join(listen.format(name, port, HOST) for name, port in ports.items()) + ".")
    rabbitmqctl(stack, "enable", *ports, program="rabbitmq-plugins")
    yield
    rabbitmqctl(stack, "disable", *ports, "rabbitmq_management_agent", program="rabbitmq-plugins")
