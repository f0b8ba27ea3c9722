"""
The delegation tokens that a submission carries, where the cluster authenticates with Kerberos.

YARN's ResourceManager renews each of them before it starts anything, and then for as long as the
application lives; after its end it cancels them. So they are fetched for this submission alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import attrs

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.addresses import WEBHDFS_URL_PROPERTY, is_on
from knit._cluster.configuration.principals import renewer
from knit._cluster.hdfs.key_provider import PROVIDER_PROPERTIES
from knit._cluster.security.token_services import (
    address_service,
    file_system_service,
    resource_manager_service,
)
from knit._cluster.security.tokens import (
    HDFS_KIND,
    KMS_KIND,
    RESOURCE_MANAGER_KIND,
    MalformedTokenError,
    Token,
    TokenIdentifier,
)
from knit._values.file_systems import FileSystem
from knit._values.giving_up import Threads
from knit._values.spec import ApplicationSpec
from knit.exceptions import ClusterError, ConfigurationError, KnitError, TokenUnavailableError

_MOST_AT_ONCE = 8
_FIRST_BY_URI = (3, 2)


@attrs.frozen
class WantedToken:
    """One token that a submission is to carry."""

    whose: str
    """Of what, for messages: `the file system hdfs://ns`."""
    fetch: Callable[[], Token] = attrs.field(repr=False)
    file_system: FileSystem | None = None
    """Which file system it is for, if for one that somebody named."""


def fetch_tokens(cluster: Cluster, spec: ApplicationSpec) -> tuple[Token, ...]:
    """
    Fetches the tokens for one submission; none without Kerberos.

    Raises:
        TokenUnavailableError: One of them cannot be had; it says whose, and the way out.
        ConfigurationError: The cluster's configuration lacks what names a token.
        KnitError: As the calls raise it.
    """
    if not cluster.config.kerberos:
        return ()
    wanted = list(_wanted(cluster, spec))
    with Threads(_MOST_AT_ONCE, "knit-tokens") as threads:
        tokens = tuple(threads.map(_fetched, wanted))
    tokens += tuple(_by_address(cluster, tokens))
    if cluster.held is not None:
        _check_handed_on(tokens)
    return tokens


def _check_handed_on(tokens: tuple[Token, ...]) -> None:
    """Raises for what the ResourceManager cannot renew: an Application Master's with a keytab."""
    for token, found in ends_of(tokens).items():
        owner = found.owner.partition("@")[0].partition("/")[0]
        if found.renewer and found.renewer == owner:
            raise TokenUnavailableError(
                f"The token that this container holds for {token.service} is renewed by its "
                "Application Master, which has a keytab, and so cannot be by the ResourceManager, "
                "which renews all that a submission carries; it was given no other one to hand on. "
                "To submit from here, set resource_manager_token of its service or of the driver, "
                "or give it a keytab of its own and run kinit -kt."
            )


def check_tokens(cluster: Cluster, spec: ApplicationSpec) -> None:
    """
    Checks that all tokens can be named, before anything is sent.

    Raises:
        ConfigurationError: The configuration lacks the renewer or an address.
    """
    config = cluster.config
    if not config.kerberos:
        return
    renewer(config)
    resource_manager_service(config)
    for each in file_systems_of(config.default_fs, spec, config.mounted_file_systems):
        file_system_service(config, each.url)


def file_systems_of(
    default_fs: str, spec: ApplicationSpec, mounted: Iterable[str] = ()
) -> list[FileSystem]:
    """
    The file systems a specification names beside the default one: listed, and by its files.

    Those that the cluster's file system is made of are among them: any path may lead there.
    """
    found = {each.authority: each for each in spec.file_systems}
    for url in mounted:
        each = FileSystem(url)
        found.setdefault(each.authority, each)
    sources = [file.source for service in spec.services.values() for file in service.files.values()]
    environments = [service.python_environment for service in spec.services.values()]
    if spec.driver is not None:
        sources += [file.source for file in spec.driver.files.values()]
        environments.append(spec.driver.python_environment)
    for source in (*sources, *(each for each in environments if each)):
        parts = urlsplit(source)
        if parts.scheme == "hdfs" and parts.netloc:
            found.setdefault(parts.netloc, FileSystem(f"hdfs://{parts.netloc}"))
    return [each for each in found.values() if not is_on(default_fs, each.url)]


def _wanted(cluster: Cluster, spec: ApplicationSpec) -> Iterator[WantedToken]:
    config = cluster.config
    by_whom = renewer(config)
    own = FileSystem(config.default_fs)
    listed = {each.authority: each for each in spec.file_systems}
    own = listed.get(own.authority, own)
    others = file_systems_of(own.url, spec, config.mounted_file_systems)
    for each in (own, *others):
        yield WantedToken(
            f"the file system {each.url}",
            _of_file_system(cluster, each, "" if each.without_renewer else by_whom),
            None if each is own else each,
        )
    yield WantedToken("the ResourceManager", lambda: _of_resource_manager(cluster, by_whom))
    for uri in _key_providers(cluster, (own, *others)):
        yield WantedToken(
            f"the key management server {uri}", _of_key_management_server(cluster, uri, by_whom)
        )


