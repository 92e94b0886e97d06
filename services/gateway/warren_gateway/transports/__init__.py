"""How clients are reached: WebSocket, Server-Sent Events, long polling."""
