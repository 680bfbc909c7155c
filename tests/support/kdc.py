"""A Kerberos realm on this machine: a real KDC with a service, a user and their keytabs."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REALM = "MLGOV.TEST"
USER, SERVICE = f"sender@{REALM}", f"HTTP/localhost@{REALM}"


@dataclass
class Kdc:
    """A running realm."""

    folder: Path
    environment: dict[str, str]

    @property
    def user_keytab(self) -> Path:
        return self.folder / "user.keytab"

    @property
    def service_keytab(self) -> Path:
        return self.folder / "service.keytab"

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def admin(self, query: str) -> None:
        self.run(_program("kadmin.local"), "-r", REALM, "-q", query)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"KERBEROS NOT RUN: no {name} on this machine (Debian: krb5-kdc krb5-admin-server krb5-user)")
    return found


@contextmanager
def realm(folder: Path, *, lifetime: str = "1h") -> Iterator[Kdc]:
    """A realm until the block ends; the test is left out, loudly, where the programs are not there."""
    programs = {name: _program(name) for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")}
    pytest.importorskip("gssapi", reason="KERBEROS NOT RUN: pip install 'airflow-provider-mlgov[kerberos]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "krb5.conf").write_text(
        f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n"
        f" dns_canonicalize_hostname = false\n udp_preference_limit = 1\n ticket_lifetime = {lifetime}\n"
        f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {REALM}\n"
    )
    (folder / "kdc.conf").write_text(
        f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n"
        f"[realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
        f"  acl_file = {folder}/acl\n  max_life = {lifetime}\n }}\n"
    )
    made = Kdc(
        folder,
        {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{folder}/tickets",
        },
    )
    made.run(programs["kdb5_util"], "create", "-s", "-r", REALM, "-P", secrets.token_hex(8))
    for principal, keytab in ((USER, made.user_keytab), (SERVICE, made.service_keytab)):
        made.admin(f"addprinc -randkey {principal}")
        made.admin(f"ktadd -k {keytab} {principal}")
    server = subprocess.Popen(
        [programs["krb5kdc"], "-n", "-r", REALM],
        env={**os.environ, **made.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, "the KDC ended at once"
                assert time.monotonic() < end, "the KDC does not listen"
                time.sleep(0.05)
        yield made
    finally:
        server.terminate()
        server.wait(30)
