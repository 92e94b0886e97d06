"""nginx as the system's packages bring it: a process of its own for the tests, never the system's service."""

import os
import re
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

from warren_local.home import repository
from warren_local.ports import accepts, require_free
from warren_local.process import Process

MISSING = (
    "The tests of a proxy need nginx, and none was found: apt-get install nginx (Debian, Ubuntu; its own service "
    "need not run), or set WARREN_NGINX to its path."
)
DOCS = repository() / "docs" / "configuration.md"
# What Debian's nginx.conf sets; beyond it there are nginx's own defaults.
MAIN = """\
{user}daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{
    worker_connections 768;
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


def recommended_site(replacements: Mapping[str, str]) -> str:
    """Return the site that the docs recommend, with ports and paths of the test's own in place of the docs'.

    Raises LookupError if what is to be replaced is not there, or not once.
    """
    (text,) = re.findall(r"^```nginx\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    for old, new in replacements.items():
        if text.count(old) != 1:
            raise LookupError(f"{old!r} is {text.count(old)} times in the nginx lines of {DOCS.name}")
        text = text.replace(old, new)
    return str(text)
