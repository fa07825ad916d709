"""Checks `.env.multi` as a whole: every fault and every warning at once, by variable name, never with a value."""

from __future__ import annotations

import difflib
import re
import stat
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource

from app.settings import MAX_INSTANCES, SQLITE_PREFIX, ApiKey, InstanceSettings, Port, faults_of
from ops.envfile import KEY_NAMES, NUMBERED_KEY, EnvFile
from ops.hosts import NONE, host_of, read_addresses, read_here
from ops.ingress import IngressSettings, ingress_faults

_PLACEHOLDER = re.compile(r"(?i)(your[-_ ].*|<.*>|change[-_]?me.*|x{3,}|.*\.\.\.)")
_REQUIRED = ("DISCORD_TOKEN", "DISCORD_APPLICATION_ID", "DISCORD_PUBLIC_KEY")
# Meant for the libraries underneath, so neither unknown nor ours.
_PASSED_ON = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "LANG"}


Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_addresses)]
Numbers = Annotated[tuple[int, ...] | None, NoDecode, BeforeValidator(read_here)]


class OperatorSettings(IngressSettings):
    """What `.env.multi` holds beside the key sets. INSTANCE_BASE_PORT 0 means: the first free block from 8101 on.

    `instance_addresses` is empty unless several hosts share the instances; `instances_here` are those that this host
    runs, None for all of them.
    """

    discord_token: SecretStr = SecretStr("")
    public_port: Port = 8080
    ops_port: Port = 8081
    instance_base_port: Annotated[int, Field(ge=0, le=65535)] = 0
    instance_addresses: Addresses = ()
    instances_here: Numbers = None

    @property
    def here(self) -> list[int]:
        """The ids of the instances that this host runs."""
        return list(range(1, self.instance_count + 1)) if self.instances_here is None else list(self.instances_here)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only what is passed in: the file is the one source, whatever the operator's shell has set."""
        return (init_settings,)


VARIABLES = [name.upper() for name in OperatorSettings.model_fields]
_SET_BY_US = {name.upper() for name in InstanceSettings.model_fields} - set(VARIABLES)
OPERATOR_VARIABLES = {*VARIABLES, *_SET_BY_US}


