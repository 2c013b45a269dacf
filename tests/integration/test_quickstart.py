"""The quickstart's first deploy: Perl, Python and Ruby behind one domain, by `domain =`."""
import pytest

import clients
import harness
import vassals
from harness import TOP, wait_until

DOMAIN = "hello.example.com"
DEMO_APPS = TOP / "script" / "demo.d"
ANSWERS = {"perl": "Hello i am perl", "python": "Hello i am python", "ruby": "Hello i am ruby"}
VASSALS = {
    "perl": "plugin = 0:psgi\npsgi = {apps}/hello.pl\n",
    "python": "plugin = 0:python3\nwsgi-file = {apps}/hello.py\n",
    "ruby": "plugin = 0:rack\nrack = {apps}/hello.ru\n",
}


@pytest.fixture
def strict(scene, key_pair):
    """A router that wants signatures, and has the customer's key for these names."""
    keys = scene.subdirectory("keys")
    for domain in (DOMAIN, "second.example.com", ".wild.test"):
        key_pair.install(keys, domain)
    return harness.Router(scene, subscription={
        "sign_check": {"digest": "SHA1", "keys": str(keys), "tolerance": "60s",
                       "skip_uids": []}})


@pytest.fixture
def emperor(scene, strict, key_pair):
    return vassals.Emperor(scene, strict, key_pair)


def deploy(emperor, language, domain=DOMAIN, more=""):
    text = VASSALS[language].format(apps=DEMO_APPS)
    emperor.write(language, f"{text}domain = {domain}\ndisable-logging = true\n{more}")


def test_three_languages_answer_one_domain_in_turn(strict, emperor):
    for count, language in enumerate(("perl", "python", "ruby"), start=1):
        deploy(emperor, language)
        strict.wait_for_nodes(DOMAIN, count, seconds=30)
    strict.wait_answering(DOMAIN, list(ANSWERS.values()))


def test_a_removed_vassal_leaves_the_others(strict, emperor):
    for language in ("perl", "python"):
        deploy(emperor, language)
    strict.wait_for_nodes(DOMAIN, 2, seconds=30)
    emperor.remove("perl")
    strict.wait_for_nodes(DOMAIN, 1, seconds=10)
    strict.wait_answering(DOMAIN, [ANSWERS["python"]])


def test_one_vassal_may_have_several_domains(strict, emperor):
    deploy(emperor, "python", more="domain = second.example.com\ndomain = .wild.test\n")
    for host in (DOMAIN, "second.example.com", "any.wild.test"):
        wait_until(lambda host=host: strict.get(host=host).status == 200, f"{host} answers", 30)
    addresses = {strict.nodes(key)[0]["name"]
                 for key in (DOMAIN, "second.example.com", ".wild.test")}
    assert len(addresses) == 3, "each domain has a socket of its own"


def test_two_vassals_of_one_domain_have_sockets_of_their_own(strict, emperor):
    deploy(emperor, "perl")
    deploy(emperor, "python")
    found = strict.wait_for_nodes(DOMAIN, 2, seconds=30)
    assert len({node["name"] for node in found}) == 2


def test_a_touched_vassal_reloads_without_a_lost_request(strict, emperor):
    for language in ("perl", "python"):
        deploy(emperor, language)
    strict.wait_for_nodes(DOMAIN, 2, seconds=30)
    strict.wait_answering(DOMAIN, [ANSWERS["perl"], ANSWERS["python"]])
    with clients.Load(strict.port, host=DOMAIN, connections=8) as load:
        load.wait_for_more(200)
        emperor.touch("python")
        wait_until(lambda: "reload the uwsgi instance python.ini" in emperor.process.log(),
                   "the Emperor reloads it")
        wait_until(lambda: "(RE)spawned uWSGI" in emperor.process.log(), "it is up again")
        load.wait_for_more(500)
        results = load.stop()
    assert {status for _, status, _ in results} == {200}


def test_an_emperor_with_anothers_key_stays_out(scene, strict, emperor, other_key_pair):
    forger = vassals.Emperor(scene, strict, other_key_pair, name="forger")
    deploy(forger, "python")
    wait_until(lambda: "is ready to accept requests" in forger.process.log(), "it runs", 30)
    deploy(emperor, "perl")
    strict.wait_for_nodes(DOMAIN, 1, seconds=30)
    strict.wait_answering(DOMAIN, [ANSWERS["perl"]])
