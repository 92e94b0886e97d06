"""Supervised connections, confirmed publishes, and consumers that keep order. Imports aio-pika."""

from warren.broker.properties import install

install()
