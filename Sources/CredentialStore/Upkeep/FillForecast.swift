import Synchronization

/// When the store will be full, at the rate of the last hour.
///
/// "Full" means that creates are refused. They stop where the bytes reserved for revocations begin, and each credential adds
/// to those (see ``Room``). Issuing and sweeping in balance does not fill the store: free pages are not counted.
public final class FillForecast: Sendable {
    private struct Sample {
        var seconds: Int64
        var occupiedBytes: Int
    }

    private let samples = Mutex<[Sample]>([])
    private static let hourSeconds: Int64 = 3_600
    /// Samples closer together than this give no rate.
    private static let secondsMin: Int64 = 300

    init() {}

    /// Records how full the store is, about once a minute.
    /// - Parameter seconds: from a monotonic clock.
    func note(occupiedBytes: Int, at seconds: Int64) {
        samples.withLock { samples in
            samples.append(Sample(seconds: seconds, occupiedBytes: occupiedBytes))
            // Keeps the sample from an hour ago, or the nearest before it.
            while samples.count > 2, samples[1].seconds <= seconds - Self.hourSeconds { samples.removeFirst() }
            if samples.count > 2_000 { samples.removeFirst() }
        }
    }

    /// Seconds until creates are refused; nil while the store does not grow, and in the first five minutes.
    func secondsUntilFull(limitBytes: Int) -> Int64? {
        samples.withLock { samples in
            guard let first = samples.first, let last = samples.last, last.seconds - first.seconds >= Self.secondsMin
            else { return nil }
            let rest = Double(max(0, limitBytes - last.occupiedBytes))
            if rest == 0 { return 0 }
            let rate = Double(last.occupiedBytes - first.occupiedBytes) / Double(last.seconds - first.seconds)
            guard rate > 0 else { return nil }
            return Int64(min(rest / rate, 1e15))
        }
    }
}

extension CredentialStore {
    /// Records how full the store is, for ``secondsUntilFull``. Call it once a minute.
    public func noteFill(at seconds: Int64 = TrustedClock.Reading.current.boot) {
        let room = headRoom.room
        forecast.note(occupiedBytes: room.occupiedBytes + room.reserveBytes, at: seconds)
    }

    /// Seconds until creates are refused, at the rate of the last hour; nil while the store does not grow.
    public var secondsUntilFull: Int64? {
        forecast.secondsUntilFull(limitBytes: headRoom.room.mapBytes)
    }
}
