"""Files: only what is inside the notebook's folder, never what is secret."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipydock.capture import files, outside
from ipydock.capture.findings import PathLiteral, PathUse, Place
from tests import samples
from tests.folders import read, resolve, scan, write


def test_a_file_with_its_digest_and_evidence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"a,b\n")
    (found,) = resolve(tmp_path, "x = 1", "\npd.read_csv('data/a.csv')").read
    assert found.path == "data/a.csv"
    assert found.policy == "copy"
    assert found.size_bytes == 4
    assert found.sha256 == hashlib.sha256(b"a,b\n").hexdigest()
    assert [str(e) for e in found.evidence] == ["cell 2: pd.read_csv('data/a.csv')"]


def test_ways_to_name_a_file(tmp_path: Path) -> None:
    write(tmp_path, d__a_csv="1", d__b_csv="2", e__c_txt="3", d_e_f_npy="4", x_csv="5")
    assert read(tmp_path, "for f in glob.glob('d/*.csv'): pass") == {
        "d/a.csv": "copy",
        "d/b.csv": "copy",
    }
    assert read(tmp_path, "Path('e').iterdir()") == {"e/c.txt": "copy"}
    assert read(tmp_path, "for p in Path('.').rglob('*.npy'): p") == {"d_e_f.npy": "copy"}
    assert read(tmp_path, "pd.read_csv(f'd/{name}.csv')") == {"d/a.csv": "copy", "d/b.csv": "copy"}
    assert read(tmp_path, "files = ['x.csv']") == {"x.csv": "copy"}
    assert read(tmp_path, "glob.glob('**/c.*', recursive=True)") == {"e/c.txt": "copy"}
    assert read(tmp_path, "glob.glob('?.csv')") == {"x.csv": "copy"}
    assert read(tmp_path, "glob.glob('d/*')") == {"d/a.csv": "copy", "d/b.csv": "copy"}
    assert read(tmp_path, "os.listdir('e')") == {"e/c.txt": "copy"}
    assert read(tmp_path, "df['e']; df.groupby('d')") == {}
    assert read(tmp_path, "!head x.csv") == {"x.csv": "copy"}


def test_missing_only_where_it_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, "pd.read_csv('a.csv'); x = 'b.csv'; np.load('model'); open('c.txt')")
    assert found == {"a.csv": "missing", "c.txt": "missing"}


def test_written_files_are_not_missing(tmp_path: Path) -> None:
    found = resolve(
        tmp_path,
        "df.to_csv('a.csv'); pd.read_csv('a.csv')\nplt.savefig('f.png'); df.to_csv(sep=';')",
    )
    assert [(f.path, f.policy) for f in found.read] == [("a.csv", "generated")]
    assert [(f.path, f.policy, f.sha256) for f in found.written] == [
        ("a.csv", "generated", None),
        ("f.png", "generated", None),
    ]


def test_written_earlier_and_still_there(tmp_path: Path) -> None:
    write(tmp_path, a_csv="1")
    assert read(tmp_path, "df.to_csv('a.csv')", "pd.read_csv('a.csv')") == {"a.csv": "generated"}
    assert read(tmp_path, "pd.read_csv('a.csv')", "df.to_csv('a.csv')") == {"a.csv": "copy"}


def test_a_guarded_download_that_is_here_is_copied(tmp_path: Path) -> None:
    cell = "if not os.path.exists('a.csv'):\n    urlretrieve('https://x.org/a.csv', 'a.csv')"
    assert read(tmp_path, cell, "pd.read_csv('a.csv')") == {"a.csv": "generated"}
    write(tmp_path, a_csv="1")
    assert read(tmp_path, cell, "pd.read_csv('a.csv')") == {"a.csv": "copy"}


def test_outside_on_the_word_of_the_notebook(tmp_path: Path) -> None:
    (tmp_path / "up.csv").write_text("1")
    folder = tmp_path / "nb"
    folder.mkdir()
    found = resolve(
        folder, "open('../up.csv'); open('/etc/passwd'); open('~/x.csv'); open('a/../../up.csv')"
    )
    assert {f.path: (f.policy, f.sha256) for f in found.read} == {
        "../up.csv": ("outside", None),
        "/etc/passwd": ("outside", None),
        "~/x.csv": ("outside", None),
    }
    assert found.folder == ""
    assert read(folder, "x = '../up.csv'; y = '/etc/passwd'") == {}
    (warning,) = files.left_out(found.read)
    assert all(mend in warning for mend in ("--include", "--run", "--mount"))


def test_the_folder_by_its_absolute_path(tmp_path: Path) -> None:
    write(tmp_path, d__a_csv="1")
    found = resolve(tmp_path, f"DATA = {str(tmp_path)!r}\nopen(DATA + '/d/a.csv')")
    assert [(f.path, f.policy) for f in found.read] == [("d/a.csv", "copy")]
    assert found.folder == str(tmp_path)


def test_out_of_the_folder_and_back(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "nb"
    folder.mkdir(parents=True)
    write(folder, d__a_csv="1")
    found = resolve(folder, "open('../nb/d/a.csv')")
    assert [(f.path, f.policy) for f in found.read] == [("d/a.csv", "copy")]
    assert found.folder == "nb"
    assert resolve(folder, "open('../../x/nb/d/a.csv')").folder == "x/nb"
    assert resolve(folder, "open('d/../d/a.csv')").folder == ""


def session(*opened: tuple[Path | str, PathUse]) -> list[PathLiteral]:
    """What a session saw, in order."""
    place = Place("reads it", cell=0, number=1, source="session")
    return [PathLiteral(str(path), use, place) for path, use in opened]


def watched(
    folder: Path, opened: list[PathLiteral], *sources: str
) -> tuple[dict[str, str], files.Files]:
    found = files.resolve(files.Folder(folder), [*opened, *scan(*sources).paths], set())
    return {file.path: file.policy for file in found.read}, found


def test_what_a_session_opened_outside_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "nb"
    folder.mkdir(parents=True)
    write(folder, in_csv="1")
    write(tmp_path, x__d__a_csv="12", up_csv="3")
    opened = session(
        (folder / "in.csv", "read"), (tmp_path / "x/d/a.csv", "read"), (tmp_path / "up.csv", "read")
    )
    policies, found = watched(folder, opened, "pd.read_csv('../d/a.csv')")
    assert policies == {"in.csv": "copy", "../d/a.csv": "outside", "../../up.csv": "outside"}
    assert found.folder == "x/nb"
    outside = next(f for f in found.read if f.path == "../d/a.csv")
    assert (outside.size_bytes, outside.sha256) == (2, hashlib.sha256(b"12").hexdigest())
    assert files.left_out(found.read) == []


def test_an_absolute_path_stays_one_where_a_cell_names_it(tmp_path: Path) -> None:
    # Not below /tmp, which an image has as its own.
    folder = tmp_path / "nb"
    folder.mkdir()
    write(tmp_path, d__a_csv="1")
    opened = session((tmp_path / "d/a.csv", "read"))
    policies, found = watched(folder, opened, f"D = Path({str(tmp_path / 'd')!r})\nopen(D / name)")
    assert policies == {str(tmp_path / "d/a.csv"): "outside"}
    assert "folder of the system" in found.warnings[0]


def test_files_of_the_system_and_the_kernels_own_are_not_copied(tmp_path: Path) -> None:
    opened = session(
        ("/proc/self/status", "read"), ("/dev/urandom", "read"), ("/etc/os-release", "read")
    )
    policies, found = watched(tmp_path, opened, "open('/etc/os-release')")
    assert policies == {"/etc/os-release": "outside"}
    assert found.read[0].sha256 is None


def test_written_before_it_is_read_in_a_session(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    write(folder, a_csv="1", b_csv="1")
    write(tmp_path, c_csv="1")
    opened = session(
        *((folder / "a.csv", "write"), (folder / "a.csv", "read")),
        *((folder / "b.csv", "read"), (folder / "b.csv", "write")),
        *((tmp_path / "c.csv", "write"), (tmp_path / "c.csv", "read")),
    )
    policies, found = watched(folder, opened, "def f(): return open('a.csv')")
    assert policies == {"a.csv": "generated", "b.csv": "copy", "../c.csv": "generated"}
    assert [f.path for f in found.written] == ["../c.csv", "a.csv", "b.csv"]


def test_what_a_session_read_and_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    opened = session((folder / "a.csv", "read"), (tmp_path / "b", "read"))
    policies, found = watched(folder, opened)
    assert policies == {"a.csv": "missing", "../b": "missing"}
    assert all("was read in the session and is not there any more" in w for w in found.warnings)


def test_secrets_that_a_session_opened(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    write(tmp_path, home___netrc="machine x", home__a_txt="k = " + GITHUB)
    opened = session((tmp_path / "home/.netrc", "read"), (tmp_path / "home/a.txt", "read"))
    policies, found = watched(folder, opened)
    assert policies == {}
    assert len(found.warnings) == 2
    assert all("credential" in warning and GITHUB not in warning for warning in found.warnings)


def test_a_listing_that_a_session_made(tmp_path: Path) -> None:
    write(tmp_path, d__a_csv="1", d__e__b_csv="1", other_csv="1")
    policies, _ = watched(tmp_path, session((tmp_path, "list"), (tmp_path / "d", "list")))
    assert policies == {"d/a.csv": "copy"}


def test_folders_that_are_written_to_come_along(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    (folder / "out" / "deep").mkdir(parents=True)
    (folder / "full").mkdir()
    write(folder, full__a_csv="1")
    assert read(folder, "plt.savefig('out/f.png'); df.to_csv('new/x.csv')") == {"out/": "copy"}
    assert read(folder, "open('full/a.csv'); df.to_csv('full/x.csv')") == {"full/a.csv": "copy"}
    assert read(folder, "os.listdir('out/deep')") == {"out/deep/": "copy"}
    assert read(folder, "for f in ['out/a.txt']: save(f)") == {"out/": "copy"}
    for made in ("os.makedirs('out')", "os.mkdir('out')", "Path('out').mkdir()", "!mkdir -p out"):
        assert read(folder, made, "plt.savefig('out/f.png')") == {}, made
    # Nothing above is looked at: the folder is made, as the notebook would fail without it.
    assert read(folder, "plt.savefig('../figures/f.png')") == {"../figures/": "copy"}
    assert read(folder, "os.makedirs('../figures')\nplt.savefig('../figures/f.png')") == {}
    assert read(folder, "plt.savefig('../f.png')") == {}


GITHUB = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"


def test_files_with_credentials_in_them_are_left(tmp_path: Path) -> None:
    write(tmp_path, settings_json=f'{{"token": "{GITHUB}"}}', a_csv="1,2\n" * 1000)
    found = resolve(tmp_path, "open('settings.json'); open('a.csv')")
    assert [f.path for f in found.read] == ["a.csv"]
    assert found.warnings == [
        "Cell 1: settings.json holds a credential (GitHub token); it is not captured. Give it to "
        "the container when it runs (--mount)."
    ]


def test_evidence_shows_no_credential(tmp_path: Path) -> None:
    write(tmp_path, a_csv="1")
    (file,) = resolve(tmp_path, f"pd.read_csv('a.csv', token='{GITHUB}')").read
    assert file.evidence[0].text == "pd.read_csv('a.csv', token='***')"


def test_links_are_followed_only_inside(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.csv").write_text("1")
    folder = tmp_path / "nb"
    folder.mkdir()
    write(folder, d__real_csv="1")
    (folder / "out.csv").symlink_to("../secret.csv")
    (folder / "dir").symlink_to("../elsewhere")
    (folder / "in.csv").symlink_to("d/real.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    found = read(
        folder, "open('out.csv'); open('dir/x.csv'); open('in.csv'); open('loop.csv'); 'dir/'"
    )
    assert found == {"in.csv": "copy"}
    assert read(folder, "glob.glob('*.csv'); os.listdir('dir')") == {"in.csv": "copy"}


@pytest.mark.parametrize(
    "text",
    [
        *["a\0b.csv", "x" * 5000 + ".csv", "\udcff.csv", "a\nb.csv"],
        *["", ".", "..", "/", "./", "~", "*", "**/*"],
    ],
)
def test_hostile_names(tmp_path: Path, text: str) -> None:
    write(tmp_path, a_csv="1")
    found = resolve(tmp_path, f"open({text!r}); x = {text!r}; glob.glob({text!r})")
    assert all(file.policy != "copy" for file in found.read)


def test_devices_and_pipes_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "null.csv").symlink_to("/dev/null")
    assert "copy" not in read(tmp_path, "open('pipe.csv'); open('null.csv')").values()


@pytest.mark.timeout(10)
def test_patterns_cannot_be_made_slow(tmp_path: Path) -> None:
    write(tmp_path, **{f"{'a' * 40}{i}_csv": "1" for i in range(30)})
    assert read(tmp_path, f"glob.glob('{'*a' * 30}*b.csv')") == {}


def test_large_files_are_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "COPY_EACH", 10)
    monkeypatch.setattr(outside, "COPY_TOGETHER", 25)
    for name, size in (("a", 10), ("b", 11), ("c", 10), ("d", 10)):
        (tmp_path / f"{name}.bin").write_bytes(b"x" * size)
    assert read(tmp_path, "['a.bin', 'b.bin', 'c.bin', 'd.bin']") == {
        "a.bin": "copy",
        "b.bin": "mount",
        "c.bin": "copy",
        "d.bin": "mount",
    }


def test_a_folder_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 5)
    write(tmp_path, **{f"d__f{i}_txt": "1" for i in range(9)}, d__node_modules__x_js="1")
    found = resolve(tmp_path, "os.walk('d')")
    assert len(found.read) == 5
    assert found.warnings == ["Cell 1: d holds more than 5 files; the rest was left out."]


@pytest.mark.parametrize(
    "name",
    [
        *[".env", ".env.local", "prod.env", "server.pem", "tls.key", "id_rsa", "id_ed25519.bak"],
        *["credentials.json", ".credentials", "aws_credentials", "kaggle.json"],
        *["service-account-x.json", ".netrc", "_netrc", "kubeconfig", "kubeconfig.yaml", ".pgpass"],
        *[".pypirc", ".git-credentials", "secrets.yaml", "api_key.txt", "my-access-token.json"],
        *["token.pickle", "passwords.csv", ".aws/config", "x/.ssh/config", "github_token"],
    ],
)  # fmt: skip
def test_secrets_are_named_and_left(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("x")
    found = resolve(tmp_path, "x = 1", f"open({name!r})")
    assert found.read == []
    (warning,) = found.warnings
    assert warning.startswith(f"Cell 2: {name} looks like it holds credentials")


@pytest.mark.parametrize(
    "name",
    [
        *["tokens.csv", "tokenizer.json", "keys.csv", "monkey.csv", ".env.example", "id_rsa.pub"],
        *["environment.yml", "secretary.txt", "keyboard.png"],
    ],
)
def test_ordinary_files_are_no_secrets(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    assert read(tmp_path, f"open({name!r})") == {name: "copy"}


def test_secrets_in_a_folder_are_left(tmp_path: Path) -> None:
    write(tmp_path, d__a_csv="1", d__server_pem="1")
    found = resolve(tmp_path, "os.listdir('d')")
    assert [f.path for f in found.read] == ["d/a.csv"]
    assert "d/server.pem looks like it holds credentials" in found.warnings[0]


def test_databases_and_folders_of_tables(tmp_path: Path) -> None:
    write(tmp_path, a_db="1", t__x_parquet="1", t__y_parquet="1")
    assert read(tmp_path, "sqlite3.connect('a.db')") == {"a.db": "copy"}
    assert read(tmp_path, "sqlite3.connect('new.db')") == {}
    assert read(tmp_path, "create_engine('sqlite:///a.db')") == {"a.db": "copy"}
    both = {"t/x.parquet": "copy", "t/y.parquet": "copy"}
    assert read(tmp_path, "pd.read_parquet('t')") == both
    assert read(tmp_path, "for f in sorted(Path('t').glob('*.parquet')): f") == both


def test_where_the_notebook_changes_to(tmp_path: Path) -> None:
    write(tmp_path, d__a_csv="1", d__e__b_csv="1", c_csv="1")
    assert read(tmp_path, "import os\nos.chdir('d/e')\nopen('b.csv'); open('../a.csv')") == {
        "d/e/b.csv": "copy",
        "d/a.csv": "copy",
    }
    assert read(tmp_path, "%cd d", "open('a.csv')")["d/a.csv"] == "copy"


def test_paths_in_cells_that_do_not_parse(tmp_path: Path) -> None:
    write(tmp_path, a_csv="1")
    found = resolve(tmp_path, "print open('a.csv').read()\nimport = 1")
    assert [(f.path, f.policy) for f in found.read] == [("a.csv", "copy")]


def test_the_order_of_a_folder_on_disk_changes_nothing(tmp_path: Path) -> None:
    names = ["b", "a", "c", "é", "Z"]
    found = []
    for order in (names, names[::-1]):
        folder = tmp_path / order[0]
        (folder / "d").mkdir(parents=True)
        for name in order:
            (folder / "d" / f"{name}.csv").write_text(name)
        found.append(resolve(folder, "glob.glob('d/*.csv'); os.listdir('d')").read)
    assert found[0] == found[1]


def test_the_same_notebook_gives_the_same_json(tmp_path: Path) -> None:
    write(tmp_path, d__b_csv="2", d__a_csv="1", m_py="import six, json\nopen('d/a.csv')")
    sources = (
        "import m, os, numpy\nfor f in glob.glob('d/*'): open(f)",
        "open('../x.csv'); open('../w.csv'); df.to_csv('o/p.csv'); print(zz, yy, xx)",
        "%pip install six\n!dot -V; java x\nrequests.get('https://b.example/'); os.environ['B']",
    )
    path = samples.write(tmp_path / "a.ipynb", *(samples.code(s, count=1) for s in sources))
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "ipydock", "capture", str(path), "--json"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_a_folder_whose_files_a_run_made_comes_along_empty(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path, out__f_txt="1")
    opened = session((tmp_path / "out/f.txt", "write"), (tmp_path / "out/f.txt", "read"))
    policies, _ = watched(tmp_path, opened, "open('out/f.txt', 'w')")
    assert policies == {"out/": "copy", "out/f.txt": "generated"}
