import Benchmark
import MeasuredPaths
