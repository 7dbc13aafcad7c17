"""Make .venv equal to requirements/{cpu,gpu,tpu}.lock; do nothing if it is.

    python3 tools/install.py [--tf auto|cpu|gpu|tpu] [--with auto|uv|pip]     (or: make install TF=... INSTALLER=...)
    python3 tools/install.py --add openvino                                   (or: make openvino)
    python3 tools/install.py --for serve                                      (make serve and make demo begin with it)

In:  requirements/<tf>.lock, every package pinned and hashed: nothing is resolved; --add NAME: requirements/NAME.lock
     beside them, until .venv is installed from scratch
Out: .venv, with bytecode compiled; .venv/installed holds the fingerprint of what it was made from, and what is in it

With --for serve, the same with requirements/serve.lock and .venv-serve: the server runs in an environment of its own,
without TensorFlow, which nobody has who does not ask for it.

`auto` is what the machine has: a TPU, else an NVIDIA GPU, else the CPU; and uv where it is installed, else pip, each
with the index, proxies and certificates of its own configuration, and no other setting of it. Two packages come as
source alone: the lock's setuptools builds them. When the lock, the Python, the choice of --tf or the project's path has
changed, a package is gone, or an installation was interrupted, .venv is installed from scratch: it then holds what the
lock holds and nothing else.

Standard library only, in syntax that old Pythons read (annotations quoted): it must be able to refuse Python 3.6.
"""

import argparse
import ast
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
FINGERPRINT = VENV / "installed"
OWNER = VENV / "project"  # whose it is: another clone may link to it
PYTHONS = [(3, 11), (3, 12), (3, 13)]  # what the locks are solved for
COMMAND = "make install"  # what installs again
OWN = ["serve"]  # locks that have an environment of their own
DISK_GB = {"cpu": 2.6, "gpu": 7.6, "tpu": 3.2}  # measured: 2.1, 7.0 and 2.7; the rest is for unpacking a large wheel
ADDED = ["openvino"]
DISK_GB.update({"serve": 0.5})
BUILDS = "setuptools"  # what builds the packages that come as source; installed first, so that no other one is fetched
# What pip and uv may be told by their files and by the environment: where packages come from, and how to get there.
# Their other settings (user, target, constraint, no-binary ...) would install others, elsewhere, or nothing.
PIP_KEEPS = {"index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy", "cert", "client-cert"}
PIP_KEEPS |= {"timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir", "keyring-provider", "use-feature"}
UV_KEEPS = re.compile(r"UV_\w*(INDEX|LINK|HOST|TLS|CERT|KEYRING|CACHE|HTTP|TIMEOUT|CONCURRENT|OFFLINE|CONFIG)")
# Google's TPUs, v2 to v7, on the PCI bus.
TPU_VENDOR = "0x1ae0"
TPU_DEVICES = {"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"}


def fail(where: str, reason: str, remedy: str) -> None:
    """One line on stderr and exit code 2, like detector.base.errors, which old Pythons cannot import."""
    sys.stderr.write(f"error: {where}: {reason}; {remedy}\n")
    sys.exit(2)


def answer(*command: str, **variables: str) -> str:
    """What a command prints, with these variables too; empty where it does not start, fails or hangs."""
    environment = dict(os.environ, **variables)
    try:
        output = subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=20, env=environment)
    except (OSError, subprocess.SubprocessError):
        return ""
    return output.decode(errors="replace")


def pick_python() -> None:
    """Continue under a Python that the locks are made for: this one, or the newest such on PATH."""
    inside = Path(sys.prefix) == VENV  # an activated .venv: it may be about to be replaced
    if sys.version_info[:2] in PYTHONS and not inside:
        return
    names = [getattr(sys, "_base_executable", "")] if inside else ["python3.13", "python3.12", "python3.11"]
    for name in names:
        path = shutil.which(name)
        if path and answer(path, "-c", "import sys; print(sys.version_info[:2])").strip() in map(str, PYTHONS):
            os.execv(path, [path, *sys.argv])  # noqa: S606 - the same command under another Python
    reason = "Python {}.{}.{} is not 3.11, 3.12 or 3.13".format(*sys.version_info[:3])
    fail(sys.executable, reason, "install one of them, or name it: PYTHON=python3.12 make ...")


