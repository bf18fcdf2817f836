"""Tests of the parsers and the arithmetic, with valid and invalid examples."""

import sys
import unittest
from pathlib import Path

from . import accepted
from .accepted import Accepted
from .clocks import Reading, Spent, process_ticks, processor_ticks
from .comparisons import CPU, RATE, Limit, Question, compare
from .failure import Failed
from .http_exchange import Request, parse_head
from .loads import generator, h2load, redis_benchmark, wrk
from .median import Spread
from .peers.nginx import Constant, configuration
from .peers.same_size import same_size, total_bytes
from .report import words
from .rounds import Round, Side, order
from .sample import LoadResult, Sample
from .subject import Figure, Outcome
from .subjects import SUBJECTS, in_process

WRK_LINE = (
    'Running 4s test @ http://127.0.0.1:1\nsummary {"requests":1000,"duration_us":2000000,"errors":{"connect":0,"read":0,'
    '"write":0,"status":0,"timeout":0},"latency_us":{"p50":900,"p90":950,"p99":1500,"p99.9":2100,"max":2500,"mean":910.5}}\n')
LOAD_LINE = (
    '{"requests":10,"mismatches":0,"errors":0,"dropped":2,"seconds":2.0,"intended_rate":5.0,"lateness_us":{"p99":3.0},'
    '"generator_cpu_share":0.5,"latency_us":{"p50":1.0},"interrupted":false}\n')
H2LOAD_LINES = (
    "finished in 2.00s, 100.00 req/s, 32.78MB/s\n"
    "requests: 200 total, 208 started, 200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout\n")
REDIS_ROWS = (
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
    '"GET k","50000.00","0.510","0.100","0.500","0.700","0.900","2.000"\n')


def taken(number: int, side: str, cpu_ns: int, requests: int = 1_000) -> Round:
    spent = Spent(1, cpu_ns, 0.5, 0.9, 0, 1)
    return Round(number, side, Sample(LoadResult(requests, 1.0, {"p99": cpu_ns / 1e3}), spent))


class Medians(unittest.TestCase):
    def test_the_middle_of_an_odd_number_is_a_value(self) -> None:
        self.assertEqual(Spread.of([3, 1, 2]), Spread(2, 1, 3))

    def test_the_middle_of_an_even_number_is_half_way(self) -> None:
        self.assertEqual(Spread.of([4, 1, 3, 2]).median, 2.5)

    def test_nothing_has_no_middle(self) -> None:
        self.assertRaises(ValueError, Spread.of, [])


class Ratios(unittest.TestCase):
    def test_a_ratio_is_that_of_one_round(self) -> None:
        # The machine was twice as slow in the second round: the ratios do not see it, the medians would.
        rounds = [taken(1, "a", 11_000), taken(1, "b", 10_000), taken(2, "b", 20_000), taken(2, "a", 22_000)]
        self.assertEqual([round(ratio, 9) for ratio in compare(Question("a", "b", CPU), rounds).ratios], [1.1, 1.1])

    def test_the_median_of_ratios_is_not_the_ratio_of_medians(self) -> None:
        rounds = [taken(n, side, cpu) for n, (a, b) in enumerate([(10, 10), (30, 20), (40, 80)], 1)
                  for side, cpu in (("a", a), ("b", b))]
        # The ratio of the medians would be 30 / 20.
        spread = compare(Question("a", "b", CPU), rounds).spread
        self.assertAlmostEqual(spread.median, 1.0)
        self.assertAlmostEqual(spread.max, 1.5)

    def test_a_round_without_its_other_side_is_refused(self) -> None:
        self.assertRaises(ValueError, compare, Question("a", "b", CPU), [taken(1, "a", 1)])

    def test_latencies_are_found_by_name(self) -> None:
        rounds = [taken(1, "a", 3_000), taken(1, "b", 1_000)]
        self.assertEqual(compare(Question("a", "b", "latency_us.p99"), rounds).ratios, [3.0])


class Limits(unittest.TestCase):
    def test_the_bound_itself_is_within(self) -> None:
        self.assertTrue(Limit.at_most(1.1).is_kept_by(1.1))
        self.assertTrue(Limit.at_least(4).is_kept_by(4))

    def test_beyond_it_is_broken_even_where_rounding_would_hide_it(self) -> None:
        self.assertFalse(Limit.at_most(1.1).is_kept_by(1.1001))
        self.assertFalse(Limit.at_least(0.95).is_kept_by(0.9499))

    def test_a_comparison_without_limit_is_neither(self) -> None:
        rounds = [taken(1, "a", 1), taken(1, "b", 1)]
        self.assertIsNone(compare(Question("a", "b", RATE), rounds).is_kept)
        self.assertFalse(compare(Question("a", "b", RATE, Limit.at_least(2)), rounds).is_kept)


