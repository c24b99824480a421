"""What is secret on a host reaches what needs it, and stays nowhere."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ipydock.engine.client import build_client
from ipydock.hosts import ca_bundle
from tests import network, samples
from tests.command import paragraph
from tests.engine.conftest import Further

pytestmark = pytest.mark.engine

# Part of every secret that is planted here, so that one search finds them all.
MARK = "PLNTXQZ7"
FORMS = [
    MARK.encode(),
    MARK.lower().encode(),
    # Base64 of it, wherever in the text it stands.
    *(base64.b64encode(b"x" * lead + MARK.encode())[4 if lead else 0 : -4] for lead in range(3)),
]
# Variables of this machine that say where packages come from.
OURS = ("PIP_", "UV_", "HTTP_", "HTTPS_", "ALL_", "NO_PROXY", "REQUESTS_CA", "CURL_CA", "SSL_CERT")


class Planted:
    """Secrets on a host and in a project's folder."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def __call__(self, kind: str, form: str = "{}") -> str:
        """A new one that looks like ``form``."""
        self.kinds.append(kind)
        return form.format(f"{MARK}{len(self.kinds):04d}")


def home(folder: Path, plant: Planted) -> Path:
    """A home folder with what people keep there."""
    files = {
        ".aws/credentials": "[default]\naws_secret_access_key = " + plant("AWS credentials"),
        ".ssh/id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + plant("SSH key"),
        ".kaggle/kaggle.json": json.dumps({"username": "u", "key": plant("Kaggle")}),
        ".docker/config.json": json.dumps(
            {
                "auths": {
                    "x.example": {
                        "auth": base64.b64encode(plant("docker", "u:{}").encode()).decode()
                    }
                }
            }
        ),
        ".git-credentials": f"https://u:{plant('git credentials')}@github.com\n",
        ".netrc": f"machine other.example login u password {plant('netrc')}\n",
        ".pypirc": f"[pypi]\npassword = {plant('pypirc')}\n",
        ".cache/huggingface/token": plant("Hugging Face"),
        ".config/pip/pip.conf": f"[global]\nextra-index-url = https://u:{plant('pip.conf')}@x.example",
        ".local/share/uv/credentials/credentials.toml": (
            '[[credential]]\nservice = "https://x.example"\nusername = "u"\nscheme = "basic"\n'
            f'password = "{plant("store of uv")}"\n'
        ),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    return folder


def variables(plant: Planted) -> dict[str, str]:
    """What people have in their environment."""
    return {
        "AWS_ACCESS_KEY_ID": plant("AWS key in the environment"),
        "AWS_SECRET_ACCESS_KEY": plant("AWS secret in the environment"),
        "GITHUB_TOKEN": plant("GitHub token in the environment"),
        "JUPYTER_TOKEN": plant("Jupyter token"),
        "DB_PASSWORD": plant("a password that the notebook reads"),
        "UV_PUBLISH_TOKEN": plant("token to publish with"),
    }


def project(folder: Path, plant: Planted) -> Path:
    """A project's folder with a notebook that holds secrets wherever one can."""
    folder.mkdir()
    for name, text in {
        ".env": f"TOKEN={plant('.env')}\n",
        "id_rsa": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{plant('key in the folder')}\n",
        "kaggle.json": json.dumps({"key": plant("kaggle.json in the folder")}),
        "secrets.toml": f'token = "{plant("secrets.toml")}"\n',
    }.items():
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    url = f"https://oauth2:{plant('token of the git remote')}@git.example/me/x.git"
    subprocess.run(["git", "remote", "add", "origin", url], cwd=folder, check=True)
    token = plant("token in an output", "ghp_" + "aB3" * 8 + "{}")
    text = nbformat.v4.new_markdown_cell("A picture was here.")
    secret = base64.b64encode(plant("attachment").encode()).decode()
    text["attachments"] = {"x.txt": {"text/plain": secret}}
    text["metadata"] = {"note": plant("metadata of a cell of text")}
    return samples.write(
        folder / "x.ipynb",
        samples.code("import acme, os\nprint(acme.WHO)", samples.stream("corp\n"), count=1),
        samples.code(
            "print(os.environ.get('DB_PASSWORD'))",
            samples.stream(f"{token}\n"),
            count=2,
            papermill={"secret": plant("metadata of a cell")},
        ),
        samples.code("os.path.exists('.env'), os.path.exists('kaggle.json')", count=3),
        text,
        widgets={"state": {"x": {"value": plant("state of a widget")}}},
        papermill={"parameters": {"password": plant("metadata of the notebook")}},
    )


def environment(**env: str) -> dict[str, str]:
    """Our environment without what it says of indexes, and with what is told here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **env}


def run(*words: str | Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The command in just this environment."""
    argv = [sys.executable, "-m", "ipydock", *map(str, words)]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=False)


