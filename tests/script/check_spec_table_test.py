"""script/check-spec-table on small trees."""

import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "script/check-spec-table"
TABLE = "docs/protocol/subscription-tests.md"


class CheckSpecTable(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("tests/unit/room/x_test.cc",
                   "TEST(Suite, Name) {}\nTEST_F(Fixture,\n       LongName) {}\n"
                   "// TEST(Suite, Gone) {}\nTEST_P(Kinds, Each) {}\n")
        self.write("tests/integration/test_theme.py", "def test_it(router):\n    pass\n")
        self.write("tests/fuzz/fuzz_bytes.cc", "")
        self.write("bench/scale/scale.py", "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self, *cells):
        rows = "".join(f"| a `word` | {cell} |\n" for cell in cells)
        self.write(TABLE, f"# Title\n\n| what | test |\n|---|---|\n{rows}\nThe end: `x`.\n")
        done = subprocess.run([SCRIPT, self.root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def assert_violation(self, cell, what):
        code, lines = self.check("`room.Suite.Name`", cell)
        self.assertEqual((code, lines), (1, [f"{TABLE}:6: {what}"]))

    def test_every_kind_of_test_is_found(self):
        code, lines = self.check("`room.Suite.Name`, `room.Fixture.LongName`", "`room.Kinds.Each`",
                                 "`integration.theme::test_it`, `fuzz.replay_fuzz_bytes`",
                                 "measured: `bench/scale/scale.py`")
        self.assertEqual((code, len(lines)), (0, 1), lines)

    def test_a_test_that_is_gone_is_named_with_its_line(self):
        for name in ("room.Suite.Gone", "room.Suite.Nam", "attic.Suite.Name",
                     "integration.theme::test_i", "integration.gone::test_it", "fuzz.replay_fuzz_gone",
                     "bench/gone.py"):
            self.assert_violation(f"`room.Suite.Name`, `{name}`", f"there is no test {name}")

    def test_a_row_without_a_test_is_refused(self):
        self.assert_violation("none", "no test is named")

    def test_what_is_no_tests_name_is_refused(self):
        for name in ("Name", "test_it", "theme::test_it", "room.Suite.Name.More"):
            self.assert_violation(f"`{name}`", f"{name} is not written as a test's name")

    def test_a_tree_without_the_table_or_rows_is_a_usage_error(self):
        done = subprocess.run([SCRIPT, self.root], capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(self.check()[0], 2)


if __name__ == "__main__":
    unittest.main()