def use_own(name: str) -> None:
    """From here on, install into the environment of `serve`, not into .venv."""
    global VENV, VENV_PYTHON, FINGERPRINT, OWNER, COMMAND
    VENV = ROOT / (".venv-" + name)
    VENV_PYTHON, FINGERPRINT, OWNER = VENV / "bin" / "python", VENV / "installed", VENV / "project"
    COMMAND = "make " + name


def pick_tf() -> str:
    """Which lock fits the machine: `tpu`, `gpu` or `cpu`."""
    if has_tpu():
        return "tpu"
    if not sys.platform.startswith("linux") or shutil.which("nvidia-smi") is None:
        return "cpu"
    # nvidia-smi may take a second: it does not run again once the GPU build is installed.
    return "gpu" if is_installed("gpu") or answer("nvidia-smi", "-L").startswith("GPU 0") else "cpu"


def has_tpu() -> bool:
    """Whether a TPU is attached: by the environment on Colab and Cloud TPU, by the PCI bus elsewhere."""
    if os.environ.get("TPU_ACCELERATOR_TYPE") or os.environ.get("COLAB_TPU_1VM"):
        return True
    for vendor in Path("/sys/bus/pci/devices").glob("*/vendor"):
        if vendor.read_text().strip() == TPU_VENDOR and vendor.with_name("device").read_text().strip() in TPU_DEVICES:
            return True
    return False


def lock_file(name: str) -> Path:
    """The lock of a choice of TensorFlow, or of what is added."""
    return ROOT / "requirements" / (name + ".lock")


def fingerprint(tf: str) -> str:
    """What .venv depends on: lock, Python, choice of TensorFlow, and its own path, which the scripts in it hold."""
    parts = [tf, "{}.{}".format(*sys.version_info[:2]), str(VENV), ""]
    return hashlib.sha256("\n".join(parts).encode() + lock_file(tf).read_bytes()).hexdigest()


def modules() -> "set[str]":
    """What can be imported from .venv. (Of its metadata, a user may install other versions.)"""
    names = {path.name for path in VENV.glob("lib/python3*/site-packages/*")}
    return {name for name in names if not name.endswith((".dist-info", "__pycache__"))}


def is_installed(tf: str) -> bool:
    """Whether .venv is complete and made from the lock as it is now."""
    if not (VENV_PYTHON.exists() and FINGERPRINT.is_file()):
        return False
    lines = FINGERPRINT.read_text(errors="replace").splitlines()
    return lines[:1] == [fingerprint(tf)] and set(lines[1:]) <= modules()


def check_machine(tf: str) -> None:
    """Refuse now what would make the installation, or a later command, fail."""
    if shutil.which("git") is None:
        fail("git", "not found on PATH", "install it: DVC needs it")
    if VENV.exists() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").is_file():
        fail(str(VENV), "exists and is not a virtual environment", "move it away: this project's packages go there")
    if VENV.is_symlink() and VENV.exists() and any(VENV.iterdir()) and not FINGERPRINT.is_file():
        reason = f"is a link to {os.path.realpath(str(VENV))}, an environment that this project has not made"
        fail(str(VENV), reason, "its packages would be removed: make it a link to an empty folder")
    owner = OWNER.read_text(errors="replace") if OWNER.is_file() else str(ROOT)
    if VENV.is_symlink() and owner != str(ROOT) and Path(owner).is_dir():
        reason = f"is a link to {os.path.realpath(str(VENV))}, the environment of the project in {owner}"
        fail(str(VENV), reason, "its packages would be replaced: make it a link to an empty folder")
    place = VENV if VENV.exists() else ROOT
    if not os.access(str(place), os.W_OK):
        fail(str(place), "not writable", "copy the project to a folder that you own")
    free = shutil.disk_usage(str(place)).free
    if free < DISK_GB[tf] * 1e9:
        free += sum(path.lstat().st_size for path in VENV.rglob("*"))  # what removing the old .venv frees
    if free < DISK_GB[tf] * 1e9:
        reason = f"the packages need {DISK_GB[tf]:.1f} GB of disk, {free / 1e9:.1f} GB are free"
        fail(str(place), reason, "free some, or make .venv a link to a folder on a larger disk")