def _of_file_system(cluster: Cluster, fs: FileSystem, by_whom: str) -> Callable[[], Token]:
    if (held := cluster.held) is not None:
        return lambda: held.to_hand_on().of_file_system(cluster.config, fs.url)

    def fetch() -> Token:
        token = cluster.file_system(fs.url).delegation_token(by_whom)
        by_gateway = fs.url == cluster.config.default_fs and cluster.config.get(
            WEBHDFS_URL_PROPERTY
        )
        if by_gateway and not token.service:
            # HttpFS issues tokens of its own, which look like the NameNode's and name no service.
            token = _of_name_node(cluster, fs, by_whom)
        return token.replace(kind=HDFS_KIND, service=_service(cluster, fs.url, token))

    return fetch


def _of_name_node(cluster: Cluster, fs: FileSystem, by_whom: str) -> Token:
    """By the NameNode itself, past the gateway that the configuration names."""
    try:
        return cluster.file_system(fs.url, past_gateway=True).delegation_token(by_whom)
    except KnitError as error:
        gateway = cluster.config.get(WEBHDFS_URL_PROPERTY)
        raise TokenUnavailableError(
            f"Containers need a delegation token of the NameNode of {fs.url}. {gateway} is HttpFS, "
            f"whose own are good for HttpFS alone, and the NameNode gave none ({error}). Make the "
            "NameNode reachable from here, by RPC (dfs.namenode.rpc-address) or by its web server "
            "(dfs.namenode.https-address), as in the cluster's hdfs-site.xml."
        ) from error


def _service(cluster: Cluster, url: str, token: Token) -> str:
    try:
        return file_system_service(cluster.config, url)
    except ConfigurationError:
        # A gateway may lead to what has no name here; the NameNode knows its own address.
        if token.service:
            return token.service
        raise


def _of_resource_manager(cluster: Cluster, by_whom: str) -> Token:
    if cluster.held is not None:
        return cluster.held.to_hand_on().of_resource_manager(cluster.config)
    token = cluster.resource_manager.delegation_token(by_whom)
    return token.replace(
        kind=RESOURCE_MANAGER_KIND, service=resource_manager_service(cluster.config)
    )


def _of_key_management_server(cluster: Cluster, uri: str, by_whom: str) -> Callable[[], Token]:
    server = cluster.key_management_server(uri)
    if (held := cluster.held) is not None:
        return lambda: held.to_hand_on().of_key_management_server(server.service)
    return lambda: server.delegation_token(by_whom)


def _by_address(cluster: Cluster, tokens: tuple[Token, ...]) -> Iterator[Token]:
    """
    Tokens of key management servers, each again for every server's address.

    Clients of theirs before Hadoop 3.2, a node's localizer among them, look for a token by the
    address, and not by what all servers have in common. A distribution may have either, whatever
    it calls itself, and later ones find both.
    """
    found = [token for token in tokens if token.kind == KMS_KIND]
    if not found:
        return
    version = cluster.resource_manager.cluster_info(timeout=cluster.timeout).hadoop_version
    told = re.match(r"(\d+)\.(\d+)", version)  # by RPC nothing is
    if told and (int(told[1]), int(told[2])) >= _FIRST_BY_URI:
        return
    for token in found:
        services: dict[str, None] = {}
        for host, port in cluster.key_management_server(token.service).addresses:
            # Of several it is enough to find one.
            with suppress(ConfigurationError):
                services[address_service(cluster.config, host, port)] = None
        yield from (token.replace(service=service) for service in services)


def _key_providers(cluster: Cluster, file_systems: tuple[FileSystem, ...]) -> list[str]:
    """The key providers of the configuration, else those that the file systems name."""
    said = [cluster.config.get(name) for name in PROVIDER_PROPERTIES]
    found = [uri for uri in said if uri and uri.startswith("kms://")]
    for each in file_systems:
        if found and each is file_systems[0]:
            continue  # as Hadoop does, which asks only where nothing is configured
        uri = cluster.file_system(each.url).key_provider()
        if uri and uri.startswith("kms://"):
            found.append(uri)
    return list(dict.fromkeys(found))


def _fetched(wanted: WantedToken) -> Token:
    try:
        return wanted.fetch()
    except ClusterError as error:
        if wanted.file_system is None:
            raise
        raise TokenUnavailableError(
            f"The application is to have a delegation token for {wanted.whose}, which it names, "
            f"and that gave none: {error}"
        ) from error


def ends_of(tokens: tuple[Token, ...]) -> Mapping[Token, TokenIdentifier]:
    """What those tokens say of themselves whose form is known."""
    found = {}
    for token in tokens:
        try:
            identifier = TokenIdentifier.of(token)
        except MalformedTokenError:
            continue
        if identifier is not None:
            found[token] = identifier
    return found
