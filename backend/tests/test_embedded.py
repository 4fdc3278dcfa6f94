"""The embedded PostgreSQL: whatever state its folder is in, one server, and none afterwards."""

import asyncio
import fcntl
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import asyncpg
import pytest

from app import embedded
from app.embedded import embedded_postgres
from app.errors import ConfigurationError
from tests.conftest import FAST, administer
from tests.servers import BACKEND, END_SECONDS, processes_of, uncovered, wait_for

pytestmark = pytest.mark.slow  # starts and ends of servers

NOBODY = 65_534
ROOT = os.geteuid() == 0
#: Whom an ordinary user's process runs as: somebody else when the tests are root's, else the same.
SOMEBODY = NOBODY if ROOT else os.geteuid()

OWNER = """
import signal, sys
from pathlib import Path
from app.embedded import embedded_postgres
from app.errors import ConfigurationError

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit that it is ignored
try:
    with embedded_postgres(Path(sys.argv[1]), {"fsync": "off"}) as url:
        print(url, flush=True)
        sys.stdin.readline()
except ConfigurationError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    pass
"""


@contextmanager
def owner(data_dir: Path, *, user: int | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start another process that owns the folder's server."""
    variables = os.environ | {"PYTHONPATH": str(BACKEND)} | environment
    prefix = []
    if user not in {None, os.geteuid()}:
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        if not (
            open_to_all(BACKEND) and open_to_all(Path(sys.executable)) and open_to_all(Path(sys.base_prefix))
        ):
            # For reading the code that is tested where it lies in a private folder; not for writing.
            prefix += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
        variables = uncovered() | {"PYTHONPATH": str(BACKEND)} | environment
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", OWNER, str(data_dir)],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


def url_of(process: subprocess.Popen[str]) -> str:
    """Wait for the owner's server."""
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, process.communicate()[1]
    return url


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def ask(url: str, sql: str) -> object:
    """Run SQL from outside any event loop; the first value of the first row."""
    rows = asyncio.run(administer(url, sql))
    return rows[0][0] if rows else None


@pytest.fixture(autouse=True)
def _nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    assert wait_for(lambda: not processes_of(tmp_path), END_SECONDS)


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A folder with a cluster that has been used and stopped."""
    with embedded_postgres(tmp_path, FAST) as url:
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    return tmp_path


def test_it_speaks_utf_8_sorts_by_code_point_and_lives_in_utc(server):
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SHOW timezone") == "UTC"
    assert ask(server, "SELECT 'Z' < 'a'") is True
    assert ask(server, "SELECT lower('ÄÖ')") == "äö"
    assert str(ask(server, "SHOW server_version")).startswith("18.")


def test_it_listens_on_a_private_socket_and_on_no_port(server):
    assert ask(server, "SHOW listen_addresses") == ""
    folder = Path(str(ask(server, "SHOW unix_socket_directories")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"host={folder}" in server.replace("%2F", "/")


def test_data_survives_a_restart_and_no_server_stays(cluster):
    assert not processes_of(cluster)
    with embedded_postgres(cluster, FAST) as url:
        assert ask(url, "SELECT answer FROM kept") == 42
    assert not processes_of(cluster)


def test_an_error_inside_stops_the_server_too(cluster):
    with pytest.raises(ZeroDivisionError), embedded_postgres(cluster, FAST):
        _ = 1 / 0
    assert not processes_of(cluster)


def test_a_second_process_shares_the_server_and_does_not_stop_it(cluster):
    with owner(cluster) as process:
        url = url_of(process)
        with embedded_postgres(cluster) as shared:
            assert shared == url
            assert ask(shared, "SELECT answer FROM kept") == 42
        assert ask(url, "SELECT answer FROM kept") == 42


def test_two_that_start_at_once_on_a_fresh_folder_share_one_server(tmp_path):
    with owner(tmp_path) as first, owner(tmp_path) as second:
        assert url_of(first) == url_of(second)
        assert len(children_of(first.pid) + children_of(second.pid)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_its_owner(cluster, number):
    with owner(cluster) as process:
        url_of(process)
        process.send_signal(number)
        process.wait(END_SECONDS)
        assert wait_for(lambda: not processes_of(cluster), END_SECONDS)


def test_after_a_kill_the_next_start_finds_everything_committed(cluster):
    with owner(cluster) as process:
        ask(url_of(process), "INSERT INTO kept VALUES (43)")
        process.kill()
        process.wait()
        with embedded_postgres(cluster, FAST) as url:  # the old server may still be stopping
            assert ask(url, "SELECT max(answer) FROM kept") == 43


def crash(cluster: Path) -> Path:
    """Leave behind what a power cut does: the pid file of a server that is no more."""
    with owner(cluster) as process:
        url_of(process)
        pid_file = cluster / "postgres" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        assert wait_for(lambda: not processes_of(cluster) - {process.pid}, END_SECONDS)
    assert pid_file.exists()
    return pid_file


@contextmanager
def unrelated_process() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody's process, of the very user that the server runs as."""
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if ROOT else []
    with subprocess.Popen([*prefix, "cat"], stdin=subprocess.PIPE) as process:
        yield process


def test_a_pid_file_whose_number_is_another_process_now_does_not_block(cluster):
    """After a reboot, or in a new container, the number in it is somebody's."""
    pid_file = crash(cluster)
    with unrelated_process() as other:
        for file in (pid_file, pid_file.with_name(".s.PGSQL.5432.lock")):
            _, *rest = file.read_text().split("\n")
            file.write_text("\n".join([str(other.pid), *rest]))
        with embedded_postgres(cluster, FAST) as url:
            assert ask(url, "SELECT answer FROM kept") == 42
        assert other.poll() is None


def test_a_start_waits_for_whoever_holds_the_folder_and_is_not_fooled_by_an_old_pid_file(cluster):
    crash(cluster)
    with (cluster / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with owner(cluster) as process:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 1)[0] == []
            assert process.poll() is None
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert ask(url_of(process), "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("content", ["", "not a number\n"])
def test_a_torn_pid_file_is_one_clear_line_or_no_hindrance(cluster, content):
    (cluster / "postgres" / "postmaster.pid").write_text(content)
    with embedded_postgres(cluster, FAST) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_server_that_was_left_alone_is_stopped_and_replaced(cluster):
    """Where the kernel can't tie it to its owner (macOS), a killed owner leaves one."""
    with owner(cluster) as process:
        url_of(process)
        pid = int((cluster / "postgres" / "postmaster.pid").read_text().split()[0])
        process.send_signal(signal.SIGSTOP)  # it neither stops its server nor holds us up ...
        (cluster / "lock").rename(cluster / "lock.gone")  # ... nor keeps the folder
        with embedded_postgres(cluster, FAST) as url:
            assert not Path(f"/proc/{pid}/cwd").exists()
            assert ask(url, "SELECT answer FROM kept") == 42


def test_an_interrupted_initialisation_does_not_block(tmp_path):
    left = tmp_path / "postgres.new"
    left.mkdir()
    (left / "PG_VERSION").write_text("18\n")
    with embedded_postgres(tmp_path, FAST) as url:
        assert ask(url, "SELECT 1") == 1
    assert not left.exists()


def test_a_path_too_long_for_a_socket_works_and_leaves_nothing_outside(tmp_path):
    data_dir = tmp_path / ("long" * 30) / "data"
    with embedded_postgres(data_dir, FAST) as url:
        assert url == embedded.url(data_dir)
        sockets = Path(str(ask(url, "SHOW unix_socket_directories")))
        assert not sockets.is_relative_to(data_dir)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert not sockets.exists()


def test_somebody_elses_link_in_the_way_of_the_socket_folder_is_not_followed(tmp_path):
    data_dir = tmp_path / ("long" * 30) / "data"
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    sockets = Path(embedded.url(data_dir).split("host=")[1].replace("%2F", "/"))
    sockets.symlink_to(treasure)
    if ROOT:
        os.chown(sockets, 1, 1, follow_symlinks=False)
    try:
        before = treasure.stat()
        with pytest.raises(ConfigurationError) if ROOT else nullcontext(), embedded_postgres(data_dir, FAST):
            pass
        assert (treasure.stat().st_uid, treasure.stat().st_mode) == (before.st_uid, before.st_mode)
    finally:
        sockets.unlink(missing_ok=True)


def one_line(data_dir: Path) -> str:
    """The refusal to run on a folder."""
    with pytest.raises(ConfigurationError) as refusal, embedded_postgres(data_dir):
        pass
    text = str(refusal.value)
    assert text.startswith("DATA_DIR: ")
    assert "\n" not in text
    assert not processes_of(data_dir)
    return text


def test_a_folder_of_another_major_version_is_refused(cluster):
    (cluster / "postgres" / "PG_VERSION").write_text("17\n")
    assert "was made by PostgreSQL 17 and this is 18" in one_line(cluster)


def test_a_folder_that_is_no_cluster_is_refused(tmp_path):
    (tmp_path / "postgres").mkdir()
    assert "remove it" in one_line(tmp_path)


def test_a_broken_cluster_is_refused_in_the_servers_words(cluster):
    (cluster / "postgres" / "postgresql.conf").write_text("no such thing\n")
    assert "syntax error" in one_line(cluster)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "data").touch()
    one_line(tmp_path / "data")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach, unlike pytest's, and that is an ordinary user's."""
    with tempfile.TemporaryDirectory(prefix="tasks-api-test-", dir="/tmp") as name:
        folder = Path(name)
        os.chown(folder, SOMEBODY, SOMEBODY if ROOT else -1)
        yield folder
        assert wait_for(lambda: not processes_of(folder), END_SECONDS)


def test_an_ordinary_user_runs_it_too(open_folder):
    with owner(open_folder / "data", user=SOMEBODY) as process:
        assert ask(url_of(process), "SELECT 1") == 1
        assert (open_folder / "data" / "postgres").stat().st_uid == SOMEBODY


def test_an_unwritable_folder_is_one_clear_line(open_folder):
    open_folder.chmod(0o500)
    with owner(open_folder / "data", user=SOMEBODY) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors == f"DATA_DIR: {open_folder}/data can't be written (Permission denied)\n"


def test_a_private_parent_folder_works_and_no_permission_outside_changes(tmp_path):
    """For root, PostgreSQL runs as somebody who may not pass such a folder."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    outside = [private, *private.parents]
    before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in outside]
    users = Path("/etc/passwd").read_bytes()
    with embedded_postgres(private / "data", FAST) as url:
        assert ask(url, "SELECT 1") == 1
        cluster = private / "data" / "postgres"
        assert cluster.stat().st_uid == SOMEBODY
        assert ask(url, "COPY (SELECT 1) TO PROGRAM 'id -u'") is None
    assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in outside] == before
    assert Path("/etc/passwd").read_bytes() == users


def test_the_servers_log_is_for_its_owner_only(cluster):
    assert stat.S_IMODE((cluster / "postgres.log").stat().st_mode) == 0o600


@pytest.mark.parametrize("locale", ["xx_YY.UTF-8", "tr_TR.ISO-8859-9"])
def test_variables_of_the_caller_do_not_matter(tmp_path, locale):
    strange = {"LANG": locale, "LC_ALL": locale, "LC_MESSAGES": locale, "TZ": "Asia/Tokyo"}
    with owner(tmp_path, **strange, PGDATA="/nowhere", PGPORT="1", PGOPTIONS="-c nonsense=1") as process:
        url = url_of(process)
        assert ask(url, "SELECT lower('I')") == "i"
        assert ask(url, "SHOW server_encoding") == "UTF8"
        assert ask(url, "SHOW log_timezone") == "UTC"


async def test_its_url_names_the_socket_and_no_password(server):
    connection = await asyncpg.connect(server)
    assert await connection.fetchval("SELECT inet_server_addr() IS NULL")
    await connection.close()