def holds(data: bytes) -> bool:
    """Whether a planted secret is in there, as it is or in base64."""
    return any(form in data for form in FORMS)


def tainted(folder: Path) -> list[str]:
    """The files below a folder that hold a secret."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and (holds(path.read_bytes()) or MARK in path.name)
    ]


def tainted_image(data: Iterator[bytes], known: bytes) -> tuple[list[str], list[str]]:
    """The layers of a saved image that hold something known, and its parts that hold a secret."""
    layers, found = [], []
    with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as archive:
        for member in archive.getmembers():
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            content = stream.read()
            if content[:2] == b"\x1f\x8b":
                content = zlib.decompress(content, 31)
            if content[257:262] == b"ustar" and known in content:
                layers.append(member.name)
            if holds(content):
                found.append(member.name)
    return layers, found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """This host's authorities with one more, and a server's certificate from that one."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("authority")
    authority, server = network.authority(folder)
    usual = ca_bundle()
    bundle = folder / "bundle.pem"
    bundle.write_text((usual.read_text() if usual else "") + authority.read_text())
    return bundle, server


def test_none_of_twenty_secrets_stays(
    tmp_path: Path, certificates: tuple[Path, Path], sdk: Any
) -> None:
    plant = Planted()
    nb = project(tmp_path / "project", plant)
    login, guard = f"bob:{plant('password of the index')}", f"me:{plant('password of the proxy')}"
    ours = network.wheel("acme", "1.0", acme="WHO = 'corp'\n")
    strangers = network.wheel("acme", "99.0", acme="WHO = 'a stranger'\n")
    with (
        network.index(ours, login=login, certificate=certificates[1]) as corp,
        network.index(strangers, upstream=True) as public,
        network.proxy(guard) as proxy,
    ):
        env = environment(
            **variables(plant),
            HOME=str(home(tmp_path / "home", plant)),
            IPYDOCK_CACHE_DIR=str(tmp_path / "cache"),
            SSL_CERT_FILE=str(certificates[0]),
            UV_INDEX=f"corp={corp.url}",
            UV_INDEX_CORP_USERNAME="bob",
            UV_INDEX_CORP_PASSWORD=login.partition(":")[2],
            UV_DEFAULT_INDEX=public.url,
            HTTP_PROXY=proxy.with_user(guard),
            HTTPS_PROXY=proxy.with_user(guard),
        )
        words = (nb, "--engine", "docker", "--add-pip", "acme")
        done = run("verify", *words, "-v", env=env)
        written = run("dockerfile", *words, "-o", tmp_path / "context", env=env)
        recipe = run("dockerfile", *words, "--json", env=env)
    assert len(plant.kinds) >= 20
    assert done.returncode == 1, done.stderr  # what was printed is not the same
    assert written.returncode == recipe.returncode == 0, written.stderr
    # They were used: index, proxy, authority.
    assert "acme" in corp.projects()
    assert not corp.refused
    assert not proxy.refused
    assert any("127.0.0.1" in asked for asked in proxy.asked)
    # A name that the own index has is not even looked up on the public one.
    assert "acme" not in public.projects()
    assert len(public.projects()) > 20
    # And they are nowhere.
    for said in (done, written, recipe):
        assert not holds(said.stdout.encode()), said.stdout
        assert not holds(said.stderr.encode()), said.stderr
    for name in ("cache", "context"):
        assert not tainted(tmp_path / name)
    assert not holds((nb.parent / "x.rerun.ipynb").read_bytes())
    digest = json.loads(recipe.stdout)["digest"]
    (image,) = sdk.images.list(filters={"label": f"io.ipydock.recipe={digest}"})
    assert not holds(json.dumps([image.attrs, image.history()]).encode())
    layers, found = tainted_image(image.save(), b"WHO = 'corp'")
    assert len(layers) == 1  # the search does look into layers
    assert not found


