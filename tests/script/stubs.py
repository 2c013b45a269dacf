"""A PATH of stubs: what a script calls is written down instead of done."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "script"
REAL = ("awk", "bash", "cat", "cut", "date", "dirname", "env", "grep", "head",
        "mktemp", "nproc", "realpath", "rm", "sh", "tail", "tee")


class WithStubs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.bin = self.root / "bin"
        self.bin.mkdir()
        for name in REAL:
            (self.bin / name).symlink_to(shutil.which(name))

    def stub(self, name, body="", path=None):
        """A command that logs its call, then does `body` (shell)."""
        path = path or self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!{self.bin}/sh\necho "{name} $*" >>"$STUB_LOG"\n'
                        f"{body}\n")
        path.chmod(0o755)

    def run_script(self, script, *arguments, **environment):
        """Exit code and output of a script."""
        done = subprocess.run(
            [self.bin / "bash", script, *arguments], text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": str(self.bin), "STUB_LOG": str(self.root / "log"),
                 "STUB_ROOT": str(self.root),
                 "TMPDIR": os.environ.get("TMPDIR", "/tmp"), **environment})
        return done.returncode, done.stdout

    def calls(self):
        log = self.root / "log"
        return log.read_text().splitlines() if log.exists() else []
