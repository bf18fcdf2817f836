import Glibc
import LoadParts
import NIOCore

/// Says of an error what a reader can use.
enum FailureText {
    static func of(_ error: any Error) -> String {
        switch error {
        case let malformation as Malformation:
            return malformation.rawValue
        case let failure as IOError:
            // SAFETY: strerror returns a terminated string that is copied at once.
            return unsafe String(cString: strerror(failure.errnoCode))
        default:
            // The TLS library names the line of its own source that noticed.
            let text = "\(error)"
            return text.firstRange(of: " at /").map { String(text[..<$0.lowerBound]) } ?? text
        }
    }
}
