import Logging
import Synchronization

/// Logs one line for an import, which is hundreds of requests: when a caller has sent none for a while, how many there were.
final class ImportLog: Sendable {
    /// Its requests have no lines of their own.
    static let route = "/v1/keys/import"

    private struct Running {
        var requests = 0
        let begun: ContinuousClock.Instant
        var last: ContinuousClock.Instant
    }

    private let logger: Logger
    private let pause: Duration
    private let running = Mutex<[String: Running]>([:])

    /// - Parameter pause: an import is over when nothing has come for so long.
    init(logger: Logger, pause: Duration = .seconds(5)) { (self.logger, self.pause) = (logger, pause) }

    func note(_ caller: String, at now: ContinuousClock.Instant = .now) {
        let isFirst = running.withLock { running in
            var known = running[caller] ?? Running(begun: now, last: now)
            known.requests += 1
            known.last = now
            return running.updateValue(known, forKey: caller) == nil
        }
        if isFirst { Task { await self.logWhenOver(caller) } }
    }

    private func logWhenOver(_ caller: String) async {
        while true {
            try? await Task.sleep(for: pause)
            let over = running.withLock { running -> Running? in
                guard let known = running[caller], .now - known.last >= pause else { return nil }
                return running.removeValue(forKey: caller)
            }
            guard let over else { continue }
            return logger.info(
                "keys were imported",
                metadata: [
                    "caller": .string(caller), "requests": .stringConvertible(over.requests),
                    "seconds": .stringConvertible((over.last - over.begun).components.seconds),
                ])
        }
    }
}
