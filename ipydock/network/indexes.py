"""Where this host takes packages from, for locking and for the build alike.

uv's own settings count if they name an index, else pip's: two configurations mixed would look a
name up where neither of them says. Indexes are asked in an order, and the first that knows a name
is the only one asked for it (uv's ``first-index``): where pip would take the highest version of
any index, and with it a package that a stranger put on the public one under a private name. So
what pip calls extra indexes come first, its index after them, and the public index last of all.

Settings beside a notebook are not read: a folder from somewhere must not say where packages come
from.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ..hosts import ca_environment
from .keys import Keys
from .pip import pip_settings
from .proxies import proxies
from .uv import is_true, uv_settings

PUBLIC = frozenset({"pypi.org", "pypi.python.org"})
_OF_UV = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")
# Indexes of one project, which also have old copies of what it needs. What they alone have is
# asked for there by name (`ipydock.capture.origins`).
PARTIAL = frozenset({"download.pytorch.org"})


@dataclass(frozen=True, slots=True)
class Index:
    """One index (or page of links): its URL without credentials, and these apart.

    ``errors`` are HTTP statuses that mean a package is not there; ``flat`` is a page of links.
    """

    url: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    default: bool = False
    flat: bool = False
    errors: tuple[int, ...] = ()

    @property
    def whole(self) -> str:
        """The URL with its credentials, percent-encoded as they were."""
        if not self.user and not self.password:
            return self.url
        parts = urlsplit(self.url)
        secret = f":{self.password}" if self.password else ""
        return urlunsplit(parts._replace(netloc=f"{self.user}{secret}@{parts.netloc}"))


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where packages come from on this host.

    Attributes:
        indexes: in the order in which they are asked. Where none is the default, PyPI is the last.
        links: pages of links that are looked at besides.
        folders: folders and ``file:`` indexes, which a build does not reach.
        no_index: only ``links`` and ``folders`` count.
        strategy: uv's ``index-strategy``, empty for its default.
        insecure: hosts whose certificates are not checked.
        source: ``uv`` or ``pip``, whose settings these are; empty for nobody's.
        keyring: ask the program ``keyring`` for passwords of a ``user`` that a URL names, or of
            ``anyone``; empty for no.
    """

    indexes: tuple[Index, ...] = ()
    links: tuple[Index, ...] = ()
    folders: tuple[str, ...] = ()
    no_index: bool = False
    strategy: str = ""
    insecure: tuple[str, ...] = ()
    source: str = ""
    keyring: str = ""

    def identity(self) -> list[object]:
        """What a lock depends on, without credentials."""
        named = [(one.url, one.default, one.flat) for one in (*self.indexes, *self.links)]
        return [named, self.folders, self.no_index, self.strategy]

    def unlocked(self) -> Indexes:
        """The same with the credentials that are kept elsewhere: netrc, uv's store, a keyring."""
        keys = Keys(keyring=bool(self.keyring), anyone=self.keyring == "anyone")
        return replace(
            self,
            indexes=tuple(_unlocked(one, keys) for one in self.indexes),
            links=tuple(_unlocked(one, keys) for one in self.links),
        )

    def environment(self) -> dict[str, str]:
        """Our environment, in which uv takes packages from where these settings say.

        uv reads its own settings itself.
        """
        env = {**ca_environment(), **proxies()}
        if self.source != "pip":
            return env
        env = {name: value for name, value in env.items() if not name.startswith(_OF_UV)}
        links = [one.whole for one in self.links]
        told = {
            "UV_DEFAULT_INDEX": "".join(one.whole for one in self.indexes if one.default),
            "UV_INDEX": " ".join(one.whole for one in self.indexes if not one.default),
            "UV_FIND_LINKS": ",".join(links),
            "UV_INSECURE_HOST": " ".join(self.insecure),
            "UV_NO_INDEX": "true" if self.no_index else "",
            "UV_INDEX_STRATEGY": self.strategy,
        }
        return {**env, **{name: value for name, value in told.items() if value}}

    def toml(self) -> str:
        """These settings as a ``uv.toml``, credentials and all; empty where there is nothing."""
        lines = []
        if self.strategy:
            lines.append(f"index-strategy = {json.dumps(self.strategy)}")
        if self.no_index:
            lines.append("no-index = true")
        for name, values in (
            ("allow-insecure-host", self.insecure),
            ("find-links", [one.whole for one in self.links]),
        ):
            if values:
                lines.append(f"{name} = {json.dumps(list(values))}")
        for one in self.indexes:
            lines += ("", "[[index]]", f"url = {json.dumps(one.whole)}")
            if one.default:
                lines.append("default = true")
            if one.flat:
                lines.append('format = "flat"')
            if one.errors:
                lines.append(f"ignore-error-codes = {json.dumps(list(one.errors))}")
        return "\n".join([*lines, ""]) if lines else ""

    @contextlib.contextmanager
    def secrets(self) -> Iterator[dict[str, Path]]:
        """The files that a build mounts, by their ids; only we can read them, and they are gone
        afterwards."""
        text = self.unlocked().toml()
        if not text:
            yield {}
            return
        # In memory where there is such a place for us: then it is gone even if we are killed.
        kept = os.environ.get("XDG_RUNTIME_DIR", "")
        place = kept if os.access(kept, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="ipydock-secrets-", dir=place) as folder:
            path = Path(folder, "uv.toml")
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
            yield {"uv": path}


def indexes(environ: Mapping[str, str] | None = None) -> Indexes:
    """Read this host's settings; nothing is asked for and no program is started.

    Raises:
        InputError: a settings file cannot be read.
    """
    environ = os.environ if environ is None else environ
    return _of_uv(environ) or _of_pip(environ)


