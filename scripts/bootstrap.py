"""Makes .venv with everything that requirements.txt pins, if it is missing or stale.

Needs only Python's standard library. Written so that even an old Python can read it and say so.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "ready")
LOG = os.path.join(VENV, "install.log")
OLDEST, NEWEST = (3, 11), (3, 13)  # what TensorFlow has wheels for
FREE_GB = 6
CAUSES = [
    (r"No space left on device|Errno 28", "the disk is full: free about 6 GB and run it again"),
    (
        r"NewConnectionError|NameResolutionError|Temporary failure in name|ConnectTimeout"
        r"|ReadTimeout|Max retries exceeded|ProxyError|Network is unreachable"
        r"|Connection (refused|reset|aborted)",
        "the package registry cannot be reached: check the network, or PIP_INDEX_URL and the proxy",
    ),
    (
        r"No matching distribution found|Could not find a version",
        "the registry has no package that fits this Python and system",
    ),
    (r"HASHES|hashes are required", "a package differs from the one that was pinned"),
]


def stop(reason):
    """One clear line, and the end."""
    sys.stderr.write(f"aelib: {reason}\n")
    sys.exit(1)


@contextlib.contextmanager
def alone(what):
    """One process at a time, a second one waits; a killed one's lock is gone with it."""
    build = os.path.join(ROOT, "_build")
    os.makedirs(build, exist_ok=True)
    with open(os.path.join(build, what + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"Another process is making the {what}: waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def suitable(version):
    return OLDEST <= tuple(version[:2]) <= NEWEST


def find_python():
    """This Python if it fits, or another one on the path, newest first."""
    if suitable(sys.version_info):
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and works(found):
            return found
    stop(
        "Python 3.11 to 3.13 is needed, this is {}.{}; install one, or name it: "
        "make PYTHON=/path/to/python3.12".format(*sys.version_info[:2])
    )


def works(python):
    """Does it start? (Version managers put names on the path that do not.)"""
    try:
        return subprocess.call([python, "-c", ""], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def digest(*names):
    state = hashlib.sha256()
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            state.update(file.read())
    return state.hexdigest()


def wanted(python):
    """What the environment is made of, as the stamp's two lines: pins and Python, package."""
    pins = digest("requirements.txt") + " " + version(python).split()[0] + " " + ROOT
    return [pins, digest("pyproject.toml")]


def stamp():
    """The stamp of the environment that is there."""
    if not os.path.exists(STAMP) or not os.path.exists(PYTHON):
        return ["", ""]
    with open(STAMP) as file:
        return file.read().split("\n")[:2]


def check_disk():
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_GB:
        stop(f"{free:.1f} GB are free here and the environment needs {FREE_GB}")


def version(python):
    return subprocess.check_output([python, "-c", "import sys; print(sys.version)"], text=True)


def reusable(python):
    """Is there an environment that starts, of the same Python and with its pip? It is kept."""
    if not (os.path.exists(PYTHON) and works(PYTHON) and version(PYTHON) == version(python)):
        return False
    return not subprocess.call([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL)


def create(python):
    """A new, empty environment in place of the old one."""
    shutil.rmtree(VENV, ignore_errors=True)
    run = subprocess.run(
        [python, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if run.returncode:
        said = ("No space left" in run.stdout and "the disk is full") or "install python3-venv"
        stop(f"{python} cannot make an environment: {said}")


def pip(title, *arguments):
    """pip with progress; a failure becomes one line, the whole story stays in the log."""
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--retries=3", "--progress-bar=off"]
    command += arguments
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    said, count = [], 0
    with open(LOG, "a") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        for line in process.stdout:
            log.write(line)
            said.append(line)
            count += progress(title, line, count)
    if process.wait():
        stop("{} failed: {} (log: {})".format(title, cause("".join(said)), LOG))


def progress(title, line, count):
    """Says every tenth package, and the installation itself; returns 1 for a package."""
    if line.startswith("Collecting "):
        if count % 10 == 0:
            print(f"  {title}: {count + 1} packages, {line.split()[1]}", flush=True)
        return 1
    if line.startswith("Installing collected"):
        print(f"  {title}: installing (a minute or two)", flush=True)
    return 0


def cause(output):
    """Why pip failed, in plain words."""
    for pattern, reason in CAUSES:
        if re.search(pattern, output):
            return reason
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR")]
    return errors[-1] if errors else "pip says no more"


def main():
    python = find_python()
    if wanted(python) == stamp():
        return
    with alone("environment"):
        prepare(python)


def prepare(python):
    """Whatever is missing; the stamp comes last, so that a killed run is not taken for a whole."""
    want, have = wanted(python), stamp()
    if want == have:  # by the process that we waited for
        return
    if want[0] != have[0]:
        check_disk()
        print(
            f"Preparing .venv with {python} (4 GB; a few minutes the first time)",
            flush=True,
        )
        if not reusable(python):
            create(python)
        requirements = os.path.join(ROOT, "requirements.txt")
        pip("dependencies", "--require-hashes", "--only-binary=:all:", "-r", requirements)
    pip("aelib", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    with open(STAMP + ".new", "w") as file:
        file.write("\n".join(want) + "\n")
    os.replace(STAMP + ".new", STAMP)
    print("The environment is ready.", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        stop("interrupted; run it again to go on")
    except OSError as error:
        stop("the disk is full" if error.errno == 28 else str(error))
