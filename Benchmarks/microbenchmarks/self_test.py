"""Tests of the parsers and the arithmetic, with valid and invalid examples."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

from comparison.failure import Failed

from . import package_suite, table
from .callgrind import executed
from .counts import Count
from .instructions import Committed

DUMP = """positions: line
events: Ir
summary: 130

ob=/somewhere/CountedPaths
fl=???
fn=verify
0 10
cob=/lib/libcrypto.so.3
cfn=SHA256_Transform
calls=2 0 
0 100
16 5

ob=/lib/libcrypto.so.3
fn=SHA256_Transform
0 100

ob=/lib/libc.so.6
fn=memcpy
0 15

totals: 130
"""


class Dumps(unittest.TestCase):
    def test_what_a_called_function_took_is_counted_once(self) -> None:
        counts = executed(DUMP.splitlines())
        self.assertEqual(counts, {"CountedPaths": 15, "libcrypto.so.3": 100, "libc.so.6": 15})
        self.assertEqual(counts.total(), 130)

    def test_the_hash_stands_apart(self) -> None:
        self.assertEqual(Count.of(executed(DUMP.splitlines()), 10), Count(3.0, 10.0))


class Instructions(unittest.TestCase):
    committed = Committed.of({"hit": Count(400, 4_000), "tag": Count(5, 0)})

    def words(self, **now: Count) -> dict[str, str]:
        return {verdict.path: verdict.words for verdict in self.committed.verdicts(now)}

    def test_the_tolerance_itself_is_within(self) -> None:
        self.assertEqual(self.words(hit=Count(408.5, 4_080), tag=Count(5.5, 0)), {"hit": "kept", "tag": "kept"})

    def test_more_is_broken(self) -> None:
        self.assertEqual(self.words(hit=Count(409, 4_000), tag=Count(6, 0)), {"hit": "BROKEN", "tag": "BROKEN"})

    def test_another_compression_is_broken_though_ours_is_less(self) -> None:
        self.assertEqual(self.words(hit=Count(300, 6_000), tag=Count(5, 0))["hit"], "BROKEN")

    def test_less_is_kept_and_named(self) -> None:
        verdict = self.committed.verdicts({"hit": Count(300, 4_000), "tag": Count(5, 0)})[0]
        self.assertTrue(verdict.is_kept)
        self.assertEqual(verdict.words, "fewer: --update")

    def test_a_path_on_one_side_only_is_broken(self) -> None:
        verdicts = self.committed.verdicts({"hit": Count(400, 4_000), "miss": Count(1, 0)})
        self.assertEqual([verdict.is_kept for verdict in verdicts], [True, False, False])

    def test_what_is_written_is_read(self) -> None:
        self.assertEqual(Committed.parse(self.committed.text()), self.committed)

    def test_nonsense_and_another_architecture_are_refused(self) -> None:
        for spoilt in ("", "{}", "[]", self.committed.text().replace('"ours"', '"theirs"')):
            self.assertRaises(Failed, Committed.parse, spoilt)
        self.assertRaises(Failed, Committed("pdp11", 2, {}).verdicts, {})


class Suite(unittest.TestCase):
    now = {"hit": {"allocations": 0, "thousandths of a bare HMAC": 1_400, "wallClock": 170_000}}

    def test_better_is_kept_and_worse_is_not(self) -> None:
        self.assertTrue(package_suite.is_kept(0, ""))
        self.assertTrue(package_suite.is_kept(1, "…\nerror: benchmarkThresholdImprovement\n…"))
        self.assertFalse(package_suite.is_kept(1, "error: benchmarkThresholdRegression"))
        self.assertFalse(package_suite.is_kept(1, "error: buildFailed"))

    def test_thresholds_leave_the_time_out_and_are_complete(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / package_suite.file_name("gone")).write_text("{}")
            package_suite.update(folder, self.now)
            committed = package_suite.read(folder)
        self.assertEqual(committed, {"hit": {"allocations": 0, "thousandths of a bare HMAC": 1_400}})
        self.assertEqual(package_suite.differing(self.now, committed), [])

    def test_what_stands_on_one_side_only_is_broken(self) -> None:
        self.assertEqual(len(package_suite.differing(self.now, {})), 2)
        self.assertEqual(len(package_suite.differing({}, {"hit": {"allocations": 0}})), 1)


class Tables(unittest.TestCase):
    def test_columns_have_one_width(self) -> None:
        text = table.instructions(Committed.of({"hit": Count(400, 4_000)}).verdicts({"hit": Count(404.04, 4_000)}), None)
        self.assertEqual(len({len(line) for line in text.splitlines()}), 1)
        self.assertIn("+1.0 %", text)

    def test_ratios_are_thousandths(self) -> None:
        text = table.suite(Suite.now, json.loads('{"hit": {"thousandths of a bare HMAC": 2000}}'), None)
        self.assertRegex(text, r"\| hit +\| +0 \| +– \| +1\.40 \| +2\.00 \| +– \| +170 \|")


def self_test() -> int:
    """Returns 1 when a check fails."""
    checks = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    return 0 if unittest.TextTestRunner(verbosity=1).run(checks).wasSuccessful() else 1