class AcceptedMisses(unittest.TestCase):
    subject = in_process.SUBJECT

    def judged(self, value: float, **held: float) -> "accepted.Judgement":
        outcome = Outcome(figures=[Figure("ratio", value, "ratio", Limit.at_most(1.5))])
        misses = {f"in-process: {name}": Accepted(bound, "slow memory") for name, bound in held.items()}
        return accepted.judge([(self.subject, outcome)], misses)

    def test_a_miss_within_what_is_accepted_is_named_and_not_broken(self) -> None:
        judgement = self.judged(2.0, ratio=2.2)
        self.assertEqual((judgement.broken, len(judgement.missed)), ([], 1))
        self.assertIn("slow memory", judgement.missed[0])

    def test_worse_than_accepted_is_broken(self) -> None:
        self.assertEqual(len(self.judged(2.3, ratio=2.2).broken), 1)

    def test_a_miss_that_nobody_accepted_is_broken(self) -> None:
        self.assertEqual(self.judged(2.0).broken, ["in-process: ratio"])

    def test_what_is_kept_again_or_was_never_missed_is_named(self) -> None:
        self.assertEqual(len(self.judged(1.4, ratio=2.2).missed), 1)
        self.assertEqual(self.judged(1.4), accepted.Judgement([], []))
        self.assertEqual(len(self.judged(1.4, ratio=1.4).broken), 1)

    def test_a_name_of_nothing_is_broken(self) -> None:
        self.assertEqual(len(self.judged(1.4, rate=2.2).broken), 1)

    def test_least_values_are_accepted_downwards(self) -> None:
        figure = Figure("rate", 8_000, "per second", Limit.at_least(10_000))
        misses = {"in-process: rate": Accepted(7_500, "")}
        self.assertEqual(accepted.judge([(self.subject, Outcome(figures=[figure]))], misses).broken, [])
        fields = figure.json() | accepted.fields(self.subject, figure, misses)
        self.assertEqual(words.kept(fields), "no, accepted to 7,500")

    def test_the_committed_file_names_subjects(self) -> None:
        path = Path(__file__).resolve().parents[1] / "Thresholds" / "accepted.json"
        accepted.read(path, [subject.name for subject in SUBJECTS])


class WrkOutput(unittest.TestCase):
    def test_a_good_run_is_read(self) -> None:
        answered = wrk.parse(WRK_LINE, load_seconds=1.0)
        self.assertEqual((answered.requests, answered.seconds, answered.load_share), (1000, 2.0, 0.5))
        self.assertEqual(answered.latency_us["p99.9"], 2100)

    def test_pipelined_latencies_are_left_out(self) -> None:
        self.assertEqual(wrk.parse(WRK_LINE, 1.0, pipeline=16).latency_us, {})

    def test_a_refused_or_broken_run_is_refused(self) -> None:
        for spoilt in (
                WRK_LINE.replace('"status":0', '"status":1'), WRK_LINE.replace('"read":0', '"read":7'),
                WRK_LINE.replace('"requests":1000', '"requests":0'), WRK_LINE + "  Non-2xx or 3xx responses: 3\n", ""):
            self.assertRaises(Failed, wrk.parse, spoilt, 1.0)

    def test_a_text_that_would_leave_its_quotes_is_refused(self) -> None:
        self.assertRaises(ValueError, wrk.script, Request("POST", "/", {}, 'a"..os.exit()'), 1)

    def test_pipelining_repeats_the_request(self) -> None:
        request = Request("POST", "/", {"Authorization": "Basic eA=="}, "token=x")
        self.assertIn("string.rep(one, 16)", wrk.script(request, 16))
        self.assertNotIn("string.rep", wrk.script(request, 1))


