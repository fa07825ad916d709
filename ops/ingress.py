"""What `.env.multi` says of how Discord gets here, and of the containers: its variables, and what nginx is told."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from app.settings import CommonSettings, Port

PROFILES = ("valkey", "tls", "tunnel", "monitoring")


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return tuple(value) if isinstance(value, tuple | list) else ()


def _networks(value: object) -> tuple[str, ...]:
    networks = _words(value)
    for number, network in enumerate(networks, start=1):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(
                f"is not a list of addresses and networks such as 10.0.0.0/8: look at number {number}"
            ) from None
    return networks


def _profiles(value: object) -> tuple[str, ...]:
    profiles = _words(value)
    if any(profile not in PROFILES for profile in profiles):
        raise ValueError(f"is not a list of profiles: there are {', '.join(PROFILES)}")
    return profiles


def _subnet(value: str) -> str:
    value = value.strip()
    try:
        private = ipaddress.IPv4Address(f"{value}.0").is_private
    except ValueError:
        private = False
    if not private:
        raise ValueError("is not the first three numbers of a private network: expected something like 10.203.44")
    return value


def _url_safe(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if text and not (text.isascii() and text.replace("-", "").replace("_", "").isalnum()):
        raise ValueError("has a character that would have to be escaped in STORE_URL: use letters, digits, - and _")
    return SecretStr(text)


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]
Profiles = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_profiles)]


class IngressSettings(CommonSettings):
    """The front of the system and its containers. A path that is `.` is not set."""

    public_host: Annotated[str, Field(min_length=1)] = "0.0.0.0"  # noqa: S104 - Discord comes from outside
    tls_certificate: Path = Path()
    tls_certificate_key: Path = Path()
    tls_port: Port = 8443
    real_ip_from: Networks = ()
    real_ip_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "X-Forwarded-For"

    compose_profiles: Profiles = ()
    container_subnet: Annotated[str, AfterValidator(_subnet)] = "10.203.44"
    tunnel_token: SecretStr = SecretStr("")
    valkey_password: Annotated[SecretStr, AfterValidator(_url_safe)] = SecretStr("")
    grafana_password: SecretStr = SecretStr("")
    prometheus_port: Port = 9090
    grafana_port: Port = 3000

    @property
    def tls(self) -> bool:
        """Whether nginx serves HTTPS itself."""
        return self.tls_certificate != Path() and self.tls_certificate_key != Path()


def ingress_faults(settings: IngressSettings) -> list[str]:
    """What does not fit together, by variable name."""
    faults = []
    paths = {"TLS_CERTIFICATE": settings.tls_certificate, "TLS_CERTIFICATE_KEY": settings.tls_certificate_key}
    given = {name: path for name, path in paths.items() if path != Path()}
    if len(given) == 1:
        missing = next(name for name in paths if name not in given)
        faults.append(f"{missing}: is missing; a certificate and its key go together")
    faults += [f"{name}: must be an absolute path" for name, path in given.items() if not path.is_absolute()]
    needed = {
        "tls": ("TLS_CERTIFICATE", settings.tls),
        "tunnel": ("TUNNEL_TOKEN", bool(settings.tunnel_token.get_secret_value())),
        "valkey": ("VALKEY_PASSWORD", bool(settings.valkey_password.get_secret_value())),
        "monitoring": ("GRAFANA_PASSWORD", bool(settings.grafana_password.get_secret_value())),
    }
    for profile in settings.compose_profiles:
        name, there = needed[profile]
        if not there:
            faults.append(f"{name}: is missing; the profile {profile} in COMPOSE_PROFILES needs it")
    return faults


def tls_address(settings: IngressSettings) -> str:
    """Where nginx serves HTTPS, `host:port`; empty if it does not."""
    return f"{settings.public_host}:{settings.tls_port}" if settings.tls else ""


def proxy_ingress(settings: IngressSettings) -> Mapping[str, str]:
    """What `proxy/render.sh` is told of TLS and of the proxies before nginx, on this machine."""
    told = {"REAL_IP_FROM": ",".join(settings.real_ip_from), "REAL_IP_HEADER": settings.real_ip_header}
    if settings.tls:
        told |= {
            "TLS_LISTEN": tls_address(settings),
            "TLS_CERTIFICATE": str(settings.tls_certificate),
            "TLS_CERTIFICATE_KEY": str(settings.tls_certificate_key),
        }
    return told
