"""The WebSocket and HTTP gateway."""