def test_the_search_finds_what_is_there() -> None:
    for lead in range(3):
        text = f"{'a' * lead}{MARK}12"
        assert holds(b"x" + base64.b64encode(text.encode()))
    assert holds(f"x{MARK}".encode())
    assert not holds(b"nothing")


def private(tmp_path: Path, site: network.Site, login: str, **env: str) -> dict[str, str]:
    """An environment whose pip takes packages from that index, and PyPI's; netrc has the login."""
    user, _, password = login.partition(":")
    folder = tmp_path / "home"
    (folder / ".config" / "pip").mkdir(parents=True)
    (folder / ".config" / "pip" / "pip.conf").write_text(
        f"[global]\nindex-url = {site.url}\nextra-index-url = https://pypi.org/simple\n"
        f"trusted-host = 127.0.0.1\n"
    )
    netrc = folder / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {user} password {password}\n")
    netrc.chmod(0o600)
    bundle = ca_bundle()
    found = {"SSL_CERT_FILE": str(bundle)} if bundle else {}
    return environment(HOME=str(folder), IPYDOCK_CACHE_DIR=str(tmp_path / "cache"), **found, **env)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return samples.write(
        tmp_path / "x.ipynb",
        samples.code("import acme\nprint(acme.WHO)", samples.stream("corp\n"), count=1),
    )


ACME = network.wheel("acme", "1.0", acme="WHO = 'corp'\n")


def test_podman_takes_packages_from_pip_conf_and_netrc(
    tmp_path: Path, small: Path, further: Further, certificates: tuple[Path, Path]
) -> None:
    login = f"bob:{MARK}%/:@"
    with network.index(ACME, login=login, certificate=certificates[1]) as corp:
        # The certificate is not checked: trusted-host.
        env = {**private(tmp_path, corp, login), **further("podman")}
        words = (small, "--engine", "podman", "--add-pip", "acme", "--no-cache")
        done = run("verify", *words, env=env)
    assert done.returncode == 0, done.stderr
    assert not corp.refused
    assert not tainted(tmp_path / "cache")


def test_a_password_that_is_wrong_in_the_build(tmp_path: Path, small: Path, sdk: Any) -> None:
    login = f"bob:{MARK}"
    words = (small, "--engine", "docker", "--add-pip", "acme")
    with network.index(ACME, login=login) as corp:
        env = private(tmp_path, corp, login)
        context = tmp_path / "context"
        written = run("dockerfile", *words, "-o", context, env=env)
        assert written.returncode == 0, written.stderr
        # A recipe builds without ipydock, with the settings of uv given by hand.
        client = build_client(env)
        assert client is not None
        settings = tmp_path / "uv.toml"
        settings.write_text(f'extra-index-url = ["{corp.with_user(login)}"]  # ours\n')
        by_hand = subprocess.run(
            [
                *(*client.words, "--network", "host", "--no-cache"),
                *("--secret", f"id=uv,src={settings}"),
                *("--secret", f"id=ca,src={env['SSL_CERT_FILE']}"),
                *("--tag", "ipydock-by-hand", str(context)),
            ],
            env={**env, **dict(client.env)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert by_hand.returncode == 0, by_hand.stderr
        sdk.images.remove("ipydock-by-hand")
        assert "/files/acme-1.0-py3-none-any.whl" in corp.asked
        assert "uv" in corp.projects()  # which the build fetches itself, and there first
        # The lock is remembered; now the password changes.
        corp.login = "bob:another"
        done = run("build", *words, "--no-cache", env=env)
    assert done.returncode == 4, done.stderr
    assert "wants a valid user and password (401 or 403)" in paragraph(done)
    assert not holds(done.stderr.encode())


def test_a_proxy_that_is_refused_in_the_build(tmp_path: Path, small: Path) -> None:
    with network.index(ACME) as corp, network.proxy("me:other") as proxy:
        words = (small, "--engine", "docker", "--add-pip", "acme")
        env = private(tmp_path, corp, "a:b")
        assert run("dockerfile", *words, env=env).returncode == 0
        url = proxy.with_user(f"me:{MARK}")
        done = run(
            "build", *words, "--no-cache", env={**env, "HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1"}
        )
    assert done.returncode == 4, done.stderr
    assert "the proxy does not let the build through" in paragraph(done)
    assert not holds(done.stderr.encode())
    assert proxy.refused
