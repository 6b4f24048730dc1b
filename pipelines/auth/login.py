"""On which address the pages are served, by which names, and whether one has to log in."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from kinemill.errors import BadInput
from pipelines.auth.proxy import proxy_at
from pipelines.auth.rules import HERE
from pipelines.auth.users import Users

_EVERYWHERE = {"0.0.0.0", "::"}


@dataclass(frozen=True)
class Door:
    """How the pages are served.

    Attributes:
        host: address to listen on; other than loopback it demands that one logs in.
        names: further names that the pages are asked by, such as that of a proxy; one that speaks
            TLS before them is named whole, `https://mill.example`.
        proxy: addresses of one that logs people in and says who asks.
        login: demand a password or token on loopback as well.
        read_only: nobody can start or change anything.
        certificate: of TLS, a PEM file; without, passwords travel in the clear.
        key: that belongs to it.
    """

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    login: bool = False
    read_only: bool = False
    certificate: Path | None = None
    key: Path | None = None
    proxy: tuple[str, ...] = ()

    def checked(self, users: Users) -> "Door":
        """Return the door as it may be opened.

        Raises:
            BadInput: one has to log in and there are no users, or half of a certificate, or no
                secret to know the proxy by.
        """
        proxy_at(self.proxy)
        if (self.certificate is None) != (self.key is None):
            raise BadInput("--certificate", "and --key belong together", fix="give both")
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise BadInput(file, "is not there")
        opened = replace(self, login=self.login or self.host not in HERE or bool(self.proxy))
        if opened.login and not users:
            what = f"--host {self.host}" if self.host not in HERE else "--login"
            fix = "add one: kinemill users add NAME --role admin"
            raise BadInput(what, "needs users who log in, and there are none", fix=fix)
        return opened

    def flags(self, port: int) -> list[str]:
        """Return the arguments of `python -m pipelines.auth` for one of the servers."""
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

    def shown(self, port: int) -> str:
        """Return the address for people, who may sit elsewhere."""
        plain = [name for name in self.names if "://" not in name]  # the others are a proxy's
        elsewhere = plain[0] if plain else socket.gethostname()
        return self._address(elsewhere, port) if self.host in _EVERYWHERE else self.url(port)

    def news(self) -> Iterator[str]:
        """Say what whoever opened the door should know."""
        if self.read_only:
            yield "read-only: nobody can start or change anything"
        clear = self.certificate is None and not any("://" in name for name in self.names)
        if self.login and clear and self.host not in HERE:
            yield "passwords travel in the clear: give --certificate and --key, or use a VPN"

    def _address(self, host: str, port: int) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def _names(self) -> set[str]:
        """Return the names that the pages may be asked by, beside those of loopback."""
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
