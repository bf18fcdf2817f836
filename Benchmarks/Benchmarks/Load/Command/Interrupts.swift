import Dispatch
import Glibc

/// SIGINT and SIGTERM end a run early instead of ending the process.
struct Interrupts {
    private let sources: [any DispatchSourceSignal]

    init(_ onSignal: @escaping @Sendable () -> Void) {
        sources = [SIGINT, SIGTERM].map { number in
            // Dispatch only watches signals; the default action would still end the process.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler(handler: onSignal)
            source.resume()
            return source
        }
    }
}