@contextmanager
def one_at_a_time():  # type: ignore[no-untyped-def]
    """Lock the project's folder, so that two `make` at the same time do not install into one .venv.

    pip and uv inherit the lock: after a kill of this process alone, the next one waits until they have ended, too.
    """
    import fcntl

    handle = os.open(str(ROOT), os.O_RDONLY)
    os.set_inheritable(handle, True)
    with suppress(OSError):  # a network folder without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def clear(folder: Path) -> None:
    """Empty a virtual environment; `pyvenv.cfg`, by which it is known as one, goes last.

    The fingerprint goes first. Behind a link an empty one takes its place: a kill leaves an environment that is ours.
    """
    Path(os.path.realpath(str(folder))).mkdir(exist_ok=True)  # of a link, the folder that it leads to
    children = [path for path in sorted(folder.iterdir()) if path.name not in (FINGERPRINT.name, "pyvenv.cfg")]
    mark = folder / FINGERPRINT.name
    if mark.is_dir() and not mark.is_symlink():
        shutil.rmtree(str(mark))
    elif mark.exists() or mark.is_symlink():
        mark.unlink()
    if folder.is_symlink():
        mark.touch()
    for child in [*children, folder / "pyvenv.cfg"]:
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(str(child))
        elif child.exists() or child.is_symlink():
            child.unlink()


def only(package: str, lock: Path) -> str:
    """The lines of a lock on one package; empty where it has none."""
    found = re.search("(?m)^" + package + r"==.*(?:\n    --hash.*)*\n", lock.read_text())
    return found[0] if found else ""


def uv_commands(locks: "list[Path]") -> "list[list[str]]":
    """The commands that make .venv with uv, from one lock after the other."""
    sync = ["uv", "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--no-build-isolation"]
    make = ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)]
    return [make, *([*sync, "--python", str(VENV_PYTHON), str(lock)] for lock in locks)]


def pip_commands(locks: "list[Path]") -> "list[list[str]]":
    """The commands that make .venv with its own pip, or with this Python's where .venv cannot have one (Colab)."""
    folder = os.path.realpath(str(VENV))  # `venv` refuses a link
    if importlib.util.find_spec("ensurepip"):
        make = ["venv", folder]
    elif importlib.util.find_spec("virtualenv"):
        make = ["virtualenv", "--quiet", folder]
    else:
        make = ["venv", "--without-pip", folder]
        if importlib.util.find_spec("pip") is None:
            fail(sys.executable, "has neither ensurepip, virtualenv nor pip", "install uv, or apt install python3-venv")
    # pip would compile on one core.
    code = "import compileall, sys; compileall.compile_dir(sys.argv[1], quiet=2, workers=0)"
    compile_all = [str(VENV_PYTHON), "-c", code, str(VENV / "lib")]
    return [[sys.executable, "-m", *make], *(pip_install(lock) for lock in locks), compile_all]


def pip_install(lock: Path) -> "list[str]":
    """The command that installs a lock into .venv with pip."""
    pip = [sys.executable, "-m", "pip", "--python", str(VENV_PYTHON)]
    if importlib.util.find_spec("ensurepip") or importlib.util.find_spec("virtualenv"):
        pip = [str(VENV_PYTHON), "-m", "pip"]
    # --no-deps: the lock is complete, and some packages declare requirements that cannot be met.
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    return [*pip, "install", *options, "--no-build-isolation", "--no-compile", "-r", str(lock)]


def packages_in(lock: Path) -> int:
    """How many packages a lock has; a few of them are for other systems."""
    return len(set(re.findall(r"(?m)^([\w.-]+)==", lock.read_text())))


def installed() -> int:
    """How many packages .venv has so far."""
    return len(list(VENV.glob("lib/python3*/site-packages/*.dist-info")))


def run(command: "list[str]", started: float, packages: int) -> None:
    """Run a command, with a line of progress now and then; its output is shown only when it fails."""
    settings = uv_settings() if command[0] == "uv" else pip_settings(command)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "UV_"))}
    environment = dict(ours, PIP_CONFIG_FILE=os.devnull, **settings)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=str(ROOT), env=environment, stdout=output, stderr=subprocess.STDOUT, close_fds=False
        )
        try:
            wait(process, started, packages)
        finally:
            if process.poll() is None:  # Ctrl-C
                process.terminate()
                process.wait()
        if process.returncode:
            output.seek(0)
            sys.stderr.write("\n" + output.read().decode(errors="replace"))
            causes = ", ".join(["network", "disk", *sorted(settings)])
            remedy = "see above (" + causes + "?), then run " + COMMAND + " again"
            remedy += ", or without uv: " + COMMAND + " INSTALLER=pip" if command[0] == "uv" else ""
            fail(" ".join(command[:3]), f"failed with exit code {process.returncode}", remedy)


