"""Options of the web servers: address, host names, TLS, proxy and login."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.proxy import proxy_at
from kinemill_dagster.pipelines.server.auth.rules import HERE
from kinemill_dagster.pipelines.server.auth.users import Users

_EVERYWHERE = {"0.0.0.0", "::"}


@dataclass(frozen=True)
class Entrance:
    """How the pages are served.

    Attributes:
        host: address to listen on; other than loopback it requires login.
        names: further host names, such as that of a proxy; for a proxy with TLS the full URL,
            `https://mill.example`.
        proxy: addresses of a proxy that logs users in.
        login: demand a password or token on loopback as well.
        read_only: reject all changes.
        certificate: PEM file for TLS; without it passwords are sent unencrypted.
        key: PEM file with the key of the certificate.
    """

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    login: bool = False
    read_only: bool = False
    certificate: Path | None = None
    key: Path | None = None
    proxy: tuple[str, ...] = ()

    def checked(self, users: Users) -> "Entrance":
        """Return the validated options.

        Raises:
            BadInput: Login is required and there are no users, only one of certificate and key is
                given, or the secret of the proxy is missing.
        """
        proxy_at(self.proxy)
        if (self.certificate is None) != (self.key is None):
            raise BadInput("--certificate", "and --key belong together", fix="give both")
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise BadInput(file, "does not exist")
        opened = replace(self, login=self.login or self.host not in HERE or bool(self.proxy))
        if opened.login and not users:
            what = f"--host {self.host}" if self.host not in HERE else "--login"
            fix = "add one: kinemill admin users add NAME --role admin"
            raise BadInput(what, "needs users who log in, but there are none", fix=fix)
        return opened

    def flags(self, port: int) -> list[str]:
        """Return the arguments of `python -m kinemill_dagster.pipelines.server.auth SERVER`."""
        flags = ["--host", self.host, "--port", str(port)]
        for name in sorted(self._names()):
            flags += ["--name", name]
        for address in self.proxy:
            flags += ["--proxy", address]
        flags += ["--login"] * self.login + ["--read-only"] * self.read_only
        if self.certificate and self.key:
            flags += ["--certificate", str(self.certificate), "--key", str(self.key)]
        return flags

    def url(self, port: int) -> str:
        """Return the address for commands on this machine."""
        return self._address("127.0.0.1" if self.host in _EVERYWHERE else self.host, port)

    def public_url(self, port: int) -> str:
        """Return the URL to show to users, possibly on other machines."""
        plain = [name for name in self.names if "://" not in name]  # the others are a proxy's
        host = plain[0] if plain else socket.gethostname()
        return self._address(host, port) if self.host in _EVERYWHERE else self.url(port)

    def warnings(self) -> Iterator[str]:
        """Yield notes for the operator who starts the servers."""
        if self.read_only:
            yield "read-only: all changes are rejected"
        clear = self.certificate is None and not any("://" in name for name in self.names)
        if self.login and clear and self.host not in HERE:
            yield "passwords are sent unencrypted: give --certificate and --key, or use a VPN"

    def _address(self, host: str, port: int) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def _names(self) -> set[str]:
        """Return the allowed host names in addition to loopback."""
        names = {name.lower().rstrip("/") for name in self.names}
        if self.host in HERE:
            return names
        if self.host not in _EVERYWHERE:
            return names | {self.host.lower()}
        addresses = {
            address.address.partition("%")[0]
            for interface in psutil.net_if_addrs().values()
            for address in interface
            if address.family in {socket.AF_INET, socket.AF_INET6}
        }
        return names | addresses | {socket.gethostname().lower(), socket.getfqdn().lower()}