def uses_loopback() -> bool:
    """Whether an index or a proxy is reached on this machine's own loopback address."""
    found = indexes()
    urls = [one.url for one in (*found.indexes, *found.links)]
    urls += [url for name, url in proxies().items() if name.lower() != "no_proxy"]
    return any(map(_is_loopback, urls))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url if "://" in url else f"http://{url}").hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _of_uv(environ: Mapping[str, str]) -> Indexes | None:
    """uv's settings, None if they name no index."""
    found = uv_settings(environ)
    pages = [*_words(environ.get("UV_FIND_LINKS", ""), ","), *found.get("find-links", [])]
    rows: list[Mapping[str, Any]] = [
        *(_row(word) for word in _words(environ.get("UV_INDEX", ""))),
        *({"url": word} for word in _words(environ.get("UV_EXTRA_INDEX_URL", ""))),
    ]
    if url := environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL"):
        rows.append({**_row(url), "default": True})
    rows += found["index"]
    rows += ({"url": word} for word in found.get("extra-index-url", []))
    if "index-url" in found:
        rows.append({"url": found["index-url"], "default": True})
    no_index = is_true(environ.get("UV_NO_INDEX")) or found.get("no-index") is True
    if not rows and not no_index:
        return None
    # The first default counts, and a name counts once.
    default = next((row for row in rows if row.get("default")), None)
    ordered = [row for row in rows if not row.get("default") and not row.get("explicit")]
    names: set[str] = set()
    kept = []
    for row in ordered + ([default] if default else []):
        name = str(row.get("name", ""))
        if not name or name not in names:
            kept.append(_index(row, environ))
        names.add(name)
    hosts = [*_words(environ.get("UV_INSECURE_HOST", "")), *found.get("allow-insecure-host", [])]
    provider = environ.get("UV_KEYRING_PROVIDER") or found.get("keyring-provider")
    return Indexes(
        indexes=tuple(one for one in kept if _is_remote(one.url)),
        links=tuple(_index({"url": page}, environ) for page in pages if _is_remote(page)),
        folders=tuple(
            page for page in (*pages, *(one.url for one in kept)) if not _is_remote(page)
        ),
        no_index=no_index,
        strategy=str(environ.get("UV_INDEX_STRATEGY") or found.get("index-strategy", "")),
        insecure=tuple(hosts),
        source="uv",
        keyring="user" if provider == "subprocess" else "",
    )


def _row(word: str) -> dict[str, Any]:
    """An index as uv takes it from a variable: ``NAME=URL`` or ``URL``."""
    name, equals, url = word.partition("=")
    named = equals and re.fullmatch(r"[\w.-]+", name, re.ASCII)
    return {"name": name, "url": url} if named else {"url": word}


def _index(row: Mapping[str, Any], environ: Mapping[str, str]) -> Index:
    one = _plain(str(row.get("url", "")))
    prefix = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", str(row.get("name", "")).upper())
    codes = row.get("ignore-error-codes", [])
    return replace(
        one,
        user=one.user or quoted(environ.get(f"{prefix}_USERNAME", "")),
        password=one.password or quoted(environ.get(f"{prefix}_PASSWORD", "")),
        default=bool(row.get("default")),
        flat=row.get("format") == "flat",
        errors=tuple(code for code in codes if isinstance(code, int)),
    )


def _of_pip(environ: Mapping[str, str]) -> Indexes:
    found = pip_settings(environ)
    main = found.get("index-url") or found.get("pypi-url")
    extra = _words(found.get("extra-index-url", ""))
    pages = _words(found.get("find-links", ""))
    named = [*extra, *([main] if main else [])]
    here = [url for url in (*pages, *named) if not _is_remote(url)]
    asked = [
        _plain(url)
        for url in dict.fromkeys(named)
        if _is_remote(url) and (url == main or urlsplit(url).hostname not in PARTIAL)
    ]
    # Where pip.conf names the public index, too, it is still the last to be asked.
    asked.sort(key=lambda one: urlsplit(one.url).hostname in PUBLIC)
    if main and asked:
        asked[-1] = replace(asked[-1], default=True)
    hosts = tuple(_words(found.get("trusted-host", "")))
    no_index = is_true(found.get("no-index"))
    links = tuple(_plain(page) for page in pages if _is_remote(page))
    provider = found.get("keyring-provider", "auto")
    return Indexes(
        indexes=() if no_index else tuple(asked),
        links=links,
        folders=tuple(here),
        no_index=no_index,
        strategy=environ.get("UV_INDEX_STRATEGY", ""),
        insecure=hosts,
        source="pip" if asked or links or no_index or hosts else "",
        keyring={"disabled": "", "auto": "user"}.get(provider, "anyone"),
    )


def _is_remote(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _plain(url: str) -> Index:
    """An index by its URL, with the credentials taken out of it."""
    parts = urlsplit(url)
    secret, _, host = parts.netloc.rpartition("@")
    user, _, password = secret.partition(":")
    return Index(urlunsplit(parts._replace(netloc=host)), user, password)


def quoted(text: str) -> str:
    """A user or password as it stands in a URL."""
    return quote(text, safe="")


def _unlocked(one: Index, keys: Keys) -> Index:
    if one.password:
        return one
    user, password = keys.find(one.url, unquote(one.user))
    return replace(one, user=quoted(user), password=quoted(password)) if password else one


def _words(text: str, separator: str | None = None) -> list[str]:
    return [word.strip() for word in text.split(separator) if word.strip()]
