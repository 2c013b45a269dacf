"""script/test with stubs in place of cmake and ctest."""

import shutil
import unittest

from stubs import SCRIPTS, WithStubs

CTEST = '''
case " $* " in
  *" --rerun-failed "*) broken=$BROKEN_TWICE ;;
  *) broken=$BROKEN_TESTS ;;
esac
case " $broken " in
  *" $2 "*)
    echo "${SAYS-}"
    echo "90% tests passed, 1 tests failed out of 10"
    echo "The following tests FAILED:"
    echo "  3 - conf.One (Failed)"
    exit 8 ;;
esac
[ "$2" != "${SILENT-}" ] || exit 0
case " $* " in
  *" ${ABSENT:-none at all} "*) echo "No tests were found!!!"; exit 0 ;;
esac
echo "100% tests passed, 0 tests failed out of 10"'''
CMAKE = '''
[ -n "$BROKEN_CALL" ] || exit 0
case $* in
  *"$BROKEN_CALL"*) exit 1 ;;
esac'''
PASSED = "100% tests passed, 0 tests failed out of 10"


class Test(WithStubs):
    def setUp(self):
        super().setUp()
        self.stub("cmake", CMAKE)
        self.stub("ctest", CTEST)
        self.stub("setarch", "while [ \"$1\" != -R ]; do shift; done; "
                             "shift; \"$@\"")
        self.stub("uname", "echo x86_64")
        self.stub("true")
        self.stub("bootstrap", 'exit "${BOOTSTRAP_CODE:-0}"',
                  self.root / "script/bootstrap")
        self.script = self.root / "script/test"
        shutil.copy(SCRIPTS / "test", self.script)

    def go(self, *arguments, **environment):
        return self.run_script(self.script, *arguments,
                               **{"BROKEN_TESTS": "", "BROKEN_CALL": "",
                                  "BROKEN_TWICE": environment.get("BROKEN_TESTS", ""),
                                  "FEALTY_JOBS": "2", **environment})

    def presets(self):
        """Of ctest's calls; each has two, which the tests that wait part."""
        calls = [call.split() for call in self.calls()
                 if call.startswith("ctest --preset") and "--rerun-failed" not in call]
        for one, other in zip(calls[::2], calls[1::2]):
            self.assertEqual(one[2], other[2])
            self.assertEqual((one[5:9], other[5:9]), (["-LE", "waiting", "-j", "2"],
                                                      ["-L", "waiting", "-j", "3"]))
        return [call[2] for call in calls[::2]]

    def test_runs_release_first_and_then_the_sanitizers(self):
        code, output = self.go()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.presets(), ["release", "asan", "tsan"])
        self.assertTrue(self.calls()[0].startswith("bootstrap"))
        for preset in ("release", "asan", "tsan"):
            self.assertIn(f"{preset}: {PASSED}; {PASSED}", output)
        # Two of ctest itself and two of the summary for each.
        self.assertEqual(output.count(PASSED), 12)

    def test_runs_what_it_is_told(self):
        code, output = self.go("tsan", "release")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.presets(), ["tsan", "release"])

    def test_hands_arguments_to_ctest(self):
        self.go("asan", "--", "-R", "conf.")
        call = [call for call in self.calls() if call.startswith("ctest")][0]
        self.assertTrue(call.endswith(" -R conf."), call)

    def test_one_part_may_have_no_test_but_not_both(self):
        code, output = self.go("asan", ABSENT="-LE")
        self.assertEqual(code, 0, output)
        self.assertIn(f"asan: {PASSED} (", output)
        code, output = self.go("asan", ABSENT="waiting")
        self.assertEqual(code, 1)
        self.assertIn("asan: no test was found", output)

    def test_a_failed_test_fails_and_the_others_still_run(self):
        code, output = self.go(BROKEN_TESTS="asan")
        self.assertEqual(code, 1)
        self.assertEqual(self.presets(), ["release", "asan", "tsan"])
        self.assertIn("asan: 90% tests passed", output)
        self.assertIn("conf.One (Failed)", output.partition("summary")[2])
        self.assertIn("FAILED: asan", output)

    def test_what_passes_alone_is_called_flaky(self):
        code, output = self.go(BROKEN_TESTS="asan", BROKEN_TWICE="", SAYS="E   1 != 2")
        self.assertEqual(code, 0, output)
        summary = output.partition("summary")[2]
        self.assertIn("flaky, passed alone:", summary)
        self.assertIn("E   1 != 2", summary)
        self.assertIn("conf.One (Failed)", summary)

    def test_what_a_sanitizer_found_is_not_tried_again(self):
        for says in ("SUMMARY: AddressSanitizer: heap-use-after-free",
                     "WARNING: ThreadSanitizer: data race",
                     "SUMMARY: UndefinedBehaviorSanitizer: undefined-behavior"):
            code, output = self.go("tsan", BROKEN_TESTS="tsan", BROKEN_TWICE="", SAYS=says)
            self.assertEqual(code, 1, output)
            self.assertIn("FAILED: tsan", output)

    def test_a_run_without_closing_line_fails(self):
        code, output = self.go(SILENT="tsan")
        self.assertEqual(code, 1)
        self.assertIn("FAILED: tsan", output)

    def test_a_failed_build_ends_the_run(self):
        code, output = self.go(BROKEN_CALL="--build --preset asan")
        self.assertEqual(code, 1)
        self.assertEqual(self.presets(), ["release"])
        self.assertIn("asan: the build failed", output)

    def test_a_failed_configuration_ends_the_run(self):
        code, output = self.go(BROKEN_CALL="--preset release")
        self.assertEqual(code, 1)
        self.assertEqual(self.presets(), [])
        self.assertFalse(any("--build" in call for call in self.calls()))

    def test_a_failed_bootstrap_ends_the_run(self):
        code, _ = self.go(BOOTSTRAP_CODE="1")
        self.assertEqual(code, 1)
        self.assertEqual(self.presets(), [])

    def test_refuses_an_unknown_name(self):
        code, output = self.go("relaese")
        self.assertEqual(code, 2)
        self.assertIn("script/test [release|asan|tsan|all]", output)
        self.assertEqual(self.calls(), [])


if __name__ == "__main__":
    unittest.main()