@dataclass
class Report:
    """The outcome of a check; `settings` is there only if there is no fault."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    settings: OperatorSettings | None = None


def check(file: EnvFile) -> Report:
    """Check everything about the file that can be known without a network."""
    report = Report(faults=list(file.faults))
    values = {name: value for name, value in file.values.items() if value.strip()}
    placeholders = {name for name, value in values.items() if _PLACEHOLDER.fullmatch(value.strip())}
    given: dict[str, Any] = {name.lower(): values[name] for name in VARIABLES if name in values}
    try:
        report.settings = OperatorSettings(**given)
    except ValidationError as error:
        said = {*placeholders, *(name for name in _REQUIRED if name in file.values and name not in values)}
        report.faults += [fault for fault in faults_of(error) if fault.partition(":")[0] not in said]
    report.faults += _token_faults(file, values)
    report.faults += [f"{name}: is empty" for name in _REQUIRED if name in file.values and name not in values]
    report.faults += _key_faults(file, placeholders)
    expected = {*VARIABLES, *_wanted_keys(file)}
    report.faults += [f"{name}: still holds the placeholder of the example" for name in sorted(placeholders & expected)]
    if report.settings is not None:
        report.faults += _port_faults(report.settings)
        report.faults += _host_faults(report.settings)
        report.faults += ingress_faults(report.settings)
    report.warnings = [*shared_keys(file), *_unknown(file), *_readable_by_others(file)]
    if report.faults:
        report.settings = None
    return report


def _key_names(count: int) -> list[str]:
    return [f"{name}_{instance_id}" for name in KEY_NAMES for instance_id in range(1, count + 1)]


def _wanted_keys(file: EnvFile) -> list[str]:
    """The key sets of the instances this host runs: it needs to hold no other."""
    try:
        here = read_here(file.values.get("INSTANCES_HERE", ""))
    except ValueError:
        here = None
    count = min(file.instance_count, MAX_INSTANCES)
    chosen = range(1, count + 1) if here is None else [number for number in here if number <= count]
    return [f"{name}_{number}" for name in KEY_NAMES for number in chosen]


def _token_faults(file: EnvFile, values: Mapping[str, str]) -> list[str]:
    """A host that runs only nginx needs no secret at all."""
    if "DISCORD_TOKEN" in file.values or values.get("INSTANCES_HERE", "").strip().lower() == NONE:
        return []
    return ["DISCORD_TOKEN: is missing"]


def _key_faults(file: EnvFile, placeholders: set[str]) -> list[str]:
    adapter: TypeAdapter[SecretStr] = TypeAdapter(ApiKey)
    faults = []
    for name in _wanted_keys(file):
        if name in placeholders:
            continue
        if name not in file.values:
            faults.append(f"{name}: is missing (INSTANCE_COUNT is {file.instance_count})")
            continue
        try:
            adapter.validate_python(SecretStr(file.values[name]))
        except ValidationError as error:
            faults += [f"{name}: {fault}" for fault in faults_of(error)]
    return faults


def _port_faults(settings: OperatorSettings) -> list[str]:
    ports = {"PUBLIC_PORT": settings.public_port, "OPS_PORT": settings.ops_port}
    faults = []
    if settings.public_port == settings.ops_port:
        faults.append("PUBLIC_PORT and OPS_PORT: are the same port")
    if settings.tls:
        faults += [f"{name} and TLS_PORT: are the same port" for name in ports if ports[name] == settings.tls_port]
        ports["TLS_PORT"] = settings.tls_port
    base = settings.instance_base_port
    if base:
        if base + settings.instance_count - 1 > 65535:
            faults.append("INSTANCE_BASE_PORT: leaves no room for INSTANCE_COUNT ports below 65536")
        clash = [name for name, port in ports.items() if base <= port < base + settings.instance_count]
        faults += [f"{name}: lies within the instances' ports, which start at INSTANCE_BASE_PORT" for name in clash]
    return faults


def _host_faults(settings: OperatorSettings) -> list[str]:
    """Whether what is said of several hosts fits together."""
    count, addresses, here = settings.instance_count, settings.instance_addresses, settings.instances_here
    faults = []
    if addresses and len(addresses) != count:
        faults.append(f"INSTANCE_ADDRESSES: has {len(addresses)} addresses, but INSTANCE_COUNT is {count}")
    if addresses and settings.instance_base_port:
        faults.append("INSTANCE_BASE_PORT: has no use beside INSTANCE_ADDRESSES, which name each port")
    if here is not None and not addresses:
        faults.append("INSTANCES_HERE: needs INSTANCE_ADDRESSES, so that nginx finds the instances of the other hosts")
    faults += [f"INSTANCES_HERE: {number} is larger than INSTANCE_COUNT" for number in here or () if number > count]
    hosts = {host_of(address) for address in addresses}
    if len(hosts) > 1 and settings.store_url.startswith(SQLITE_PREFIX):
        faults.append(
            f"STORE_URL: is a SQLite file, which {len(hosts)} hosts can't share; use redis://… (docs/growing.md)"
        )
    return faults


def shared_keys(file: EnvFile) -> list[str]:
    """Warn of each key that stands in several sets."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name in _key_names(file.instance_count):
        if value := file.values.get(name, "").strip():
            users[value].append(name)
    return [
        f"{', '.join(names)}: are the same key; one account has one limit, however many instances use it"
        for names in users.values()
        if len(names) > 1
    ]


def _unknown(file: EnvFile) -> list[str]:
    warnings = []
    keys = _key_names(file.instance_count)
    for name in file.values:
        if name in VARIABLES or name in keys or name.upper() in _PASSED_ON:
            continue
        if NUMBERED_KEY.fullmatch(name):
            warnings.append(f"{name}: is not used, INSTANCE_COUNT is {file.instance_count}")
        elif name in _SET_BY_US:
            warnings.append(f"{name}: is not used, each instance is given its own")
        else:
            close = difflib.get_close_matches(name.upper(), [*VARIABLES, *keys], n=1, cutoff=0.75)
            warnings.append(f"{name}: is not a variable of Quartet" + (f"; did you mean {close[0]}?" if close else ""))
    return warnings


def _readable_by_others(file: EnvFile) -> list[str]:
    if file.path.exists() and file.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return [f"{file.path.name}: other users of this machine can read it; run: chmod 600 {file.path.name}"]
    return []