def pip_settings(command: "list[str]") -> "dict[str, str]":
    """What a call of pip keeps of its settings, as variables of the environment; none for other commands."""
    found = {}  # type: dict[str, str]
    if "install" not in command:
        return found
    # PIP_USER: pip config has an option of that name, too, and would show the user's settings alone.
    lines = answer(*command[: command.index("install")], "config", "list", PIP_USER="0").splitlines()
    for section in ("global.", "install.", ":env:."):  # the last wins
        for key, _, value in (line[len(section) :].partition("=") for line in lines if line.startswith(section)):
            if key in PIP_KEEPS and ast.literal_eval(value):  # pip passes over an empty one
                found["PIP_" + key.upper().replace("-", "_")] = str(ast.literal_eval(value))
    return found


def uv_settings() -> "dict[str, str]":
    """What uv keeps of its variables."""
    return {name: value for name, value in os.environ.items() if UV_KEEPS.match(name)}


def wait(process: "subprocess.Popen[bytes]", started: float, packages: int) -> None:
    """Wait for the end of a command; `  88 of about 218 packages, 40 s` now and then, on a terminal with a bar.

    No time to go: the packages are of very different sizes, and pip and uv fetch all before they install one.
    """
    terminal = sys.stdout.isatty()
    while True:
        try:
            process.wait(timeout=1 if terminal else 10)
            return
        except subprocess.TimeoutExpired:
            done = installed()
            line = f"{done} of about {packages} packages, {time.time() - started:.0f} s"
            filled = "#" * min(20, 20 * done // packages)
            print(f"  [{filled:20}] {line}\r" if terminal else f"  {line}\n", end="", flush=True)


def install(tf: str, installer: str) -> None:
    """Make .venv from the lock of `tf`, with `uv` or `pip`."""
    lock, started = lock_file(tf), time.time()
    python = "Python {}.{}".format(*sys.version_info[:2])
    print(f"Installing requirements/{lock.name} into {VENV.name}, for {python}, with {installer}", flush=True)
    clear(VENV)
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.lock"
        first.write_text(only(BUILDS, lock))
        locks = [path for path in (first, lock) if path.stat().st_size]
        for command in uv_commands(locks) if installer == "uv" else pip_commands(locks):
            run(command, started, packages_in(lock))
    OWNER.write_text(str(ROOT))
    FINGERPRINT.write_text("\n".join([fingerprint(tf), *sorted(modules()), ""]))
    print(f"  installed in {time.time() - started:.0f} s", flush=True)


def is_added(name: str) -> bool:
    """Whether .venv holds what requirements/NAME.lock names."""
    pinned = re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", lock_file(name).read_text())
    infos = ["{}-{}.dist-info".format(re.sub("[-.]+", "_", package), version) for package, version in pinned]
    return all(any(VENV.glob("lib/python3*/site-packages/" + info)) for info in infos)


def add(name: str, installer: str) -> None:
    """Install requirements/NAME.lock into .venv, beside what is there."""
    lock, started = lock_file(name), time.time()
    print(f"Installing requirements/{lock.name} into .venv, with {installer}", flush=True)
    uv = ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode"]
    uv += ["--python", str(VENV_PYTHON), "-r", str(lock)]
    run(uv if installer == "uv" else pip_install(lock), started, installed() + packages_in(lock))
    print(f"  installed in {time.time() - started:.0f} s", flush=True)


def main() -> None:
    """Install, unless .venv is what the locks say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tf", choices=["auto", "cpu", "gpu", "tpu"], default="auto", help="default: what is attached")
    parser.add_argument("--with", choices=["auto", "uv", "pip"], default="auto", dest="installer", help="default: uv")
    parser.add_argument("--add", choices=ADDED, help="what no stage needs, and .venv shall have")
    parser.add_argument("--for", choices=OWN, dest="own", help="into an environment of its own, in place of .venv")
    args = parser.parse_args()
    pick_python()
    if args.own:
        use_own(args.own)
    tf = args.own or (pick_tf() if args.tf == "auto" else args.tf)
    installer = args.installer if args.installer != "auto" else "uv" if shutil.which("uv") else "pip"
    if not is_installed(tf):
        check_machine(tf)
        with one_at_a_time():
            if not is_installed(tf):
                install(tf, installer)
    if args.add and not is_added(args.add):
        with one_at_a_time():
            add(args.add, installer)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        fail(str(error.filename or VENV), error.strerror or str(error), "see to that, and run " + COMMAND + " again")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; " + COMMAND + " starts again from scratch\n")
        sys.exit(130)
