"""Fixtures of the integration tests; what they build is in harness.py and its neighbours."""
import signal
import sys

sys.dont_write_bytecode = True

import pytest  # noqa: E402

import api_stage  # noqa: E402
import harness  # noqa: E402
import nodes  # noqa: E402
import packets  # noqa: E402
import vassals  # noqa: E402


def pytest_configure(config):
    # A terminated run still ends what it started: the fixtures unwind as on Ctrl-C.
    def interrupted(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupted)


def pytest_sessionstart(session):
    if not harness.ROUTER.exists() and not session.config.option.collectonly:
        pytest.exit(f"no router at {harness.ROUTER}: build it, or set FEALTY_BIN_DIR", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    scene = item.funcargs.get("scene") if hasattr(item, "funcargs") else None
    if report.failed and scene is not None:
        report.sections += scene.logs()


@pytest.fixture
def scene():
    stage = harness.Scene()
    try:
        yield stage
    finally:
        stage.close()


@pytest.fixture
def router(scene):
    """A router with the defaults; tests with other wishes call harness.Router."""
    return harness.Router(scene)


@pytest.fixture
def node(scene, router):
    """A node of the tests' own that answers app.test, ready."""
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    node.requests.clear()
    return node


@pytest.fixture
def vassal(scene, router):
    """A real vassal that answers app.test, ready."""
    vassal = vassals.Vassal(scene, router, "vassal")
    router.wait_answering("app.test", ["vassal"])
    return vassal


@pytest.fixture(scope="session")
def key_pair(tmp_path_factory):
    return packets.KeyPair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def other_key_pair(tmp_path_factory):
    return packets.KeyPair(tmp_path_factory.mktemp("other-keys"))


# ------------------------------------------------------------ the REST API

@pytest.fixture(scope="session")
def postgresql():
    cluster = api_stage.Postgresql()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def api_scene():
    stage = harness.Scene()
    try:
        yield stage
    finally:
        stage.close()


@pytest.fixture(scope="module", params=api_stage.DATABASES)
def api(request, api_scene):
    """A fealty-api for all tests of a file, which keep to objects of their own."""
    cluster = (request.getfixturevalue("postgresql")
               if request.param == "postgresql" else None)
    return api_stage.Api(api_scene, request.param, cluster)


@pytest.fixture(scope="module")
def kratos(api):
    """A customer with a server of his own."""
    customer = api_stage.Customer(api)
    customer.server = api.server(customer)
    return customer


@pytest.fixture(scope="module")
def zeus(api):
    """Another one, on a server that is nobody's."""
    customer = api_stage.Customer(api)
    customer.server = api.server()
    return customer