class OtherOutputs(unittest.TestCase):
    def test_the_summary_of_h2load_is_read(self) -> None:
        answered = h2load.parse(H2LOAD_LINES, load_seconds=1.0)
        self.assertEqual((answered.requests, answered.seconds, answered.load_share), (200, 2.0, 0.5))
        self.assertEqual(h2load.parse(H2LOAD_LINES.replace("2.00s", "500.00ms"), 1.0).seconds, 0.5)
        for spoilt in (H2LOAD_LINES.replace("200 succeeded", "199 succeeded"), H2LOAD_LINES.replace("200", "0"), ""):
            self.assertRaises(Failed, h2load.parse, spoilt, 1.0)

    def test_the_generators_object_is_read(self) -> None:
        answered = generator.parse("a warning\n" + LOAD_LINE, per_request=16)
        self.assertEqual((answered.requests, answered.seconds, answered.dropped), (160, 2.0, 2))
        self.assertEqual(answered.lateness_us_p99, 3.0)

    def test_wrong_answers_are_refused(self) -> None:
        for name in ("mismatches", "errors"):
            self.assertRaises(Failed, generator.parse, LOAD_LINE.replace(f'"{name}":0', f'"{name}":1'))
        self.assertRaises(Failed, generator.parse, "no object")

    def test_redis_rows_are_read_in_microseconds(self) -> None:
        answered = redis_benchmark.parse(REDIS_ROWS, requests=100_000, load_cpu_seconds=1.0)
        self.assertEqual((answered.seconds, answered.load_share), (2.0, 0.5))
        self.assertAlmostEqual(answered.latency_us["p99"], 900)
        self.assertRaises(Failed, redis_benchmark.parse, "ERR unknown command", 1, 1.0)

    def test_path_ratios_and_their_limits_are_read(self) -> None:
        figures = in_process.parse(
            'verify hit                 130.1 ns\nverify hit / bare HMAC   1.62 (at most 1.5) BROKEN\n'
            'issuances per second   9000.00 (at least 10000) BROKEN\n'
            '{"verify hit":130.1,"verify hit / bare HMAC":1.623,"issuances per second":9000}\n')
        self.assertEqual([figure.is_kept for figure in figures], [None, False, False])
        self.assertEqual([figure.unit for figure in figures], ["ns", "ratio", "per second"])
        self.assertRaises(Failed, in_process.parse, 'other / HMAC   1.62 (at most 1.5) kept\n{"a":1}\n')


class Clocks(unittest.TestCase):
    def test_a_process_may_have_any_name(self) -> None:
        self.assertEqual(process_ticks("7 (a ) 1 (b) S 1 7 7 0 -1 4 2 0 3 0 21 34 0 0 20 0 9 0 2 1 1"), (21, 34))

    def test_waiting_is_not_busy(self) -> None:
        self.assertEqual(processor_ticks("cpu  9 9\ncpu0 1 2 3 100 50 4 5 6 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0", 0), 21)

    def test_idle_is_what_nobody_wanted(self) -> None:
        before, after = Reading(0, 0, 0, 0, 0, 0), Reading(10**9, 6 * 10**8, 15, 45, 70, 100)
        spent = Spent.between(before, after)
        self.assertAlmostEqual(spent.others_share, 0.1)
        self.assertAlmostEqual(spent.idle_share, 0.3)
        self.assertAlmostEqual(spent.kernel_share, 0.75)


class Answers(unittest.TestCase):
    def test_a_head_is_read_in_order(self) -> None:
        self.assertEqual(
            parse_head(b"HTTP/1.1 200 OK\r\nB: 1\r\nA:  2\r\n\r\n"), (200, [("B", "1"), ("A", "2")]))

    def test_headers_are_made_of_one_length(self) -> None:
        ours = [("Date", "d" * 29), ("X-Long", "l" * 40), ("X-Mid", "m" * 9), ("X-Tiny", "-"), ("Y-Tiny", "-")]
        bare = [("Server", "nginx"), ("Date", "d" * 29), ("Connection", "keep-alive")]
        # The first has to be cut, the second to be filled.
        for unavoidable in (bare, [("S", "n"), bare[1]]):
            added = same_size(ours, unavoidable)
            self.assertEqual(len(added) + len(unavoidable), len(ours))
            self.assertEqual(total_bytes([*unavoidable, *added]), total_bytes(ours))
        self.assertRaises(ValueError, same_size, ours[:2], bare)

    def test_nginx_gets_no_text_that_it_would_read_otherwise(self) -> None:
        self.assertRaises(ValueError, configuration, Path("/x"), "1", Constant("$host", ""), "")
        self.assertIn("return 200 '{\"a\":1}'", configuration(Path("/x"), "1", Constant('{"a":1}', "t"), ""))


class Turns(unittest.TestCase):
    def test_every_second_round_is_the_other_way_round(self) -> None:
        sides = [Side(name, lambda _: None) for name in "ab"]  # type: ignore[arg-type,return-value]
        self.assertEqual([side.name for n in (1, 2, 3) for side in order(sides, n)], list("abbaab"))

    def test_names_of_subjects_are_different(self) -> None:
        self.assertEqual(len({subject.name for subject in SUBJECTS}), len(SUBJECTS))


def self_test() -> int:
    """Returns 1 when a check fails."""
    checks = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    return 0 if unittest.TextTestRunner(verbosity=1).run(checks).wasSuccessful() else 1
