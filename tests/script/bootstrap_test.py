"""script/bootstrap with stubs in place of apt and dpkg."""

import unittest

from stubs import SCRIPTS, WithStubs

BOOTSTRAP = SCRIPTS / "bootstrap"
QUERY = 'for name; do grep -x "installed $name" "$STUB_ROOT/there"; done'
INSTALL = '''
case $* in
  *update) exit "${UPDATE_CODE:-0}" ;;
esac
echo "environment $DEBIAN_FRONTEND $RUNLEVEL" >>"$STUB_LOG"
[ -z "${INSTALL_NOTHING-}" ] || exit 0
for name; do echo "installed $name" >>"$STUB_ROOT/there"; done'''


class Bootstrap(WithStubs):
    def setUp(self):
        super().setUp()
        self.stub("dpkg-query", QUERY)
        self.stub("apt-get", INSTALL)
        self.stub("id", "echo 0")
        self.stub("systemctl")
        self.stub("update-rc.d")
        self.stub("nginx")
        _, listed = self.run_script(BOOTSTRAP, "--list")
        self.packages = listed.split()

    def installed(self, *names):
        (self.root / "there").write_text(
            "".join(f"installed {name}\n" for name in names))

    def without(self, *names):
        self.installed(*(name for name in self.packages if name not in names))

    def called(self, start):
        return [call for call in self.calls() if call.startswith(start)]

    def test_does_nothing_where_all_is_there(self):
        self.installed(*self.packages)
        code, output = self.run_script(BOOTSTRAP)
        self.assertEqual(code, 0, output)
        self.assertEqual(self.called("apt-get"), [])

    def test_installs_just_what_is_missing(self):
        self.without("cmake", "curl")
        code, output = self.run_script(BOOTSTRAP)
        self.assertEqual(code, 0, output)
        update, install = self.called("apt-get")
        self.assertTrue(update.endswith("update"))
        self.assertTrue(install.endswith(
            "--no-install-recommends install cmake curl"), install)
        self.assertIn(" -y ", install)
        self.assertEqual(self.called("environment"),
                         ["environment noninteractive 1"])

    def test_works_where_nothing_is_there(self):
        self.installed()
        code, output = self.run_script(BOOTSTRAP)
        self.assertEqual(code, 0, output)

    def test_takes_sections(self):
        self.installed()
        code, output = self.run_script(BOOTSTRAP, "fuzz")
        self.assertEqual(code, 0, output)
        self.assertIn("clang-14", self.called("apt-get")[1])
        self.assertNotIn("cmake", self.called("apt-get")[1])

    def test_goes_on_where_the_lists_cannot_be_renewed(self):
        self.without("cmake")
        code, output = self.run_script(BOOTSTRAP, UPDATE_CODE="100")
        self.assertEqual(code, 0, output)

    def test_fails_where_a_package_is_still_missing(self):
        self.without("cmake")
        code, output = self.run_script(BOOTSTRAP, INSTALL_NOTHING="1")
        self.assertEqual(code, 1)
        self.assertIn("still not there: cmake", output)

    def test_uses_sudo_unless_it_is_root(self):
        self.without("cmake")
        self.stub("id", "echo 1000")
        self.stub("sudo", '"$@"')
        code, output = self.run_script(BOOTSTRAP)
        self.assertEqual(code, 0, output)
        self.assertEqual(len(self.called("sudo env DEBIAN_FRONTEND")), 2)

    def test_says_what_to_install_where_it_may_not(self):
        self.without("cmake")
        self.stub("id", "echo 1000")
        code, output = self.run_script(BOOTSTRAP)
        self.assertEqual(code, 1)
        self.assertIn("apt-get install cmake", output)

    def test_leaves_no_nginx_service_behind(self):
        self.without("nginx")
        code, output = self.run_script(BOOTSTRAP)
        self.assertEqual(code, 0, output)
        held = self.called("systemctl disable nginx") or self.called(
            "update-rc.d nginx disable")
        self.assertEqual(len(held), 1, self.calls())

    def test_leaves_an_nginx_alone_that_was_there(self):
        self.without("cmake")
        self.run_script(BOOTSTRAP)
        self.assertEqual(self.called("systemctl"), [])
        self.assertEqual(self.called("update-rc.d"), [])

    def test_refuses_unknown_sections_and_options(self):
        for argument in ("nope", "--nope"):
            code, _ = self.run_script(BOOTSTRAP, argument)
            self.assertEqual(code, 1)
        self.assertEqual(self.called("apt-get"), [])


if __name__ == "__main__":
    unittest.main()
