"""nginx as the system's packages bring it: a process of its own for the tests, never the system's service."""

import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from warren_local.home import repository
from warren_local.ports import HOST, accepts, require_free
from warren_local.process import Process
from warren_local.service import Service

MISSING = (
    "The tests of a proxy need nginx, and none was found: apt-get install nginx (Debian, Ubuntu; its own service "
    "need not run), or set WARREN_NGINX to its path."
)
DOCS = repository() / "docs" / "configuration.md"
# What Debian's nginx.conf sets, with room for a crowd; beyond it there are nginx's own defaults.
MAIN = """\
{user}daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
worker_rlimit_nofile 8192;
events {{
    worker_connections 4096;
}}
http {{
    sendfile on;
    tcp_nopush on;
    gzip on;
    default_type application/octet-stream;
    access_log {home}/access.log;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{sites}
}}
"""


def nginx() -> str | None:
    """Return the path of the program: WARREN_NGINX, or where packages put it; None if there is none."""
    named = os.environ.get("WARREN_NGINX")
    if named:
        return named if Path(named).exists() else None
    # Debian has it where only root's PATH leads.
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


class Nginx(Process):
    """Serves `sites`, the text of `server` blocks and what stands beside them; `port` is one on which they listen."""

    def __init__(self, program: str, home: Path, port: int, sites: str) -> None:
        self.port = port
        self._folder = home / "nginx"
        self._conf = self._folder / "nginx.conf"
        self._sites = sites
        command = [program, "-p", str(self._folder), "-c", str(self._conf), "-e", str(self._folder / "error.log")]
        super().__init__("nginx", command, home=home, log=home / "logs" / "nginx.log", env=os.environ)

    def start(self) -> None:
        """Write its configuration and start it; raise LocalError if the port is taken."""
        if not self.running:
            require_free(self.port, self.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Otherwise its workers are nobody, who may not enter the folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        sites = textwrap.indent(self._sites, "    ")
        self._conf.write_text(MAIN.format(user=user, home=self._folder, sites=sites))
        super().start()

    def answers(self) -> bool:
        """Whether it accepts connections."""
        return self.running and accepts(self.port)


def bare_site(port: int, gateway: str, *lines: str) -> str:
    """Return a site that passes everything on to a gateway and leaves the rest at its default, but for `lines`."""
    return (
        f"server {{\n    listen 127.0.0.1:{port};\n    location / {{\n        "
        + "\n        ".join([f"proxy_pass {gateway};", *lines])
        + "\n    }\n}\n"
    )


def recommended_lines() -> str:
    """Return the lines of the docs, as they stand there."""
    (text,) = re.findall(r"^```nginx\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return str(text)


def recommended_site(port: int, gateways: Sequence[Service], certificate: tuple[Path, Path] | None = None) -> str:
    """Return the site that the docs recommend, before these gateways; over HTTP without a certificate and its key.

    Raises LookupError if what is to be replaced is not there, or not once.
    """
    file, key = certificate or ("", "")
    first, *others = [f"server {HOST}:{gateway.port} max_fails=0;" for gateway in gateways]
    text = recommended_lines()
    for old, new in {
        "server 127.0.0.1:8000 max_fails=0;": first,
        "server 127.0.0.1:8010 max_fails=0;": "\n    ".join(others),
        "listen 443 ssl http2;": f"listen {HOST}:{port}{' ssl http2' if certificate else ''};",
        "ssl_certificate     /etc/ssl/chat.example.org.pem;": f"ssl_certificate {file};" if certificate else "",
        "ssl_certificate_key /etc/ssl/chat.example.org.key;": f"ssl_certificate_key {key};" if certificate else "",
    }.items():
        if text.count(old) != 1:
            raise LookupError(f"{old!r} is {text.count(old)} times in the nginx lines of {DOCS.name}")
        text = text.replace(old, new)
    return text


@contextmanager
def proxied(home: Path, port: int, gateways: Sequence[Service]) -> Iterator[str]:
    """Put nginx before the gateways, with the lines that the docs recommend but for TLS; yield its base URL."""
    program = nginx()
    if program is None:
        pytest.fail(MISSING, pytrace=False)
    with Nginx(program, home, port, recommended_site(port, gateways)) as running:
        running.wait_ready()
        yield f"http://{HOST}:{port}"
