"""script/check-rooms on small trees that break one rule each."""

import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "script/check-rooms"


class CheckRooms(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("base/result.h", "#pragma once\n")
        self.write("base/log.cc", '#include "base/result.h"\n')

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self):
        done = subprocess.run([SCRIPT, self.root], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def assert_fine(self):
        code, lines = self.check()
        self.assertEqual((code, len(lines)), (0, 1), lines)

    def assert_violation(self, *starts):
        code, lines = self.check()
        self.assertEqual(code, 1, lines)
        self.assertEqual(len(lines), len(starts), lines)
        for line, start in zip(lines, starts):
            self.assertTrue(line.startswith(start), line)

    def test_a_tree_as_documented_is_fine(self):
        self.write("wire/packet.h", '#include "base/result.h"\n')
        self.write("subscription/options.h", '#include "base/result.h"\n')
        self.write("router/options.h", "#include <string>\n")
        self.write("router/session.cc", '#include "subscription/options.h"\n'
                                        '#include "router/options.h"\n')
        self.write("router/main.cc", '#include "conf/router_config.h"\n')
        self.write("conf/router_config.h", '#include "router/options.h"\n'
                                           '#include "legion/options.h"\n')
        self.write("conf/document.cc", "#include <yaml-cpp/parser.h>\n")
        self.write("tests/unit/x.cc", '#include "router/session.h"\n'
                                      '#include "helper.h"\n')
        self.assert_fine()

    def test_a_room_above_is_refused_with_file_and_line(self):
        self.write("wire/packet.cc", "\n#include <string>\n"
                                     '#  include "router/options.h"\n')
        self.assert_violation("wire/packet.cc:3: wire may not include router/")

    def test_base_includes_no_other_room(self):
        self.write("base/x.h", '#include "wire/packet.h"\n')
        self.assert_violation("base/x.h:1: base may not include")

    def test_neighbours_do_not_know_each_other(self):
        self.write("subscription/x.h", '#include "sni/store.h"\n')
        self.write("legion/x.h", '#include "router/options.h"\n')
        self.assert_violation("legion/x.h:1:", "subscription/x.h:1:")

    def test_angle_brackets_do_not_hide_a_room(self):
        self.write("wire/x.h", "#include <router/options.h>\n")
        self.assert_violation("wire/x.h:1:")

    def test_conf_sees_options_only(self):
        self.write("conf/x.cc", '#include "router/options.h"\n'
                                '#include "router/session.h"\n'
                                '#include "router/sub/options.h"\n')
        self.assert_violation("conf/x.cc:2:", "conf/x.cc:3:")

    def test_only_main_may_include_conf(self):
        self.write("router/main.cc", '#include "conf/router_config.h"\n')
        self.write("router/reload.cc", '#include "conf/router_config.h"\n')
        self.assert_violation("router/reload.cc:1:")

    def test_only_conf_may_include_yaml(self):
        self.write("router/x.cc", "#include <yaml-cpp/yaml.h>\n")
        self.write("tests/unit/x.cc", '#include "yaml-cpp/yaml.h"\n')
        self.write("conf/x.cc", "#include <yaml-cpp/yaml.h>\n")
        self.assert_violation("router/x.cc:1: only conf",
                              "tests/unit/x.cc:1: only conf")

    def test_a_circle_of_headers_is_named(self):
        self.write("base/a.h", '#include "base/b.h"\n')
        self.write("base/b.h", "\n" '#include "base/c.h"\n')
        self.write("base/c.h", '#include "base/a.h"\n')
        self.assert_violation(
            "base/a.h:1: includes in a circle: "
            "base/a.h -> base/b.h -> base/c.h -> base/a.h")

    def test_a_header_that_includes_itself_is_a_circle(self):
        self.write("base/a.h", '#include "base/a.h"\n')
        self.assert_violation("base/a.h:1: includes in a circle")

    def test_a_diamond_is_no_circle(self):
        self.write("base/a.h", '#include "base/b.h"\n#include "base/c.h"\n')
        self.write("base/b.h", '#include "base/d.h"\n')
        self.write("base/c.h", '#include "base/d.h"\n')
        self.write("base/d.h", "")
        self.assert_fine()

    def test_a_project_header_is_named_with_its_room(self):
        self.write("wire/a.cc", '#include "packet.h"\n'
                                '#include "../base/result.h"\n'
                                '#include "base/../router/options.h"\n')
        self.assert_violation("wire/a.cc:1:", "wire/a.cc:2:", "wire/a.cc:3:")

    def test_an_unknown_room_is_refused(self):
        self.write("util/a.h", "")
        self.write("loose.cc", "")
        self.assert_violation("loose.cc:1:", "util/a.h:1:")

    def test_comments_are_not_includes(self):
        self.write("wire/a.h", '// #include "router/a.h"\n'
                               '/*\n#include "router/a.h"\n*/\n')
        self.assert_fine()

    def test_build_trees_are_left_out(self):
        self.write("build-asan/router/a.cc", '#include "x.h"\n')
        self.write(".cache/a.cc", '#include "x.h"\n')
        self.assert_fine()

    def test_a_file_named_like_a_build_tree_is_looked_at(self):
        self.write("wire/builder.h", '#include "router/a.h"\n')
        self.assert_violation("wire/builder.h:1:")

    def test_a_tree_without_sources_is_a_usage_error(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([SCRIPT, empty], capture_output=True,
                                  check=False)
            self.assertEqual(done.returncode, 2)
        done = subprocess.run([SCRIPT, self.root / "none"],
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
