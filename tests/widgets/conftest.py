"""The real JupyterLab in headless Chromium, on loopback, with its own settings folders."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.waiting import within
from tests.widgets.jupyter import Lab, Watch, write_hostile_data, write_variants

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = (
    "Chromium is missing: on Debian and Ubuntu, `apt-get install chromium fonts-dejavu-core`"
)
_SWITCHES = """--disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage""".split()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Lab]:
    """JupyterLab as `pmi lab` opens it, on a copy of the notebooks."""
    home = tmp_path_factory.mktemp("lab")
    (home / "runs").mkdir()
    shutil.copytree(root / "notebooks", home / "notebooks")
    write_variants(home / "notebooks")
    write_hostile_data(home / "notebooks" / "hostile.json")
    for name in ("example", "example_study"):
        shutil.copytree(root / "runs" / name, home / "runs" / name)
    env = dict(os.environ, JUPYTER_TOKEN="only-a-test")
    for name in (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
    ):
        env[name] = str(tmp_path_factory.mktemp(name.lower()))
    command = [
        *(sys.executable, "-m", "pmi_kernel.cli", "lab", "--no-browser"),
        *("--ServerApp.port=0", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={home}"),
    ]
    log = (home / "server.log").open("w")
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    info = Path(env["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + within(5)
    while not info.is_file():
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"JupyterLab did not start: {(home / 'server.log').read_text()[-2000:]}")
        time.sleep(0.05)
    yield Lab(home, json.loads(info.read_text())["url"], "only-a-test")
    server.send_signal(signal.SIGTERM)
    server.wait(within(3))
    log.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=False, args=_SWITCHES
        )
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, watch: Watch) -> Iterator[Page]:
    """A page that may talk to loopback only, and whose errors are kept."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})

    def loopback_only(route: Route) -> None:
        if route.request.url.startswith(("http://127.0.0.1:", "http://localhost:", "data:")):
            route.continue_()
        else:
            watch.off_loopback.append(route.request.url)
            route.abort()

    context.route("**/*", loopback_only)
    page = context.new_page()
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.on(
        "console",
        lambda message: watch.errors.append(message.text) if message.type == "error" else None,
    )
    page.set_default_timeout(1000 * within(5))
    expect.set_options(timeout=1000 * within(5))
    yield page
    context.close()


@pytest.fixture(scope="session")
def pictures(root: Path) -> Path:
    """Where screenshots go, for a person to look at."""
    folder = root / "runs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
